"""TorchServe's way to the predictor, and the only file that knows TorchServe.

TorchServe imports this module from the root of the archive, beside the packages `handler` and the folder `bundle`,
and takes the one class that it finds.
"""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ts.context import Context
from ts.metrics.metric_type_enum import MetricTypes

from handler import backends, telemetry
from handler.bundle import CARD, Bundle
from handler.errors import BackendError, BundleError, Rejection
from handler.predictor import Prediction, Predictor

JSON = "application/json"

Timings = Mapping[telemetry.Stage, float]


class LesionHandler:
    """Bytes in, the wire's JSON out; a refused image never disturbs its neighbours in the batch."""

    def initialize(self, context: Context) -> None:
        """Loads, verifies and warms up the model; a bundle that must not be served ends the worker with one line."""
        folder = Path(context.system_properties["model_dir"]) / "bundle"
        threads = int(os.environ.get("DERMSERVE_THREADS", "1"))
        try:
            self.predictor = Predictor.load(folder, backend=backend(folder, context), threads=threads)
        except (BundleError, BackendError) as error:
            raise SystemExit(f"worker refused to start: {error}") from None
        self.folder = folder
        self.batch_size = int(context.system_properties["batch_size"] or 1)
        self.model_name = context.model_name
        self.lines = io.StringIO()
        self.outlet = logging.StreamHandler(self.lines)
        self._gather_metric_lines()
        # Metrics are written while the answers are already on their way.
        self.afterwards = ThreadPoolExecutor(1, "metrics")

    def handle(self, data: list[dict[str, Any]], context: Context) -> list[str]:
        """One answer a request, each with its own status."""
        # TorchServe asks alone and sends no image. A client's header of this name asks for nothing.
        if len(data) == 1 and not body(data[0]) and context.get_request_header(0, "describe") == "True":
            return [json.dumps(self.describe_handle())]
        explained = [i for i in range(len(data)) if context.get_request_header(i, "explain") == "True"]
        plain = [i for i in range(len(data)) if i not in explained]
        answers: dict[int, Prediction | Rejection] = {}
        timings: list[Timings] = []
        for indices, explain in ((plain, False), (explained, True)):
            if indices:
                results = self.predictor.predict([body(data[i]) for i in indices], explain=explain)
                answers.update(zip(indices, results, strict=True))
                timings.append(self.predictor.timings)
        self.afterwards.submit(self._tell, timings, list(answers.values()), context)
        return [self._respond(i, answers[i], context) for i in range(len(data))]

    def explain_handle(self, data: list[dict[str, Any]], context: Context) -> list[str]:
        """The same, with a heat map for every image. TorchServe itself marks such requests with a header instead."""
        for request in context.request_processor:
            request.get_request_properties()["explain"] = "True"
        return self.handle(data, context)

    def describe_handle(self) -> dict[str, Any]:
        """What the management API tells with ?customized=true: the manifest and the model card."""
        bundle = Bundle.load(self.folder, verify=False)
        manifest = bundle.manifest.model_dump(mode="json", exclude={"files", "golden"})
        card = self.folder / CARD
        return {
            "manifest": manifest | {"sha256": bundle.sha256},
            "card": card.read_text(encoding="utf-8") if card.exists() else "",
        }

    def _respond(self, index: int, answer: Prediction | Rejection, context: Context) -> str:
        context.set_response_content_type(index, JSON)
        if isinstance(answer, Rejection):
            context.set_response_status(answer.status, idx=index)
        return json.dumps(answer.wire())

    def _gather_metric_lines(self) -> None:
        # A metric reaches TorchServe as a line on stdout. Writing the lines of a batch at once wakes its reader once.
        logger = logging.getLogger("ts.metrics.caching_metric")
        logger.handlers = [self.outlet]
        logger.setLevel(logging.INFO)
        logger.propagate = False

    def _emit(self, context: Context, kind: MetricTypes, name: str, value: float, *labels: str) -> None:
        metric = context.metrics.get_metric(name, kind)
        metric.add_or_update(round(value, 6), [*labels, self.model_name, "Model"])

    def _tell(self, timings: list[Timings], answers: list[Prediction | Rejection], context: Context) -> None:
        try:
            self._emit_stages(timings, context)
            self._emit_outcomes(answers, context)
            self._write()
        except Exception:
            # Nobody waits for the result, so that it would vanish.
            logging.exception("metrics of a batch are lost")

    def _emit_stages(self, timings: list[Timings], context: Context) -> None:
        for stages in timings:
            for stage, seconds in stages.items():
                self._emit(context, MetricTypes.HISTOGRAM, telemetry.STAGE_SECONDS, seconds, stage)

    def _emit_outcomes(self, answers: list[Prediction | Rejection], context: Context) -> None:
        predictions = [answer for answer in answers if isinstance(answer, Prediction)]
        for outcome, count in Counter(prediction.label for prediction in predictions).items():
            self._emit(context, MetricTypes.COUNTER, telemetry.PREDICTIONS, count, outcome)
        for reason, count in Counter(answer.reason for answer in answers if isinstance(answer, Rejection)).items():
            self._emit(context, MetricTypes.COUNTER, telemetry.REJECTIONS, count, reason)
        for prediction in predictions:
            if prediction.probability is not None:
                self._emit(context, MetricTypes.HISTOGRAM, telemetry.SCORE, prediction.probability)
        self._emit(context, MetricTypes.HISTOGRAM, telemetry.BATCH_FILL, len(answers) / self.batch_size)

    def _write(self) -> None:
        # TorchServe itself adds a line a batch, from the thread that predicts.
        self.outlet.acquire()
        try:
            told = self.lines.getvalue()
            self.lines.seek(0)
            self.lines.truncate()
        finally:
            self.outlet.release()
        sys.stdout.write(told)
        sys.stdout.flush()


def backend(folder: Path, context: Context) -> str:
    """DERMSERVE_BACKEND or what suits the machine; on several GPUs the one that TorchServe gave this worker."""
    name = os.environ.get("DERMSERVE_BACKEND") or backends.choose(Bundle.load(folder, verify=False).manifest)
    gpu = context.system_properties.get("gpu_id")
    return f"{name}:{gpu}" if name == "torch-cuda" and gpu is not None else name


def body(row: dict[str, Any]) -> bytes:
    """The image of a request: multipart field `data`, or the raw body."""
    value = row["data"] if "data" in row else row.get("body", b"")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    # TorchServe decodes text and JSON bodies unless it is told not to; neither is an image.
    return (value if isinstance(value, str) else json.dumps(value)).encode()
