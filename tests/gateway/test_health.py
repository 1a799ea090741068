"""Liveness, readiness, drain: the truth, and nothing but."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from gateway.backend import Backend
from gateway.health import Health, Readiness
from gateway.metrics import Metrics
from gateway.settings import Settings
from gateway.traffic import Traffic
from tests.gateway.conftest import Gateway, until
from tests.gateway.fake_torchserve import FakeTorchServe

Start = Callable[..., Gateway]
CONDITIONS = ("not_draining", "management_answers", "workers_ready", "golden_prediction", "model_known")


@pytest.mark.parametrize("bits", range(32))
def test_ready_only_if_every_condition_holds(bits: int) -> None:
    truth = {condition: bool(bits >> i & 1) for i, condition in enumerate(CONDITIONS)}
    assert Readiness(**truth).ready is (bits == 31)


@pytest.mark.parametrize("answering", [True, False])
@pytest.mark.parametrize("workers", [["READY"], ["UNLOADING"], []])
@pytest.mark.parametrize("predicting", [True, False])
@pytest.mark.parametrize("draining", [True, False])
def test_the_conditions_are_seen_as_they_are(
    torchserve: FakeTorchServe, answering: bool, workers: list[str], predicting: bool, draining: bool
) -> None:
    torchserve.workers = workers
    torchserve.queue_full = not predicting
    if not answering:
        torchserve.stop()
    settings = Settings(inference_url=torchserve.inference_url, management_url=torchserve.management_url)
    traffic, metrics = Traffic(), Metrics()

    async def look() -> Readiness:
        backend = Backend(settings, metrics)
        health = Health(settings, backend, traffic, metrics)
        backend.workforce = health
        await health.check()
        await health.describe()
        if draining:
            traffic.drain()
        backend.close()
        await asyncio.sleep(0)
        return health.readiness

    seen = asyncio.run(look())
    has_workers = answering and workers == ["READY"]
    assert seen == Readiness(not draining, answering, has_workers, has_workers and predicting, has_workers)


def test_a_worker_that_is_ready_and_cannot_predict_is_not_readiness(start: Start, torchserve: FakeTorchServe) -> None:
    torchserve.fail = (503, {"code": 503, "type": "InternalServerException", "message": "Prediction failed"})
    gateway = start(wait=False)
    until(lambda: torchserve.started >= 2)
    answer = gateway.http.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"] == {**dict.fromkeys(CONDITIONS, True), "golden_prediction": False}
    torchserve.fail = None
    until(gateway.ready)


def test_an_answer_without_a_label_is_no_golden_prediction_and_is_told(
    start: Start, torchserve: FakeTorchServe, caplog: pytest.LogCaptureFixture
) -> None:
    torchserve.fail = (200, {"classes": [0.5, 0.5]})
    gateway = start(wait=False)
    until(lambda: "the golden prediction fails: the model's answer has no label" in caplog.messages)
    assert gateway.http.get("/readyz").json()["checks"]["golden_prediction"] is False


def test_a_model_that_is_not_known_yet_is_not_readiness(start: Start, torchserve: FakeTorchServe) -> None:
    torchserve.describes_itself = False
    gateway = start(wait=False)
    until(lambda: gateway.http.get("/readyz").json()["checks"]["golden_prediction"])
    answer = gateway.http.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"] == {**dict.fromkeys(CONDITIONS, True), "model_known": False}
    torchserve.describes_itself = True
    until(gateway.ready)
    assert gateway.http.get("/v1/model").status_code == 200


def test_the_golden_prediction_is_owed_again_after_all_workers_were_gone(
    gateway: Gateway, torchserve: FakeTorchServe
) -> None:
    torchserve.workers = []
    until(lambda: not gateway.ready())
    before = torchserve.started
    torchserve.workers = ["READY"]
    until(gateway.ready)
    assert torchserve.started == before + 1


def test_as_many_workers_as_asked_for(
    start: Start, torchserve: FakeTorchServe, caplog: pytest.LogCaptureFixture
) -> None:
    torchserve.workers = ["READY", "UNLOADING"]
    gateway = start(min_ready_workers=2, wait=False)
    until(lambda: gateway.http.get("/readyz").json()["checks"]["golden_prediction"])
    assert not gateway.ready()
    assert "2 READY workers fails: 1 of TorchServe's 2 are; if that lasts, lower DERMSERVE_MIN_READY" in caplog.text
    torchserve.workers = ["READY", "READY"]
    until(gateway.ready)


def test_a_management_api_that_hangs_counts_for_nothing_after_a_while(start: Start, torchserve: FakeTorchServe) -> None:
    gateway = start(stale_after_s=0.5)
    torchserve.management_hangs = True
    until(lambda: not gateway.ready())
    assert gateway.http.get("/readyz").json()["checks"]["management_answers"] is False
    until(lambda: gateway.metric("lesion_workers_ready") == gateway.metric("lesion_workers_total") == 0)
    assert gateway.http.get("/readyz").json()["checks"]["workers_ready"] is False
    torchserve.management_hangs = False
    until(gateway.ready)
    assert gateway.metric("lesion_workers_ready") == 2


def test_one_late_answer_of_the_management_api_changes_nothing(
    torchserve: FakeTorchServe, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(inference_url=torchserve.inference_url, management_url=torchserve.management_url)
    metrics = Metrics()

    async def too_late() -> None:
        raise TimeoutError

    async def look() -> Readiness:
        backend = Backend(settings, metrics)
        health = Health(settings, backend, Traffic(), metrics)
        await health.check()
        monkeypatch.setattr(backend, "model", too_late)
        await health.check()
        backend.close()
        return health.readiness

    assert asyncio.run(look()).workers_ready
    assert metrics.registry.get_sample_value("lesion_workers_ready") == 2


def test_liveness_does_not_depend_on_the_model_server(start: Start, torchserve: FakeTorchServe) -> None:
    torchserve.stop()
    gateway = start(wait=False)
    assert gateway.http.get("/livez").status_code == 200
    answer = gateway.http.get("/readyz")
    assert (answer.status_code, answer.json()["ready"]) == (503, False)


def test_an_own_golden_image_can_be_named(start: Start, torchserve: FakeTorchServe, tmp_path: Path) -> None:
    path = tmp_path / "golden"
    path.write_bytes(b"%PDF")
    gateway = start(golden_image=path, wait=False)
    until(lambda: torchserve.started >= 2)
    assert not gateway.ready()


def test_drain_waits_for_what_is_at_work_and_new_requests_are_still_served(
    gateway: Gateway, torchserve: FakeTorchServe
) -> None:
    torchserve.hold = threading.Event()
    answers: list[httpx.Response] = []
    waiting = threading.Thread(target=lambda: answers.append(httpx.post(f"{gateway.url}/v1/predict", content=b"IMAGE")))
    waiting.start()
    until(lambda: gateway.metric("gateway_in_flight") == 1)
    drained: list[httpx.Response] = []
    draining = threading.Thread(target=lambda: drained.append(httpx.post(f"{gateway.url}/drain", timeout=20)))
    draining.start()
    until(lambda: not gateway.ready())
    assert gateway.metric("gateway_draining") == 1
    later = threading.Thread(target=lambda: answers.append(httpx.post(f"{gateway.url}/v1/predict", content=b"IMAGE")))
    later.start()
    until(lambda: gateway.metric("gateway_in_flight") == 2)
    assert not drained
    torchserve.hold.set()
    for thread in (draining, waiting, later):
        thread.join()
    assert drained[0].json() == {"drained": True, "in_flight": 0}
    late = gateway.predict()
    assert [answer.status_code for answer in (*answers, late)] == [200, 200, 200]
    assert late.headers["connection"] == "close"


def test_drain_gives_up_at_its_deadline(start: Start, torchserve: FakeTorchServe) -> None:
    gateway = start(drain_deadline_s=1)
    torchserve.hold = threading.Event()
    waiting = threading.Thread(target=lambda: httpx.post(f"{gateway.url}/v1/predict", content=b"IMAGE"))
    waiting.start()
    until(lambda: gateway.metric("gateway_in_flight") == 1)
    assert gateway.http.post("/drain").json() == {"drained": False, "in_flight": 1}
    torchserve.hold.set()
    waiting.join()


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Origin", "Sec-Fetch-Site"])
def test_drain_is_refused_from_elsewhere(standing: Gateway, header: str) -> None:
    answer = standing.http.post("/drain", headers={header: "somewhere"})
    assert (answer.status_code, answer.json()["reason"]) == (403, "forbidden")
    assert standing.ready()


def test_drain_is_refused_at_an_address_that_is_not_loopback(start: Start) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        own = probe.getsockname()[0]
    gateway = start(gateway_host="0.0.0.0")
    assert httpx.post(f"http://{own}:{gateway.port}/drain").status_code == 403


def test_the_metric_says_what_readyz_says_between_two_looks_too(start: Start) -> None:
    gateway = start(poll_interval_s=3600, stale_after_s=7200)
    assert gateway.metric("gateway_ready") == 1
    gateway.server.traffic.drain()
    assert gateway.metric("gateway_ready") == 0
    assert not gateway.ready()


def test_a_model_server_that_was_away_is_asked_again_which_model_it_has(
    start: Start, torchserve: FakeTorchServe
) -> None:
    gateway = start(model_refresh_s=3600)
    before = torchserve.descriptions
    torchserve.stop()
    until(lambda: not gateway.ready())
    torchserve.start()
    until(lambda: torchserve.descriptions > before)
