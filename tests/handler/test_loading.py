"""What a predictor does before its first answer: it warms up, meets its golden images, and decodes for its crop."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load_file

from handler import backends
from handler.bundle import WEIGHTS, Bundle
from handler.errors import BundleError
from handler.predictor import Prediction, Predictor
from tests.handler import drawing
from tests.handler.conftest import Edit
from tests.handler.drawing import encoded

ROOT = Path(__file__).parents[2]


class Watched:
    """A backend that remembers for which sizes it was warmed, and may put its logits off."""

    def __init__(self, backend: backends.Backend, off: NDArray[np.float32]) -> None:
        self.name, self.precision = backend.name, backend.precision
        self.warmed: set[int] = set()
        self._backend = backend
        self._off = off

    def infer(self, batch: NDArray[np.uint8]) -> backends.Output:
        found = self._backend.infer(batch)
        return found._replace(logits=found.logits + self._off)

    def warm_up(self, sizes: Iterable[int]) -> None:
        self.warmed |= set(sizes)


def watched(monkeypatch: pytest.MonkeyPatch, folder: Path, *off: float) -> Watched:
    """The backend that predictors of this bundle get from now on."""
    shift = np.array(off or [0.0], np.float32)
    backend = Watched(backends.load(Bundle.load(folder), "fp32", threads=1), shift)
    monkeypatch.setattr(backends, "load", lambda *_: backend)
    return backend


def test_every_size_that_a_batch_may_have_is_warm_before_the_first_request(
    sigmoid_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = watched(monkeypatch, sigmoid_bundle)
    Predictor.load(sigmoid_bundle)
    largest = yaml.safe_load((ROOT / "model-config.yaml").read_text())["batchSize"]
    assert set(range(1, largest + 1)) <= backend.warmed


def test_golden_logits_that_are_no_numbers_are_not_met(sigmoid_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched(monkeypatch, sigmoid_bundle, math.nan)
    with pytest.raises(BundleError, match="golden"):
        Predictor.load(sigmoid_bundle)


def test_one_class_that_is_off_is_enough_to_refuse_a_bundle(
    softmax_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tolerance = Bundle.load(softmax_bundle).manifest.golden_tolerance["fp32"]
    watched(monkeypatch, softmax_bundle, *[0.0] * 6, 2 * tolerance)
    with pytest.raises(BundleError, match="golden"):
        Predictor.load(softmax_bundle)


def test_a_golden_image_must_have_a_logit_for_each_output(softmax_bundle: Path, edited: Edit) -> None:
    folder = edited(softmax_bundle, lambda manifest: manifest["golden"][0].update(logits=[0.0]))
    with pytest.raises(BundleError, match="golden logits must have 7 numbers"):
        Bundle.load(folder)


def test_the_limits_are_those_of_the_bundle(sigmoid_bundle: Path, edited: Edit) -> None:
    folder = edited(sigmoid_bundle, lambda manifest: manifest["limits"].update(max_pixels=200 * 150))
    answers = Predictor.load(folder, "fp32").predict(
        [encoded(drawing.lesion(1, *size)) for size in ((200, 150), (201, 150))]
    )
    assert [getattr(answer, "reason", None) for answer in answers] == [None, "too_many_pixels"]


def test_a_worker_takes_no_more_threads_than_it_is_told_and_no_core_for_itself(
    sigmoid_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, object]] = []
    compiling = openvino.Core.compile_model

    def seen(core: openvino.Core, model: object, device: str, config: dict[str, object]) -> object:
        given.append(config)
        return compiling(core, model, device, config)

    monkeypatch.setattr(openvino.Core, "compile_model", seen)
    Predictor.load(sigmoid_bundle, "int8", threads=1)
    assert [(config["INFERENCE_NUM_THREADS"], config["ENABLE_CPU_PINNING"]) for config in given] == [(1, False)]


def test_each_image_of_a_batch_has_the_map_of_its_own_classes(
    softmax_bundle: Path, edited: Edit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One feature map for both: what speaks for the first's class lies in one corner, for the second's in another."""
    folder = edited(softmax_bundle, lambda manifest: manifest.update(familiarity=None))
    bundle = Bundle.load(folder)
    names = [bundle.manifest.classes.index(name) for name in bundle.manifest.malignant[:2]]
    weights = load_file(folder / WEIGHTS)["head.weight"].astype(np.float32)
    features = np.zeros((2, 4, 4, weights.shape[1]), np.float32)
    features[:, 0, 0], features[:, 3, 3] = (weights[name] / np.linalg.norm(weights[name]) for name in names)
    logits = np.zeros((2, len(bundle.manifest.classes)), np.float32)
    logits[[0, 1], names] = 20.0
    predictor = Predictor.load(folder, "fp32", threads=1)
    monkeypatch.setattr(predictor.backend, "infer", lambda _: backends.Output(logits, features))
    first, second = predictor.predict([encoded(drawing.lesion(1))] * 2, explain=True)
    for answer, brighter in ((first, (0, 0)), (second, (-1, -1))):
        assert isinstance(answer, Prediction)
        assert answer.heatmap
        with Image.open(io.BytesIO(base64.b64decode(answer.heatmap.partition(",")[2]))) as image:
            strength = np.asarray(image, int)[..., 3]
        assert strength[brighter] == max(strength[0, 0], strength[-1, -1]) > min(strength[0, 0], strength[-1, -1]) + 20


def test_a_jpeg_is_decoded_large_enough_for_the_middle_that_a_crop_sees(sigmoid_bundle: Path, edited: Edit) -> None:
    def zoom(manifest: dict[str, Any]) -> None:
        manifest.update(golden=[], geometry=manifest["geometry"] | {"crop": 0.5})

    predictor = Predictor.load(edited(sigmoid_bundle, zoom), "fp32", threads=1)
    image = drawing.lesion(1, 512, 512)
    jpeg, png = predictor.predict([encoded(image, quality=100), encoded(image, "PNG")])
    assert isinstance(jpeg, Prediction)
    assert isinstance(png, Prediction)
    assert jpeg.quality.sharpness > 0.9 * png.quality.sharpness


def test_the_label_is_that_of_the_probability_that_is_told(
    sigmoid_bundle: Path, edited: Edit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest.update(familiarity=None, temperature=1.0)
        for threshold in manifest["thresholds"]:
            threshold["value"] = 0.5

    predictor = Predictor.load(edited(sigmoid_bundle, change), "fp32", threads=1)
    features = np.zeros((1, 4, 4, 8), np.float32)
    just_below = backends.Output(np.array([[-1e-6]], np.float32), features)
    monkeypatch.setattr(predictor.backend, "infer", lambda _: just_below)
    [answer] = predictor.predict([encoded(drawing.lesion(1))])
    assert isinstance(answer, Prediction)
    assert (answer.probability, answer.threshold, answer.label) == (0.5, 0.5, "malignant")
