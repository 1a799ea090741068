"""A model server that is busy, dead, dying, slow or absent: what the client of the gateway sees."""

from __future__ import annotations

import threading
from collections.abc import Callable

import httpx
import pytest

from tests.gateway.conftest import Gateway, until
from tests.gateway.fake_torchserve import FakeTorchServe

Start = Callable[..., Gateway]


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    return answer.status_code, answer.json()["reason"]


def test_a_full_queue_is_busy_and_says_when_to_come_back(start: Start, torchserve: FakeTorchServe) -> None:
    gateway = start(retry_after_s=3)
    torchserve.queue_full = True
    answer = gateway.predict()
    assert problem(answer) == (429, "busy")
    assert answer.headers["retry-after"] == "3"


def test_the_same_words_without_a_ready_worker_mean_unavailable(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    torchserve.queue_full = True
    torchserve.workers = ["UNLOADING"]
    until(lambda: not gateway.ready())
    answer = gateway.predict()
    assert problem(answer) == (503, "backend_unavailable")
    assert int(answer.headers["retry-after"]) > 0


def test_a_server_that_is_gone_is_unavailable_and_recovers_without_help(
    gateway: Gateway, torchserve: FakeTorchServe
) -> None:
    torchserve.stop()
    answer = gateway.predict()
    assert problem(answer) == (503, "backend_unavailable")
    assert answer.headers["retry-after"]
    # Its clients shall come to another pod.
    assert answer.headers["connection"] == "close"
    assert gateway.http.get("/livez").status_code == 200
    until(lambda: not gateway.ready())
    torchserve.start()
    until(gateway.ready)
    answer = gateway.predict()
    assert answer.status_code == 200
    assert "connection" not in answer.headers


@pytest.mark.parametrize(("fault", "status"), [("deaths", 500), ("deaths", 507), ("hang_ups", 0)])
def test_a_prediction_lost_to_a_dying_worker_is_asked_again_unseen(
    gateway: Gateway, torchserve: FakeTorchServe, fault: str, status: int
) -> None:
    torchserve.death_status = status
    setattr(torchserve, fault, 1)
    assert gateway.predict().status_code == 200
    cause = {"deaths": "worker_died", "hang_ups": "connection_lost"}[fault]
    assert gateway.metric(f'gateway_retries_total{{cause="{cause}"}}') == 1


@pytest.mark.parametrize("fault", ["deaths", "hang_ups"])
def test_it_is_asked_again_only_once(gateway: Gateway, torchserve: FakeTorchServe, fault: str) -> None:
    before = torchserve.started
    setattr(torchserve, fault, 9)
    assert problem(gateway.predict()) == (503, "backend_unavailable")
    assert torchserve.started - before == 2


def test_what_torchserve_forgot_with_a_dead_worker_is_asked_again(
    gateway: Gateway, torchserve: FakeTorchServe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.backend.FORGOTTEN_S", 0.0)
    torchserve.hold = threading.Event()
    before = torchserve.started
    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(gateway.predict()))
    asking.start()
    until(lambda: torchserve.started == before + 1)
    torchserve.pending = 1
    torchserve.pids = {0: 4711}
    until(lambda: gateway.metric("lesion_worker_restarts_total") == 1)
    assert torchserve.started == before + 1  # it may well be among those that wait
    torchserve.pending = 0
    until(lambda: torchserve.started == before + 2)
    for seen in (77, 78):
        torchserve.remaining = seen
        until(lambda seen=seen: gateway.metric("lesion_queue_remaining") == seen)
    torchserve.hold.set()
    asking.join()
    assert answers[0].status_code == 200
    assert gateway.metric('gateway_retries_total{cause="connection_lost"}') == 1


@pytest.mark.parametrize("fault", ["deaths", "hang_ups"])
def test_what_kept_a_worker_busy_until_it_was_killed_is_not_asked_again(
    start: Start, torchserve: FakeTorchServe, fault: str
) -> None:
    gateway = start(backend_timeout_s=3)
    before = torchserve.started
    torchserve.delay = 1.1
    setattr(torchserve, fault, 9)
    answer = gateway.predict()
    assert problem(answer) == (504, "backend_timeout")
    assert "retry-after" not in answer.headers  # our client and our page would ask again by themselves
    assert torchserve.started - before == 1


def test_a_server_that_does_not_answer_is_given_up(start: Start, torchserve: FakeTorchServe) -> None:
    gateway = start(backend_timeout_s=0.2)
    torchserve.delay = 60
    assert problem(gateway.predict()) == (504, "backend_timeout")
    until(lambda: torchserve.abandoned == 1)


@pytest.mark.parametrize("status", [500, 503, 507, 418])
def test_other_failures_are_the_model_servers(gateway: Gateway, torchserve: FakeTorchServe, status: int) -> None:
    torchserve.fail = (status, {"code": status, "type": "InternalServerException", "message": "Prediction failed"})
    answer = gateway.predict()
    assert problem(answer) == (502, "prediction_failed")
    assert str(status) in answer.json()["detail"]


def test_an_unknown_model_is_unavailable(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    torchserve.fail = (404, {"code": 404, "type": "ModelNotFoundException", "message": "Model not found: lesion"})
    assert problem(gateway.predict()) == (503, "backend_unavailable")


def test_many_files_fail_together_when_nobody_answers_them(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    torchserve.stop()
    for path in ("/v1/predict", "/v1/compare"):
        answer = gateway.http.post(path, files=[("file", (name, b"IMAGE")) for name in "ab"])
        assert problem(answer) == (503, "backend_unavailable")


BROKEN = (500, {"code": 500, "type": "InternalServerException", "message": "Prediction failed"})


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/explain", "/v1/compare"])
def test_many_files_fail_together_when_the_model_fails_on_each(
    gateway: Gateway, torchserve: FakeTorchServe, path: str
) -> None:
    torchserve.fail = BROKEN
    answer = gateway.http.post(path, files=[("file", (name, b"IMAGE")) for name in "ab"])
    assert problem(answer) == (502, "prediction_failed")


def test_files_that_fail_for_several_reasons_are_told_the_one_that_passes_first(
    start: Start, torchserve: FakeTorchServe
) -> None:
    gateway = start(fan_out=1)
    torchserve.queue_full_after = torchserve.started + 1
    torchserve.fail = BROKEN
    answer = gateway.http.post("/v1/predict", files=[("file", (name, b"IMAGE")) for name in "ab"])
    assert problem(answer) == (429, "busy")
    assert answer.headers["retry-after"]


def test_one_lost_file_of_many_is_told_in_its_place(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    torchserve.queue_full_after = torchserve.started + 1
    answer = gateway.http.post("/v1/predict", files=[("file", (name, b"IMAGE")) for name in "ab"])
    assert answer.status_code == 200
    assert sorted("error" in result for result in answer.json()["results"]) == [False, True]


def test_a_dropped_client_takes_its_work_with_it(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    torchserve.hold = threading.Event()
    before = torchserve.started
    with pytest.raises(httpx.ReadTimeout):
        gateway.predict(timeout=httpx.Timeout(5, read=0.3))
    until(lambda: torchserve.started == before + 1 and torchserve.abandoned == 1)
    until(lambda: gateway.metric("gateway_in_flight") == 0)
    assert gateway.metric('gateway_requests_total{code="499",route="/v1/predict"}') == 1


def test_a_dropped_client_takes_the_files_not_yet_asked_with_it(start: Start, torchserve: FakeTorchServe) -> None:
    gateway = start(fan_out=1)
    torchserve.hold = threading.Event()
    before = torchserve.started
    with pytest.raises(httpx.ReadTimeout):
        gateway.http.post(
            "/v1/predict",
            files=[("file", (str(i), b"IMAGE")) for i in range(9)],
            timeout=httpx.Timeout(5, read=0.3),
        )
    until(lambda: torchserve.abandoned == 1)
    torchserve.hold.set()
    until(lambda: gateway.metric("gateway_in_flight") == 0)
    assert torchserve.started == before + 1


def test_many_files_that_nobody_answers_in_time_fail_together(start: Start, torchserve: FakeTorchServe) -> None:
    gateway = start(backend_timeout_s=0.2)
    torchserve.delay = 60
    answer = gateway.http.post("/v1/predict", files=[("file", (name, b"IMAGE")) for name in "ab"])
    assert problem(answer) == (504, "backend_timeout")


def test_a_prediction_that_is_asked_again_has_only_what_is_left_of_the_time(
    start: Start, torchserve: FakeTorchServe
) -> None:
    gateway = start(backend_timeout_s=0.6)
    torchserve.delay, torchserve.hang_ups = 0.4, 1
    assert problem(gateway.predict()) == (504, "backend_timeout")


@pytest.mark.parametrize(("status", "delay", "expected"), [(500, 0, 502), (404, 0, 503), (500, 60, 504)])
def test_whoever_meets_a_model_server_that_is_unwell_is_sent_to_another_pod(
    start: Start, torchserve: FakeTorchServe, status: int, delay: float, expected: int
) -> None:
    gateway = start(backend_timeout_s=0.3)
    torchserve.fail = (status, {"code": status, "type": "Exception", "message": "no"})
    torchserve.delay = delay
    answer = gateway.predict()
    assert (answer.status_code, answer.headers["connection"]) == (expected, "close")
