"""The real TorchServe with a real archive speaks the wire of DESIGN.md."""

from __future__ import annotations

import base64
import concurrent.futures
import io
import json

import httpx
import numpy as np
import pytest
from PIL import Image

from handler.errors import REJECTIONS
from handler.notice import NOTICE
from handler.predictor import Prediction, Predictor
from tests.stack import images
from tests.torchserve import TorchServe

pytestmark = pytest.mark.stack


def test_every_field_of_a_prediction(torchserve: TorchServe) -> None:
    answer = torchserve.predict(torchserve.example)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert set(told) == {
        "label",
        "probability",
        "threshold",
        "sensitivity",
        "reasons",
        "quality",
        "model",
        "notice",
    }
    assert told["label"] in ("malignant", "benign")
    assert 0 <= told["probability"] <= 1
    assert told["label"] == ("malignant" if told["probability"] >= told["threshold"] else "benign")
    assert told["sensitivity"] == 0.95
    assert told["reasons"] == []
    assert set(told["quality"]) == {"sharpness", "exposure", "familiarity"}
    assert all(0 <= value <= 1 for value in told["quality"].values())
    assert (told["model"]["name"], told["model"]["version"]) == ("lesion", "1.0")
    assert len(told["model"]["sha256"]) == 64
    assert told["notice"] == NOTICE


@pytest.mark.parametrize("content_type", ["image/jpeg", "application/octet-stream", "text/plain", "application/json"])
def test_a_raw_body_of_any_content_type(torchserve: TorchServe, content_type: str) -> None:
    url = f"{torchserve.inference_url}/predictions/lesion"
    answer = httpx.post(url, content=torchserve.example, headers={"Content-Type": content_type})
    assert answer.json() == torchserve.predict(torchserve.example).json()


def test_multipart_field_data(torchserve: TorchServe) -> None:
    url = f"{torchserve.inference_url}/predictions/lesion"
    answer = httpx.post(url, files={"data": ("mole.jpg", torchserve.example, "image/jpeg")})
    assert answer.json() == torchserve.predict(torchserve.example).json()


@pytest.mark.parametrize(("reason", "body"), images.REFUSED.items(), ids=images.REFUSED)
def test_every_refusal_has_its_status_and_reason(torchserve: TorchServe, reason: str, body: bytes) -> None:
    answer = torchserve.predict(body)
    error = answer.json()["error"]
    expected = {rejection.reason: rejection.status for rejection in REJECTIONS}
    assert (error["reason"], answer.status_code) == (reason, expected[reason])
    assert len(error["message"]) > 20
    assert answer.headers["content-type"] == "application/json"


def test_every_reason_is_tried() -> None:
    assert set(images.REFUSED) == {rejection.reason for rejection in REJECTIONS}


def test_bad_images_do_not_disturb_their_neighbours(torchserve: TorchServe) -> None:
    expected = torchserve.predict(torchserve.example).json()
    bodies = [torchserve.example if i % 2 else images.REFUSED["not_an_image"] for i in range(48)]
    with concurrent.futures.ThreadPoolExecutor(len(bodies)) as pool:
        answers = list(pool.map(torchserve.predict, bodies))
    assert [answer.status_code for answer in answers] == [200 if i % 2 else 415 for i in range(48)]
    for answer in answers[1::2]:
        told = answer.json()
        assert told["label"] == expected["label"]
        # int8 rounding may differ with the size of the batch.
        assert told["probability"] == pytest.approx(expected["probability"], abs=0.02)


def test_a_clients_header_does_not_disturb_its_neighbours(torchserve: TorchServe) -> None:
    url = f"{torchserve.inference_url}/predictions/lesion"

    def ask(number: int) -> httpx.Response:
        return httpx.post(url, content=torchserve.example, headers={"describe": "True"} if number % 2 else {})

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(ask, range(48)))
    assert {(answer.status_code, "label" in answer.json()) for answer in answers} == {(200, True)}


def test_an_explanation_adds_a_heat_map(torchserve: TorchServe) -> None:
    plain = torchserve.predict(torchserve.example).json()
    told = torchserve.predict(torchserve.example, "explanations").json()
    assert {key: told[key] for key in plain} == plain
    head, encoded = told["heatmap"].split(",", 1)
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
        assert image.width == image.height
    assert np.linalg.norm(told["features"]) == pytest.approx(1, abs=0.01)


def test_explanations_and_predictions_mix_in_a_batch(torchserve: TorchServe) -> None:
    verbs = ["explanations" if i % 3 == 0 else "predictions" for i in range(24)]
    with concurrent.futures.ThreadPoolExecutor(len(verbs)) as pool:
        answers = list(pool.map(lambda verb: torchserve.predict(torchserve.example, verb).json(), verbs))
    assert ["heatmap" in answer for answer in answers] == [verb == "explanations" for verb in verbs]


def test_abstention_gives_reasons_and_no_probability(torchserve: TorchServe) -> None:
    answer = torchserve.predict(images.blank())
    told = answer.json()
    assert answer.status_code == 200
    assert (told["label"], told["probability"]) == ("abstain", None)
    assert "blurred" in told["reasons"]


def test_the_server_gives_the_predictors_numbers(torchserve: TorchServe, predictor: Predictor) -> None:
    bodies = [images.lesion(seed) for seed in range(6)]
    for body, expected in zip(bodies, [predictor.predict([body])[0] for body in bodies], strict=True):
        assert isinstance(expected, Prediction)
        told = torchserve.predict(body).json()
        wire = json.loads(json.dumps(expected.wire()))
        assert told["label"] == wire["label"]
        assert told["quality"] == pytest.approx(wire["quality"], abs=1e-3)
        assert told["probability"] == pytest.approx(wire["probability"], abs=1e-5)


def test_the_management_api_describes_the_model(torchserve: TorchServe, predictor: Predictor) -> None:
    [told] = httpx.get(f"{torchserve.management_url}/models/lesion?customized=true").json()
    described = told["customizedMetadata"]
    manifest = predictor.manifest
    assert described["manifest"]["architecture"] == manifest.architecture
    assert described["manifest"]["reference_scores"]["counts"] == manifest.reference_scores.counts
    assert {"thresholds", "report", "data", "licence", "notice", "sha256"} <= set(described["manifest"])
    assert "files" not in described["manifest"]
    assert described["card"].startswith("#")


def test_two_workers_serve_with_one_thread_each(torchserve: TorchServe) -> None:
    told = torchserve.describe()
    assert [worker["status"] for worker in told["workers"]] == ["READY", "READY"]
    assert told["batchSize"] == 8
    assert told["maxBatchDelay"] == 1
