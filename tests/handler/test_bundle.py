"""A bundle that is not what its manifest says is refused in one line that names the file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from handler.bundle import MANIFEST, Bundle
from handler.errors import BundleError
from handler.predictor import Predictor
from lightning_module import archive
from tests.handler.conftest import Edit

RANGE = {"lower": 0.3, "upper": 0.4, "images": 4, "malignant": 1, "mean_score": 0.35}


def refusal(folder: Path, load: Any = Bundle.load) -> str:
    with pytest.raises(BundleError) as caught:
        load(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_sound_bundle_loads(sigmoid_bundle: Path) -> None:
    bundle = Bundle.load(sigmoid_bundle)
    assert bundle.manifest.outputs == 1
    assert bundle.manifest.malignant_indices == [0]
    assert re.fullmatch(r"[0-9a-f]{64}", bundle.sha256)


def test_softmax_outputs_and_indices(softmax_bundle: Path) -> None:
    manifest = Bundle.load(softmax_bundle).manifest
    assert manifest.outputs == len(manifest.classes)
    assert [manifest.classes[i] for i in manifest.malignant_indices] == manifest.malignant


def test_every_file_is_vouched_for(sigmoid_bundle: Path, edited: Edit) -> None:
    folder = edited(sigmoid_bundle, lambda _: None)
    for name in Bundle.load(folder).manifest.files:
        path = folder / name
        original = path.read_bytes()
        path.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
        assert str(path) in refusal(folder)
        path.unlink()
        assert str(path) in refusal(folder)
        path.write_bytes(original)
    Bundle.load(folder)


def test_an_unlisted_file_is_never_opened(sigmoid_bundle: Path) -> None:
    with pytest.raises(BundleError, match=r"other\.bin"):
        Bundle.load(sigmoid_bundle).path("other.bin")


def test_no_bundle_and_no_json(tmp_path: Path) -> None:
    assert "nothing does not exist" in refusal(tmp_path / "nothing")
    assert f"{MANIFEST} cannot be read" in refusal(tmp_path)
    (tmp_path / MANIFEST).write_text("{")
    assert MANIFEST in refusal(tmp_path)


@pytest.mark.parametrize("test", [{}, {"images": 4}, {"images": 4, "reliability": [RANGE]}])
def test_a_bundle_may_tell_more_or_less_of_its_test(sigmoid_bundle: Path, edited: Edit, test: dict[str, Any]) -> None:
    report = {"split": {"seed": 0}, "test": test}
    folder = edited(sigmoid_bundle, lambda manifest: manifest.update(report=report))
    assert Bundle.load(folder).manifest.report == report


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"schema_version": 3}, "schema_version"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"operating_point": 0.5}, "operating point"),
        ({"malignant": ["other"]}, "malignant"),
        ({"surprise": 1}, "surprise"),
        ({"files": {"../secret": "0" * 64}}, "inside the bundle"),
        ({"files": {"/etc/passwd": "0" * 64}}, "inside the bundle"),
        ({"files": {"a\0b": "0" * 64}}, "inside the bundle"),
        ({"backends": {"int8": "elsewhere.xml"}}, "elsewhere.xml"),
        ({"head": "softmax", "classes": ["malignant"]}, "softmax"),
        ({"reference_scores": {"edges": [0.0, 1.0], "counts": [1, 2]}}, "histogram"),
        ({"reference_scores": {"edges": [0.0, 0.5, 0.5], "counts": [1, 2]}}, "edges must rise"),
        ({"report": {"test": 3}}, "test: Input should be"),
        ({"report": {"test": {"reliability": [{"lower": 0.1}]}}}, "test.reliability.0.upper: Field required"),
        ({"report": {"test": {"reliability": [RANGE | {"lower": 0.5}]}}}, "a range of scores rises"),
        ({"report": {"test": {"reliability": [RANGE | {"malignant": 5}]}}}, "no more malignant images than images"),
    ],
)
def test_a_manifest_must_make_sense(sigmoid_bundle: Path, edited: Edit, change: dict[str, Any], complaint: str) -> None:
    folder = edited(sigmoid_bundle, lambda manifest: manifest.update(change))
    message = refusal(folder)
    assert complaint in message
    assert MANIFEST in message


def test_golden_logits_must_be_met(sigmoid_bundle: Path, edited: Edit) -> None:
    def shift(manifest: dict[str, Any]) -> None:
        manifest["golden"][1]["logits"][0] += 0.5
        manifest["golden_tolerance"] = {"fp32": 0.4}

    folder = edited(sigmoid_bundle, shift)
    message = refusal(folder, lambda path: Predictor.load(path, "fp32"))
    assert manifest_golden(folder)[1] in message
    # A precision without a tolerance has not been measured, so it is not served either.
    assert manifest_golden(folder)[0] in refusal(folder, lambda path: Predictor.load(path, "int8"))


def test_within_the_tolerance_a_golden_image_passes(sigmoid_bundle: Path, edited: Edit) -> None:
    def loosen(manifest: dict[str, Any]) -> None:
        manifest["golden"][1]["logits"][0] += 0.5
        manifest["golden_tolerance"] = {"fp32": 0.6}

    Predictor.load(edited(sigmoid_bundle, loosen), "fp32")


def test_a_golden_file_that_is_no_image_is_named(sigmoid_bundle: Path, edited: Edit) -> None:
    folder = edited(sigmoid_bundle, lambda _: None)
    name = manifest_golden(folder)[0]
    (folder / name).write_bytes(b"not an image")
    edited(sigmoid_bundle, lambda _: None, refresh=(name,))
    assert name in refusal(folder, lambda path: Predictor.load(path, "fp32"))


def test_a_graph_that_is_none_is_named(sigmoid_bundle: Path, edited: Edit) -> None:
    folder = edited(sigmoid_bundle, lambda _: None)
    name = json.loads((folder / MANIFEST).read_text())["backends"]["fp32"]
    (folder / name).write_text("<net/>")
    edited(sigmoid_bundle, lambda _: None, refresh=(name,))
    assert name in refusal(folder, lambda path: Predictor.load(path, "fp32"))


def manifest_golden(folder: Path) -> list[str]:
    return [golden["file"] for golden in json.loads((folder / MANIFEST).read_text())["golden"]]


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest["thresholds"][-1].update(value=0.9),
        lambda manifest: manifest["quality"].update(min_sharpness=0.0),
        lambda manifest: manifest.update(notice="Approved for diagnosis."),
        lambda manifest: manifest.update(seal="0" * 64),
        lambda manifest: manifest.pop("seal"),
    ],
)
def test_an_edited_manifest_is_refused(sigmoid_bundle: Path, edited: Edit, change: Any) -> None:
    folder = edited(sigmoid_bundle, lambda _: None)
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))
    for load in (Bundle.load, Predictor.load, lambda path: archive.archive(path, folder / "out.mar")):
        assert f"{folder / MANIFEST} was edited since it was made" in refusal(folder, load)


def test_a_manifest_laid_out_anew_is_the_same_manifest(sigmoid_bundle: Path, edited: Edit) -> None:
    folder = edited(sigmoid_bundle, lambda _: None)
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(dict(reversed(manifest.items())), indent=4))
    Bundle.load(folder)


def test_the_seal_is_no_part_of_what_a_manifest_tells(sigmoid_bundle: Path) -> None:
    assert "seal" not in Bundle.load(sigmoid_bundle).manifest.model_dump()
