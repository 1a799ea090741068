"""Several images at once, as the client keeps them: each answer goes to the image that it is about."""

from __future__ import annotations

import pytest

from gateway.answers import ApiError, Prediction
from gateway.batch import Batch
from gateway.problems import Problem
from tests.gateway.fake_torchserve import prediction


def test_no_name_of_an_image_leaves_the_house() -> None:
    form = Batch({"patients/jane/arm.jpg": b"IMAGE"}).form()
    assert form == {"files": [("file", ("0", b"IMAGE"))]}


def test_what_found_the_server_busy_is_asked_again_alone_and_its_answer_is_its_own() -> None:
    batch = Batch({"a.jpg": b"A", "b.jpg": b"B", "c.jpg": b"C"})
    busy = {"error": Problem("busy").document("an-id")}
    batch.settle({"results": [prediction(0.1), {"filename": "b.jpg", **busy}, prediction(0.3)]})
    assert batch.form() == {"files": [("file", ("1", b"B"))]}
    batch.settle(prediction(0.2))
    answers = batch.answers()
    assert [answer.filename for answer in answers] == ["a.jpg", "b.jpg", "c.jpg"]
    assert [answer.probability for answer in answers if isinstance(answer, Prediction)] == [0.1, 0.2, 0.3]


def test_an_answer_that_is_short_of_an_image_is_none() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Batch([b"A", b"B"]).settle({"results": [prediction(0.1)]})


@pytest.mark.parametrize(
    ("reason", "alone"), [("not_an_image", True), ("unauthorized", False), ("rate_limited", False)]
)
def test_only_what_is_said_of_an_image_is_its_answer(reason: str, alone: bool) -> None:
    refusal = Problem(reason)
    assert Batch([b"A"]).is_alone(ApiError(refusal.status, refusal.document("an-id"))) is alone
