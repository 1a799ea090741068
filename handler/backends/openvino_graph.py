"""OpenVINO on the CPU: a uint8 NHWC graph with the normalisation inside, one stream, any batch size."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

import numpy as np
import openvino
from numpy.typing import NDArray

from handler.backends import Output
from handler.bundle import WEIGHTS, Bundle
from handler.errors import BundleError
from handler.manifest import Precision


class OpenvinoGraph:
    """A compiled graph; a batch size seen before is not compiled again."""

    def __init__(self, bundle: Bundle, precision: Precision, threads: int | None = None) -> None:
        self.name: str = precision
        self.precision: Precision = precision
        self.size = bundle.manifest.geometry.size
        graph = bundle.manifest.backends[precision]
        path, own = bundle.path(graph), str(PurePosixPath(graph).with_suffix(".bin"))
        # A graph without constants of its own points into the weights; OpenVINO maps either file and copies neither.
        constants = bundle.path(own if own in bundle.manifest.files else WEIGHTS)
        config = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            # OpenVINO's own choice would be bf16 wherever there is AMX.
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            # With pinning, every worker process of a machine would pin itself to the same core.
            "ENABLE_CPU_PINNING": False,
        }
        if threads is not None:
            config["INFERENCE_NUM_THREADS"] = threads
        try:
            core = openvino.Core()
            compiled = core.compile_model(core.read_model(path, constants), "CPU", config)
            self._logits, self._features = compiled.output("logits"), compiled.output("features")
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise BundleError(
                f"{path} is not a graph that OpenVINO can load ({reason}): make the bundle again"
            ) from None
        self._request = compiled.create_infer_request()
        self._margin = (compiled.input().get_partial_shape()[1].get_length() - self.size) // 2
        self._mean = np.round(255 * np.array(bundle.manifest.normalisation.mean)).astype(np.uint8)
        self._framed = self._frame(1)

    def infer(self, batch: NDArray[np.uint8]) -> Output:
        """Logits and features of RGB images [N, size, size, 3]."""
        if self._margin:
            batch = self._with_margin(batch)
        self._request.infer({0: batch}, share_inputs=True)
        logits = self._request.get_tensor(self._logits).data
        features = self._request.get_tensor(self._features).data
        # The request's own memory is overwritten by the next batch.
        return Output(logits.copy(), features.copy())

    def _with_margin(self, batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if len(batch) > len(self._framed):
            self._framed = self._frame(len(batch))
        inside = slice(self._margin, -self._margin)
        framed = self._framed[: len(batch)]
        framed[:, inside, inside] = batch
        return framed

    def _frame(self, count: int) -> NDArray[np.uint8]:
        side = self.size + 2 * self._margin
        return np.tile(self._mean, (count, side, side, 1))

    def warm_up(self, sizes: Iterable[int]) -> None:
        """Compiles the kernels of these batch sizes."""
        for count in sizes:
            self.infer(np.zeros((count, self.size, self.size, 3), np.uint8))
