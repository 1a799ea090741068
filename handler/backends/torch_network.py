"""PyTorch: on a GPU in bf16 with one recorded CUDA graph a batch size; on the CPU eager fp32, as a fall-back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from handler.backends import Output, buckets
from handler.bundle import GRAPH_CONSTANTS, WEIGHTS, Bundle
from handler.errors import BackendError, BundleError
from handler.manifest import Normalisation, Precision
from handler.networks import Network, build


class TorchNetwork:
    """The bundle's network rebuilt from its architecture's name and weights.safetensors."""

    def __init__(self, bundle: Bundle, device: str, threads: int | None = None) -> None:
        self.name = f"torch-{device}"
        self.device = torch.device(device)
        self.size = bundle.manifest.geometry.size
        on_gpu = self.device.type == "cuda"
        if on_gpu and not torch.cuda.is_available():
            raise BackendError(f"backend {self.name} needs a GPU and PyTorch sees none: choose another backend")
        if threads is not None:
            torch.set_num_threads(threads)
        self.precision: Precision = "bf16" if on_gpu else "fp32"
        dtype = torch.bfloat16 if on_gpu else torch.float32
        self._program = _Program(_network(bundle), bundle.manifest.normalisation, dtype).to(self.device).eval()
        self._recordings: dict[int, _Recording] = {}

    @torch.inference_mode()
    def infer(self, batch: NDArray[np.uint8]) -> Output:
        """Logits and features of RGB images [N, size, size, 3]."""
        run = self._replay if self.device.type == "cuda" else self._eager
        parts = [run(batch[part.start : part.stop], part.size) for part in buckets.plan(len(batch))]
        logits, features = zip(*parts, strict=True)
        return Output(torch.cat(logits).numpy(), torch.cat(features).numpy())

    def warm_up(self, sizes: Iterable[int]) -> None:
        """Records every bucket that batches of these sizes need."""
        for count in sizes:
            self.infer(np.zeros((count, self.size, self.size, 3), np.uint8))

    def _eager(self, images: NDArray[np.uint8], _: int) -> tuple[Tensor, Tensor]:
        logits, features = self._program(torch.from_numpy(images))
        return logits, features

    def _replay(self, images: NDArray[np.uint8], size: int) -> tuple[Tensor, Tensor]:
        with torch.cuda.device(self.device):
            recording = self._recordings.get(size) or self._record(size)
            # What an earlier batch left behind these images is computed too, and cut off below.
            recording.staging[: len(images)].copy_(torch.from_numpy(images))
            recording.pixels.copy_(recording.staging, non_blocking=True)
            recording.graph.replay()
            # Copying to the host waits for the stream, so the staging memory is free again.
            return recording.logits[: len(images)].cpu(), recording.features[: len(images)].cpu()

    def _record(self, size: int) -> _Recording:
        shape = (size, self.size, self.size, 3)
        pixels = torch.zeros(shape, dtype=torch.uint8, device=self.device)
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            # cuDNN chooses its algorithms and allocates in the first runs, which a recording must not contain.
            for _ in range(3):
                self._program(pixels)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            logits, features = self._program(pixels)
        staging = torch.zeros(shape, dtype=torch.uint8, pin_memory=True)
        self._recordings[size] = _Recording(graph, staging, pixels, logits, features)
        return self._recordings[size]


@dataclass(frozen=True)
class _Recording:
    graph: torch.cuda.CUDAGraph
    staging: Tensor
    pixels: Tensor
    logits: Tensor
    features: Tensor


class _Program(nn.Module):
    """uint8 NHWC in; float32 logits and contiguous NHWC features out."""

    def __init__(self, network: Network, normalisation: Normalisation, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = network.to(dtype=dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.dtype = dtype
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", 255.0 * torch.tensor(normalisation.mean).view(1, 3, 1, 1))
        self.register_buffer("std", 255.0 * torch.tensor(normalisation.std).view(1, 3, 1, 1))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        # NHWC memory seen as NCHW is channels_last already.
        images = (pixels.permute(0, 3, 1, 2).float() - self.mean) / self.std
        logits, features = self.network.forward_features_and_logits(images.to(self.dtype))
        return logits.float(), features.permute(0, 2, 3, 1).float().contiguous()


def _network(bundle: Bundle) -> Network:
    manifest = bundle.manifest
    path = bundle.path(WEIGHTS)
    try:
        network = build(manifest.architecture, manifest.outputs, **manifest.architecture_options)
        tensors = load_file(path)
        tensors.pop(GRAPH_CONSTANTS, None)
        # Weights that 16 bits hold exactly are stored in 16 bits; load_state_dict widens them.
        network.load_state_dict(tensors)
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BundleError(f"{path} does not fit architecture {manifest.architecture}: {reason}") from None
    return network
