"""The one contract: Predictor.load(bundle).predict(list of image bytes) -> list of Prediction | Rejection."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from handler import backends, decision, familiarity, quality
from handler.bundle import Bundle
from handler.decode import decode
from handler.errors import BundleError, Rejection, TruncatedImage
from handler.explain import Explainer
from handler.familiarity import FamiliarityReference
from handler.manifest import Manifest
from handler.telemetry import Stage

Pixels = NDArray[np.uint8]
WARM_SIZES = range(1, 9)

logger = logging.getLogger(__name__)


class Measured(BaseModel):
    """The image's quality, each from 0 to 1."""

    model_config = ConfigDict(frozen=True)

    sharpness: float
    exposure: float
    familiarity: float


class Model(BaseModel):
    """Which model answered."""

    model_config = ConfigDict(frozen=True)

    name: str
    version: str
    sha256: str


class Seen(NamedTuple):
    """What is judged from the pixels of a batch alone; what stands for an `unmeasured` image means nothing."""

    qualities: list[quality.Quality]
    descriptors: NDArray[np.float32]
    unmeasured: dict[int, Rejection]


class Prediction(BaseModel):
    """The answer for one image; `probability` and `classes` are None when the model abstains."""

    model_config = ConfigDict(frozen=True)

    label: decision.Label
    probability: float | None
    threshold: float
    sensitivity: float
    reasons: list[str]
    quality: Measured
    model: Model
    notice: str
    classes: dict[str, float] | None = None
    heatmap: str | None = None
    legend: str | None = None
    features: list[float] | None = None

    def wire(self) -> dict[str, Any]:
        """The JSON body of the answer: what does not apply to this model or request is left out."""
        body = self.model_dump()
        for optional in ("classes", "heatmap", "legend", "features"):
            if body[optional] is None:
                del body[optional]
        return body


class Predictor:
    """A verified bundle, loaded and warm. Calls must not overlap; run one predictor a process."""

    def __init__(self, bundle: Bundle, backend: backends.Backend) -> None:
        self.bundle = bundle
        self.manifest: Manifest = bundle.manifest
        self.backend = backend
        self.timings: dict[Stage, float] = {}
        self._model = Model(name=self.manifest.name, version=self.manifest.version, sha256=bundle.sha256)
        self._explainer = Explainer(bundle)
        self._beside = ThreadPoolExecutor(1, "quality")
        self._reference: FamiliarityReference | None = None
        if self.manifest.familiarity is not None:
            self._reference = FamiliarityReference.load(bundle.path(self.manifest.familiarity))

    @classmethod
    def load(cls, source: str | Path, backend: str | None = None, threads: int | None = None) -> Predictor:
        """Checks the hash of every file and the golden images, and warms up. `source` is a bundle's folder or a .mar.

        Raises BundleError or BackendError, each one line, for what must not or cannot be served.
        """
        bundle = Bundle.load(source)
        predictor = cls(bundle, backends.load(bundle, backend, threads))
        predictor._check_golden_images(bundle)
        predictor.backend.warm_up(WARM_SIZES)
        return predictor

    def predict(self, items: list[bytes], explain: bool = False) -> list[Prediction | Rejection]:
        """One answer an item, in order; a refused item changes nothing for the others."""
        self.timings = {}
        with self._timed("decode"):
            decoded = [self._pixels(item) for item in items]
        accepted = [entry for entry in decoded if isinstance(entry, np.ndarray)]
        answers = iter(self._answer(np.stack(accepted), explain)) if accepted else iter(())
        return [entry if isinstance(entry, Rejection) else next(answers) for entry in decoded]

    def logits(self, items: list[bytes]) -> NDArray[np.float32]:
        """The network's raw outputs [N, C]; raises the Rejection of the first item that is refused."""
        pixels = []
        for item in items:
            entry = self._pixels(item)
            if isinstance(entry, Rejection):
                raise entry
            pixels.append(entry)
        return self.backend.infer(np.stack(pixels)).logits

    def _pixels(self, data: bytes) -> Pixels | Rejection:
        geometry = self.manifest.geometry
        try:
            return geometry.apply(decode(data, self.manifest.limits, geometry.target))
        except Rejection as rejection:
            return rejection
        except Exception as error:
            return _stumbled(error)

    def _answer(self, batch: Pixels, explain: bool) -> list[Prediction | Rejection]:
        # Of a lone image the quality is judged while the network runs. A batch means that no core is idle.
        looking = self._beside.submit(_look, batch) if len(batch) == 1 else None
        with self._timed("inference"):
            logits, features = self.backend.infer(batch)
        with self._timed("quality"):
            pooled = features.mean((1, 2))
            seen = looking.result() if looking else _look(batch)
            measured = self._measure(seen, pooled)
        with self._timed("decision"):
            calibrated = decision.calibrate(self.manifest, logits)
            fields = [self._decide(i, calibrated, measured[i]) for i in range(len(batch))]
        if explain:
            with self._timed("explain"):
                for i, field in enumerate(fields):
                    field["heatmap"] = self._explainer.heatmap(features[i], logits[i])
                    field["legend"] = self._explainer.legend
                    field["features"] = _unit(pooled[i])
        return [seen.unmeasured.get(i) or Prediction(**field) for i, field in enumerate(fields)]

    def _measure(self, seen: Seen, pooled: NDArray[np.float32]) -> list[Measured]:
        known = np.ones(len(pooled)) if self._reference is None else self._reference.score(pooled, seen.descriptors)
        return [
            Measured(sharpness=round(q.sharpness, 4), exposure=round(q.exposure, 4), familiarity=round(float(k), 4))
            for q, k in zip(seen.qualities, known, strict=True)
        ]

    def _decide(self, index: int, calibrated: decision.Calibrated, measured: Measured) -> dict[str, Any]:
        threshold = self.manifest.threshold
        reasons = decision.reasons(self.manifest.quality, **measured.model_dump())
        probability = round(float(calibrated.malignant[index]), decision.DIGITS)
        classes = None
        if calibrated.classes is not None and not reasons:
            scores = calibrated.classes[index]
            classes = {n: round(float(p), decision.DIGITS) for n, p in zip(self.manifest.classes, scores, strict=True)}
        return {
            "label": "abstain" if reasons else decision.label(probability, threshold.value),
            "probability": None if reasons else probability,
            "threshold": threshold.value,
            "sensitivity": threshold.sensitivity,
            "reasons": reasons,
            "quality": measured,
            "model": self._model,
            "notice": self.manifest.notice,
            "classes": classes,
        }

    def _check_golden_images(self, bundle: Bundle) -> None:
        tolerance = self.manifest.golden_tolerance.get(self.backend.precision)
        for golden in self.manifest.golden:
            path = bundle.path(golden.file)
            try:
                found = self.logits([path.read_bytes()])[0]
            except Rejection as rejection:
                raise BundleError(f"{path} cannot be decoded ({rejection.message}): make the bundle again") from None
            gap = float(np.abs(found - golden.logits).max())
            if tolerance is None or not gap <= tolerance:
                raise BundleError(
                    f"{path} gives logits {gap:.3g} off on backend {self.backend.name}, more than {tolerance} allowed: "
                    "make the bundle again, or choose another backend"
                )

    @contextmanager
    def _timed(self, stage: Stage) -> Iterator[None]:
        start = perf_counter()
        yield
        self.timings[stage] = perf_counter() - start


def _look(batch: Pixels) -> Seen:
    qualities = [quality.Quality(0.0, 0.0)] * len(batch)
    descriptors = np.zeros((len(batch), familiarity.LENGTH), np.float32)
    unmeasured: dict[int, Rejection] = {}
    for i, pixels in enumerate(batch):
        try:
            look = quality.look(pixels)
            qualities[i], descriptors[i] = quality.measure(look), familiarity.describe(look)
        except Exception as error:
            unmeasured[i] = _stumbled(error)
    return Seen(qualities, descriptors, unmeasured)


def _stumbled(error: Exception) -> Rejection:
    """The refusal of an image over a fault of ours, which must not take the image's neighbours with it."""
    # What the error says may quote the image.
    place = "".join(traceback.format_tb(error.__traceback__))
    logger.error("an image could not be read: %s\n%s", type(error).__name__, place)
    return TruncatedImage("The image could not be read. Save it anew, as JPEG or PNG, and send that.")


def _unit(vector: NDArray[np.float32]) -> list[float]:
    length = float(np.linalg.norm(vector)) or 1.0
    return [round(float(x) / length, 5) for x in vector]
