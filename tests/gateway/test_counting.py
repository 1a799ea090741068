"""What the objectives are computed from: each image with what became of it, and the time of each answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.gateway.conftest import Gateway, until
from tests.gateway.fake_torchserve import FakeTorchServe

Start = Callable[..., Gateway]


def images(gateway: Gateway) -> dict[str, float]:
    """How many images ended in which way and why, those that none did left out."""
    samples = (
        sample
        for family in text_string_to_metric_families(gateway.http.get("/metrics").text)
        for sample in family.samples
    )
    return {
        " ".join(filter(None, (sample.labels["outcome"], sample.labels["reason"]))): sample.value
        for sample in samples
        if sample.name == "gateway_images_total" and sample.value
    }


def form(*contents: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    return [("file", (f"{number}.jpg", content)) for number, content in enumerate(contents)]


def test_images_are_counted_one_by_one_whatever_they_came_in(start: Start, torchserve: FakeTorchServe) -> None:
    gateway = start(fan_out=1)
    gateway.predict()
    gateway.predict(b"%PDF")
    gateway.http.post("/v1/predict", files=form(b"IMAGE 0.3", b"IMAGE 0.2", b"TRUNCATED"))
    until(lambda: images(gateway) == {"answered": 3, "refused not_an_image": 1, "refused truncated_image": 1})
    torchserve.queue_full_after = torchserve.started + 1
    gateway.http.post("/v1/predict", files=form(b"IMAGE 0.3", b"IMAGE 0.2", b"IMAGE 0.1"))
    until(lambda: images(gateway)["answered"] == 4)
    assert images(gateway)["busy busy"] == 2
    assert gateway.metric('gateway_problems_total{reason="busy"}') == 2
    assert gateway.metric('gateway_busy_total{limit="queue"}') == 2


def test_images_that_the_model_fails_on_are_counted_alone_or_together(
    gateway: Gateway, torchserve: FakeTorchServe
) -> None:
    torchserve.fail = (500, {"code": 500, "type": "InternalServerException", "message": "Prediction failed"})
    gateway.predict()
    until(lambda: images(gateway) == {"failed prediction_failed": 1})
    gateway.http.post("/v1/explain", files=form(b"IMAGE 0.3", b"IMAGE 0.2"))
    until(lambda: images(gateway) == {"failed prediction_failed": 3})
    gateway.http.post("/v1/compare", files=form(b"IMAGE 0.3", b"IMAGE 0.3", b"IMAGE 0.2"))
    until(lambda: images(gateway) == {"failed prediction_failed": 6})
    assert gateway.metric('gateway_problems_total{reason="prediction_failed"}') == 6


def test_who_is_not_let_in_or_asks_something_else_has_no_image(start: Start, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"somebody:{'ab' * 32}\n")
    gateway = start(api_keys_file=keys)
    assert gateway.predict().status_code == 401
    assert gateway.http.get("/v1/predict").status_code == 405
    assert gateway.http.get("/v1/nowhere").status_code == 404
    assert images(gateway) == {}


def test_the_time_of_an_answer_begins_with_the_end_of_the_upload(gateway: Gateway) -> None:
    pause = 0.3

    def dripping() -> Iterator[bytes]:
        yield b"IMAGE"
        until(lambda: gateway.metric("gateway_in_flight") == 1)
        time.sleep(pause)  # the client's own slowness is what is measured
        yield b" 0.3"

    assert gateway.http.post("/v1/predict", content=dripping()).status_code == 200
    count, total = (f'gateway_answer_seconds_{part}{{route="/v1/predict"}}' for part in ("count", "sum"))
    until(lambda: gateway.metric(count) == 1)
    assert gateway.metric(total) < gateway.metric('gateway_request_seconds_sum{route="/v1/predict"}') - pause


def test_what_is_not_answered_is_no_fast_answer(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    gateway.predict(b"%PDF")
    torchserve.queue_full = True
    gateway.predict()
    gateway.http.get("/v1/predict")
    until(lambda: gateway.metric('gateway_request_seconds_count{route="/v1/predict"}') == 3)
    assert gateway.metric('gateway_answer_seconds_count{route="/v1/predict"}') == 0
