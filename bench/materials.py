"""What the systems serve: one bundle, packed for each of them, and the virtual environment of the peers."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import venv
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from handler.bundle import GRAPH_CONSTANTS, WEIGHTS, Bundle
from handler.manifest import Manifest

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "bench"
PEERS = ROOT / "build" / "bench-venv"
REQUIREMENTS = Path(__file__).with_name("requirements-peers.txt")
HANDLER = Path(__file__).with_name("peers") / "stock_handler.py"
# The stock classifier always answers with its five best classes.
FILLERS = ("-", "--", "---")


@dataclass(frozen=True)
class Materials:
    """A bundle and its packings, made when they are first needed."""

    name: str
    bundle: Path
    folder: Path
    peers: Path = PEERS

    @property
    def manifest(self) -> Manifest:
        return Bundle.load(self.bundle, verify=False).manifest

    @cached_property
    def archive(self) -> Path:
        """Our archive, packed by our command."""
        output = self.folder / "model_store" / "lesion.mar"
        words = ["--bundle", str(self.bundle), "--output", str(output)]
        _quietly([sys.executable, "-m", "lightning_module", "archive", *words])
        return output

    @cached_property
    def stock_archive(self) -> Path:
        """The same weights as TorchScript in fp32, for TorchServe's own image classifier."""
        folder = self.folder / "stock"
        (folder / "model_store").mkdir(parents=True, exist_ok=True)
        _save_torchscript(self.bundle, folder / "model.pt")
        names = {str(i): name for i, name in enumerate(("benign", "malignant", *FILLERS))}
        (folder / "index_to_name.json").write_text(json.dumps(names))
        manifest = self.manifest
        geometry = {
            "size": manifest.geometry.size,
            "resize": math.ceil(manifest.geometry.size / manifest.geometry.crop),
            "mean": manifest.normalisation.mean,
            "std": manifest.normalisation.std,
        }
        (folder / "geometry.json").write_text(json.dumps(geometry))
        extra = f"{folder / 'index_to_name.json'},{folder / 'geometry.json'}"
        words = ["--model-name", "stock", "--version", "1.0", "--serialized-file", str(folder / "model.pt")]
        words += ["--handler", str(HANDLER), "--extra-files", extra, "--export-path", str(folder / "model_store")]
        _quietly([str(self.peers / "bin" / "torch-model-archiver"), *words, "--force"])
        return folder / "model_store" / "stock.mar"


def shipped() -> Materials:
    """The bundle inside the archive of the repository."""
    folder = BUILD / "shipped"
    with zipfile.ZipFile(ROOT / "model_store" / "lesion.mar") as archive:
        archive.extractall(folder, [name for name in archive.namelist() if name.startswith("bundle/")])
    return Materials("shipped", folder / "bundle", folder)


def resnet18() -> Materials:
    """A ResNet-18 at 224 px with random weights, which the targets speak of."""
    folder = BUILD / "resnet18"
    if not (folder / "bundle" / "bundle.json").exists():
        from lightning_module import synthetic_bundle

        synthetic_bundle.make(folder / "bundle", architecture="resnet18", head="sigmoid", size=224)
    return Materials("resnet18", folder / "bundle", folder)


def install_peers() -> None:
    """Makes the peers' environment, once."""
    marker = PEERS / ".installed"
    if marker.exists() and marker.stat().st_mtime >= REQUIREMENTS.stat().st_mtime:
        return
    print(f"installing the peers into {PEERS.relative_to(ROOT)} (some minutes, once)", flush=True)
    venv.create(PEERS, with_pip=True)
    import torch

    same = f"torch=={torch.__version__.split('+')[0]}"
    _quietly([str(PEERS / "bin" / "python"), "-m", "pip", "install", "-q", "-r", str(REQUIREMENTS), same])
    marker.touch()


def _save_torchscript(bundle: Path, output: Path) -> None:
    import torch
    from safetensors.torch import load_file
    from torch import Tensor, nn

    from handler.networks import Network, build

    manifest = Bundle.load(bundle, verify=False).manifest

    class Decided(nn.Module):
        """Two logits whose softmax is the calibrated probability of malignancy, and fillers that get none."""

        def __init__(self, network: Network) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: Tensor) -> Tensor:
            logits = self.network(images) / manifest.temperature
            if manifest.head == "sigmoid":
                odds = logits[:, :1]
            else:
                malignant = manifest.malignant_indices
                benign = [i for i in range(len(manifest.classes)) if i not in malignant]
                odds = (logits[:, malignant].logsumexp(1) - logits[:, benign].logsumexp(1))[:, None]
            zeros = torch.zeros_like(odds)
            return torch.cat([zeros, odds, *[zeros - 100.0] * len(FILLERS)], 1)

    network = build(manifest.architecture, manifest.outputs, **manifest.architecture_options)
    tensors = load_file(bundle / WEIGHTS)
    tensors.pop(GRAPH_CONSTANTS, None)
    network.load_state_dict(tensors)
    size = manifest.geometry.size
    with torch.inference_mode():
        decided = Decided(network.float().eval()).eval()
        traced = torch.jit.trace(decided, torch.zeros(1, 3, size, size))  # type: ignore[no-untyped-call]
    traced.save(str(output))


def _quietly(command: list[str]) -> None:
    told = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if told.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} failed:\n{told.stderr or told.stdout}")
