"""The one contract: bytes in, answers out, in order, whatever the neighbours are."""

from __future__ import annotations

import base64
import io
import json
import pkgutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from handler.errors import EmptyBody, NotAnImage, Rejection, TruncatedImage
from handler.familiarity import FamiliarityReference
from handler.notice import NOTICE
from handler.predictor import Prediction, Predictor
from handler.telemetry import STAGES
from tests.handler import drawing
from tests.handler.conftest import Edit, describe
from tests.handler.drawing import encoded

LESIONS = [encoded(drawing.lesion(seed), quality=92) for seed in range(6)]
BAD = [b"", b"not an image", LESIONS[0][:900]]
FIELDS = ["label", "probability", "threshold", "sensitivity", "reasons", "quality", "model", "notice"]


def predictions(answers: list[Prediction | Rejection]) -> list[Prediction]:
    assert all(isinstance(answer, Prediction) for answer in answers)
    return [answer for answer in answers if isinstance(answer, Prediction)]


def test_the_wire_of_a_sigmoid(sigmoid: Predictor) -> None:
    [answer] = predictions(sigmoid.predict(LESIONS[:1]))
    wire = json.loads(json.dumps(answer.wire()))
    assert list(wire) == FIELDS
    manifest = sigmoid.manifest
    logit = sigmoid.logits(LESIONS[:1])[0, 0]
    assert wire["probability"] == pytest.approx(1 / (1 + np.exp(-logit / manifest.temperature)), abs=1e-6)
    assert wire["threshold"] == manifest.threshold.value
    assert wire["sensitivity"] == 0.95
    assert wire["label"] == ("malignant" if wire["probability"] >= wire["threshold"] else "benign")
    assert wire["notice"] == NOTICE
    assert set(wire["quality"]) == {"sharpness", "exposure", "familiarity"}
    assert all(0 <= value <= 1 for value in wire["quality"].values())
    assert wire["model"]["name"] == "lesion"
    assert len(wire["model"]["sha256"]) == 64


def test_the_wire_of_a_softmax(softmax: Predictor) -> None:
    [answer] = predictions(softmax.predict(LESIONS[:1]))
    wire = answer.wire()
    assert list(wire) == [*FIELDS, "classes"]
    assert list(wire["classes"]) == softmax.manifest.classes
    assert sum(wire["classes"].values()) == pytest.approx(1, abs=1e-5)
    malignant = sum(wire["classes"][name] for name in softmax.manifest.malignant)
    assert wire["probability"] == pytest.approx(malignant, abs=1e-5)


def test_bad_neighbours_change_nothing(sigmoid: Predictor) -> None:
    alone = [predictions(sigmoid.predict([data]))[0] for data in LESIONS]
    mixed = [item for pair in zip(LESIONS, BAD * 2, strict=True) for item in pair]
    answers = sigmoid.predict(mixed)
    assert [type(answer) for answer in answers[1::2]] == [EmptyBody, NotAnImage, TruncatedImage] * 2
    for together, single in zip(predictions(answers[::2]), alone, strict=True):
        assert together.label == single.label
        assert together.quality == single.quality
        assert together.probability == pytest.approx(single.probability, abs=1e-4)


def textual_bits() -> bytes:
    """A TIFF whose bits a sample are text, which neither Pillow nor anyone else can read."""
    entries = [(256, 4, 1, 64), (257, 4, 1, 64), (258, 2, 4, 0x383838), (259, 3, 1, 1)]
    return b"II*\0" + struct.pack("<IH", 8, 4) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)


def test_a_tiff_that_says_its_bits_as_text_changes_nothing_for_its_neighbours(sigmoid: Predictor) -> None:
    [first, refused, last] = sigmoid.predict([LESIONS[0], textual_bits(), LESIONS[1]])
    assert isinstance(refused, TruncatedImage)
    assert len(predictions([first, last])) == 2


@pytest.mark.parametrize("stumbling", ["handler.predictor.decode", "handler.predictor.quality.look"])
@pytest.mark.parametrize("count", [1, 4])
def test_an_image_that_nobody_foresaw_is_refused_alone_and_logged_without_its_content(
    sigmoid: Predictor,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    stumbling: str,
    count: int,
) -> None:
    alone = [predictions(sigmoid.predict([data]))[0] for data in LESIONS[1:count]]
    honest, calls, content = pkgutil.resolve_name(stumbling), 0, LESIONS[0][:20].hex()

    def stumble(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise TypeError(content)
        return honest(*arguments)

    monkeypatch.setattr(stumbling, stumble)
    refused, *others = sigmoid.predict(LESIONS[:count], explain=True)
    assert isinstance(refused, Rejection)
    assert 400 <= refused.status < 500
    assert [answer.quality for answer in predictions(others)] == [answer.quality for answer in alone]
    [record] = caplog.records
    assert "TypeError" in record.getMessage()
    assert "in stumble" in record.getMessage()
    assert content not in caplog.text


def test_nothing_to_do(sigmoid: Predictor) -> None:
    assert sigmoid.predict([]) == []
    assert [type(answer) for answer in sigmoid.predict(BAD)] == [EmptyBody, NotAnImage, TruncatedImage]


def test_an_explanation_is_the_same_answer_and_more(sigmoid: Predictor) -> None:
    [plain] = predictions(sigmoid.predict(LESIONS[:1]))
    [explained] = predictions(sigmoid.predict(LESIONS[:1], explain=True))
    wire = explained.wire()
    assert list(wire) == [*FIELDS, "heatmap", "legend", "features"]
    assert {name: wire[name] for name in FIELDS} == plain.wire()
    assert wire["heatmap"].startswith("data:image/png;base64,")
    assert np.linalg.norm(wire["features"]) == pytest.approx(1, abs=1e-3)


def opened(uri: str | None) -> np.ndarray:
    assert uri
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))), int)


def test_each_image_of_a_batch_is_explained_by_its_own_features_and_logits(softmax: Predictor) -> None:
    images = [*LESIONS[:3], *(encoded(draw(1)) for draw in (drawing.page, drawing.noise, drawing.scene))]
    alone = [predictions(softmax.predict([data], explain=True))[0] for data in images]
    together = predictions(softmax.predict(images, explain=True))
    for one, other in zip(alone, together, strict=True):
        assert other.features == pytest.approx(one.features, abs=1e-3)
        assert np.abs(opened(one.heatmap) - opened(other.heatmap)).max() <= 3
    assert together[0].features != pytest.approx(together[1].features, abs=1e-2)


def test_stages_are_timed(sigmoid: Predictor) -> None:
    sigmoid.predict(LESIONS[:2], explain=True)
    assert set(sigmoid.timings) == set(STAGES)
    assert all(seconds > 0 for seconds in sigmoid.timings.values())
    sigmoid.predict(BAD)
    assert set(sigmoid.timings) == {"decode"}


def test_logits_raise_the_first_rejection(sigmoid: Predictor) -> None:
    assert sigmoid.logits(LESIONS).shape == (len(LESIONS), 1)
    with pytest.raises(NotAnImage):
        sigmoid.logits([LESIONS[0], BAD[1]])


@pytest.mark.parametrize("explain", [False, True])
def test_a_blurred_image_gets_no_probability(softmax_bundle: Path, edited: Edit, explain: bool) -> None:
    strict = {"min_sharpness": 1.0, "min_exposure": 0.0, "min_familiarity": 0.0}
    predictor = Predictor.load(edited(softmax_bundle, lambda manifest: manifest.update(quality=strict)), "fp32")
    wire = predictions(predictor.predict(LESIONS[:1], explain=explain))[0].wire()
    assert (wire["label"], wire["probability"], wire["reasons"]) == ("abstain", None, ["blurred"])
    assert "classes" not in wire


def test_what_is_no_lesion_abstains(sigmoid_bundle: Path, edited: Edit) -> None:
    import handler.familiarity as familiarity

    plain = Predictor.load(sigmoid_bundle, "fp32")
    images = [drawing.lesion(seed) for seed in range(200)]
    batch = np.stack([plain.manifest.geometry.apply(image) for image in images])
    features = plain.backend.infer(batch).features.mean((1, 2))
    described = np.stack([describe(image) for image in images])
    reference: FamiliarityReference = familiarity.fit(features[:140], described[:140], features[140:], described[140:])

    def demand(manifest: dict[str, Any]) -> None:
        manifest["familiarity"] = "familiarity.safetensors"
        manifest["quality"] = {"min_sharpness": 0.0, "min_exposure": 0.0, "min_familiarity": 0.01}

    folder = edited(sigmoid_bundle, lambda _: None)
    reference.save(folder / "familiarity.safetensors")
    edited(sigmoid_bundle, demand, refresh=("familiarity.safetensors",))
    predictor = Predictor.load(folder, "fp32")

    others = [encoded(draw(seed)) for draw in (drawing.noise, drawing.page, drawing.scene) for seed in range(4)]
    for answer in predictions(predictor.predict(others)):
        assert answer.reasons == ["unfamiliar"]
    unseen = predictions(predictor.predict([encoded(drawing.lesion(seed)) for seed in range(500, 540)]))
    assert sum(answer.label == "abstain" for answer in unseen) < 12


def test_importing_the_package_is_cheap() -> None:
    program = (
        "import sys, handler, handler.predictor, handler.telemetry, handler.notice\n"
        "heavy = {'torch', 'openvino', 'ts', 'lightning_module', 'gateway', 'pandas'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or None)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
