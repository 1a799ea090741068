"""What computes: a uint8 batch in, logits and feature maps out, the same numbers from every backend.

int8, bf16, fp32   OpenVINO on the CPU, from the graphs that the bundle carries
torch-cuda[:N]     PyTorch on a GPU, bf16
torch-cpu          PyTorch on the CPU, where OpenVINO is missing or for comparison
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from handler.backends import processor
from handler.bundle import Bundle
from handler.errors import BackendError
from handler.manifest import Manifest, Precision

FASTEST_FIRST: tuple[Precision, ...] = ("int8", "bf16", "fp32")


class Output(NamedTuple):
    """float32 arrays: logits [N, C] and the last convolution's feature maps [N, h, w, F]."""

    logits: NDArray[np.float32]
    features: NDArray[np.float32]


class Backend(Protocol):
    """One loaded network; calls must not overlap."""

    name: str
    precision: Precision

    def infer(self, batch: NDArray[np.uint8]) -> Output:
        """Logits and features of RGB images [N, size, size, 3]."""
        ...

    def warm_up(self, sizes: Iterable[int]) -> None:
        """Compiles what batches of these sizes need, so that no request pays for it."""
        ...


def load(bundle: Bundle, requested: str | None = None, threads: int | None = None) -> Backend:
    """The requested backend, or the one that suits this machine best."""
    name = requested or choose(bundle.manifest)
    if name in FASTEST_FIRST:
        if name not in bundle.manifest.backends:
            raise BackendError(f"{bundle.folder} carries no {name} graph: choose one of {_carried(bundle.manifest)}")
        from handler.backends.openvino_graph import OpenvinoGraph

        return OpenvinoGraph(bundle, name, threads)
    device = name.removeprefix("torch-")
    if device == name or device.split(":")[0] not in ("cpu", "cuda"):
        raise BackendError(
            f"unknown backend {name!r}: choose one of {_carried(bundle.manifest)}, torch-cpu, torch-cuda"
        )
    if not _installed("torch"):
        raise BackendError(f"backend {name} needs PyTorch: pip install torch, or choose an OpenVINO backend")
    from handler.backends.torch_network import TorchNetwork

    return TorchNetwork(bundle, device, threads)


def choose(manifest: Manifest, flags: frozenset[str] | None = None) -> str:
    """The fastest backend that this machine runs natively, none faster than the manifest prefers."""
    if _has_gpu():
        return "torch-cuda"
    if not manifest.backends or not _installed("openvino"):
        return "torch-cpu"
    flags = processor.flags() if flags is None else flags
    native = {"int8": processor.has_int8(flags), "bf16": processor.has_bf16(flags), "fp32": True}
    start = FASTEST_FIRST.index(manifest.preferred) if manifest.preferred else 0
    carried = [precision for precision in FASTEST_FIRST if precision in manifest.backends]
    wanted = [precision for precision in carried if precision in FASTEST_FIRST[start:] and native[precision]]
    return (wanted or carried[::-1])[0]


def _has_gpu() -> bool:
    # Looked for without importing torch, which costs a CPU worker 300 MB.
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1") or not Path("/dev/nvidiactl").exists():
        return False
    if not _installed("torch"):
        return False
    import torch

    return torch.cuda.is_available()


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _carried(manifest: Manifest) -> str:
    return ", ".join(manifest.backends) or "none"
