"""The files of a bundle: weights, golden images, and the manifest that vouches for all of them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from handler.bundle import MANIFEST, WEIGHTS, digest
from handler.manifest import Golden, Manifest
from handler.seal import sealed

INTENDED_USE = (
    "Research on dermoscopic images by trained people: to study, compare and serve skin-lesion classifiers. "
    "Not for diagnosis, screening or treatment decisions, and not for clinical or phone photographs."
)


def write_weights(network: nn.Module, folder: Path) -> None:
    """weights.safetensors: tensors that 16 bits hold exactly are stored in 16 bits."""
    tensors = {}
    for name, tensor in network.state_dict().items():
        exact = tensor.ndim > 1 and tensor.is_floating_point() and tensor.equal(tensor.half().to(tensor.dtype))
        tensors[name] = (tensor.half() if exact else tensor).contiguous()
    save_file(tensors, folder / WEIGHTS)


def write_golden(folder: Path, items: Sequence[bytes], logits: NDArray[np.float32]) -> list[Golden]:
    """The golden images, with the logits that they must give."""
    (folder / "golden").mkdir(exist_ok=True)
    golden = []
    for number, data in enumerate(items):
        name = f"golden/{number}.jpg"
        (folder / name).write_bytes(data)
        golden.append(Golden(file=name, logits=[round(float(value), 6) for value in logits[number]]))
    return golden


def write_manifest(folder: Path, known: Mapping[str, Any]) -> Manifest:
    """bundle.json, with the sha256 of every other file in the folder and its own; validated before it is written."""
    for path in folder.glob("*.safetensors"):
        path.chmod(0o644)  # safetensors makes them private, and a worker may be another user
    files = {
        path.relative_to(folder).as_posix(): digest(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
    manifest = Manifest(created=datetime.now(UTC).replace(microsecond=0), files=files, **known)
    content = json.dumps(sealed(manifest.model_dump(mode="json")), indent=1, ensure_ascii=False)
    (folder / MANIFEST).write_text(content + "\n", encoding="utf-8")
    return manifest


def make_way(folder: Path) -> None:
    """Before the work: ValueError where something else than a bundle lies, OSError where none can be written."""
    if folder.is_file():
        raise ValueError(f"{folder} is a file: give another output folder")
    if folder.exists() and any(folder.iterdir()) and not (folder / MANIFEST).exists():
        raise ValueError(f"{folder} is not empty and holds no bundle: give another output folder")
    folder.parent.mkdir(parents=True, exist_ok=True)


def replace(folder: Path, draft: Path) -> None:
    """Put a finished draft in the place of an older bundle, which is lost only once the new one lies there."""
    older = folder.with_name(f"{folder.name}.older")
    shutil.rmtree(older, ignore_errors=True)
    if folder.exists():
        folder.rename(older)
    draft.rename(folder)
    shutil.rmtree(older, ignore_errors=True)


def code_version() -> str:
    """The commit of this checkout, marked when files differ from it; `unknown` outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
