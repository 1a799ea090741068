"""What an operator sees: request ids, log lines, metrics, and headers on every answer."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway import operations
from gateway.app import create
from gateway.metrics import SCORES, cumulative
from gateway.outage import Outage
from gateway.settings import Settings
from tests.gateway.conftest import Gateway, until
from tests.gateway.fake_torchserve import SHA256, FakeTorchServe

Start = Callable[..., Gateway]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Standard output of the gateways that are started after it."""
    stream = io.StringIO()
    monkeypatch.setattr("sys.stdout", stream)
    return stream


def lines(log: io.StringIO) -> list[dict[str, Any]]:
    """Its lines but for those of the waiting for the start."""
    return [line for line in map(json.loads, log.getvalue().splitlines()) if line["route"] != "/readyz"]


def test_a_request_id_goes_in_out_and_on(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    answer = gateway.predict(headers={"x-request-id": "visit-17:3"})
    assert answer.headers["x-request-id"] == "visit-17:3"
    assert torchserve.request_ids[-1] == "visit-17:3"


@pytest.mark.parametrize("unfit", ["", "two words", "a" * 65, '"; drop', "é".encode()])
def test_an_unfit_request_id_is_replaced(standing: Gateway, unfit: str | bytes) -> None:
    first, second = (standing.predict(headers={"x-request-id": unfit}).headers["x-request-id"] for _ in range(2))
    assert len(first) == 16
    assert first != second


def test_every_request_is_one_line_without_the_file_name(
    log: io.StringIO, gateway: Gateway, torchserve: FakeTorchServe
) -> None:
    torchserve.delay = 0.05
    files = {"file": ("Jane Doe 1970.jpg", b"IMAGE 0.3")}
    answer = gateway.http.post("/v1/predict?patient=jane", files=files, headers={"x-request-id": "one"})
    assert answer.status_code == 200
    gateway.stop()
    (line,) = lines(log)
    assert {key: line[key] for key in ("request_id", "method", "route", "status", "images", "level")} == {
        "request_id": "one",
        "method": "POST",
        "route": "/v1/predict",
        "status": 200,
        "images": 1,
        "level": "info",
    }
    assert 50 <= line["ms"] < 10_000
    assert line["bytes"] > 9
    assert "jane" not in log.getvalue().lower()


def test_a_problem_is_logged_with_its_reason_and_probes_stay_quiet(log: io.StringIO, gateway: Gateway) -> None:
    gateway.http.get("/livez")
    gateway.http.get("/metrics")
    gateway.predict(b"%PDF")
    gateway.stop()
    (line,) = lines(log)
    assert (line["status"], line["reason"]) == (415, "not_an_image")


@pytest.mark.parametrize(
    ("sent", "status", "reason"),
    [
        (b"hello\r\n\r\n", 400, "malformed_request"),
        (b"GET / HTTP/1.1\r\nX: ", 408, "slow_client"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 40_000, 431, "head_too_large"),
    ],
)
def test_what_is_refused_before_it_is_a_request_is_a_line_too(
    capsys: pytest.CaptureFixture[str], start: Start, sent: bytes, status: int, reason: str
) -> None:
    gateway = start(header_timeout_s=0.5)
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
        connection.sendall(sent)
        head, _, body = b"".join(iter(lambda: connection.recv(65536), b"")).partition(b"\r\n\r\n")
    gateway.stop()
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (line["status"], line["reason"]) == (status, reason)
    assert line["request_id"] == json.loads(body)["request_id"]
    assert f"x-request-id: {line['request_id']}".encode() in head


def test_an_upgrade_is_a_request_like_any_other(standing: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    upgrade = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-key": "x", "sec-websocket-version": "13"}
    answer = httpx.get(f"{standing.url}/livez", headers=upgrade)
    assert (answer.status_code, "connection" in answer.headers) == (200, False)
    assert caplog.text == ""


def told(caplog: pytest.LogCaptureFixture, word: str) -> list[str]:
    return [f"{record.levelname} {record.getMessage()}" for record in caplog.records if word in record.getMessage()]


@pytest.mark.parametrize(("fault", "cause"), [("deaths", "worker_died"), ("hang_ups", "connection_lost")])
def test_a_lost_prediction_is_told_with_its_request(
    gateway: Gateway, torchserve: FakeTorchServe, caplog: pytest.LogCaptureFixture, fault: str, cause: str
) -> None:
    setattr(torchserve, fault, 1)
    assert gateway.predict(headers={"x-request-id": "visit-17"}).status_code == 200
    assert told(caplog, cause) == [f"WARNING a prediction was lost: {cause}"]
    assert [record.fields["request_id"] for record in caplog.records if hasattr(record, "fields")] == ["visit-17"]


@pytest.mark.parametrize("wrong", ["inference_url", "management_url"])
def test_a_wrong_address_is_told(start: Start, caplog: pytest.LogCaptureFixture, wrong: str) -> None:
    address = "http://127.0.0.1:9"
    start(wait=False, **{wrong: address})
    until(lambda: told(caplog, address))
    line = told(caplog, address)[0]
    assert line.startswith("WARNING TorchServe's ")
    assert "Errno 111" in line


def test_an_outage_is_told_at_its_turns_and_not_in_between(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    outage = Outage(logging.getLogger("gateway.test"), "the door")
    for why in ("locked", "locked", "jammed", None, None, "locked"):
        outage.met(why) if why else outage.over()
    assert told(caplog, "the door") == [
        "WARNING the door fails: locked",
        "WARNING the door fails: jammed",
        "INFO the door works again",
        "WARNING the door fails: locked",
    ]


def test_a_start_prints_where_it_listens_and_no_warning(torchserve: FakeTorchServe) -> None:
    environment = os.environ | {
        "PORT": "0",
        "DERMSERVE_INFERENCE_URL": torchserve.inference_url,
        "DERMSERVE_MANAGEMENT_URL": torchserve.management_url,
    }
    command = [sys.executable, "-m", "gateway"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout
        lines = [json.loads(running.stdout.readline())]
        url = f"http://127.0.0.1:{lines[0]['message'].rpartition(' ')[2]}"
        until(lambda: httpx.get(f"{url}/readyz").status_code == 200)
        running.terminate()
        lines += map(json.loads, running.stdout)
    assert {line["level"] for line in lines} == {"info"}
    assert "listening on 127.0.0.1 port" in lines[0]["message"]
    assert "CTRL+C" not in str(lines)


def test_a_log_that_cannot_be_written_costs_no_request(log: io.StringIO, gateway: Gateway) -> None:
    log.close()
    assert gateway.predict().status_code == 200
    assert gateway.predict(b"%PDF").status_code == 415


def test_metrics_count_requests_and_show_workers_queue_and_model(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    gateway.predict()
    gateway.predict(b"%PDF")
    torchserve.pending, torchserve.remaining = 7, 57
    until(lambda: gateway.metric("lesion_queue_pending") == 7)
    assert gateway.metric("lesion_queue_remaining") == 57
    assert gateway.metric('gateway_requests_total{code="200",route="/v1/predict"}') == 1
    assert gateway.metric('gateway_requests_total{code="415",route="/v1/predict"}') == 1
    assert gateway.metric('gateway_request_seconds_count{route="/v1/predict"}') == 2
    assert gateway.metric("lesion_workers_ready") == 2
    assert gateway.metric("gateway_ready") == 1
    model = f'lesion_model_info{{architecture="resnet18",name="lesion",sha256="{SHA256}",version="1.0"}}'
    assert gateway.metric(model) == 1


def test_the_line_of_a_form_tells_the_reasons_of_its_files(log: io.StringIO, gateway: Gateway) -> None:
    gateway.http.post(
        "/v1/predict", files=[("file", content) for content in (b"IMAGE 0.3", b"%PDF", b"%PDF", b"TRUNCATED")]
    )
    gateway.http.post("/v1/predict", files=[("file", content) for content in (b"IMAGE 0.3", b"IMAGE 0.2")])
    gateway.stop()
    mixed, good = lines(log)
    assert (mixed["status"], mixed["images"]) == (200, 4)
    assert mixed["reasons"] == {"not_an_image": 2, "truncated_image": 1}
    assert "reasons" not in good


def test_the_line_of_a_refusal_as_busy_says_what_was_full(
    log: io.StringIO, gateway: Gateway, torchserve: FakeTorchServe
) -> None:
    torchserve.queue_full = True
    assert gateway.predict().status_code == 429
    gateway.stop()
    (line,) = lines(log)
    assert (line["reason"], line["level"]) == ("busy", "info")
    assert "queue is full" in line["detail"]


def test_workers_that_are_gone_are_counted_as_none(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    torchserve.stop()
    until(lambda: gateway.metric("lesion_workers_ready") == 0)
    assert gateway.metric("gateway_ready") == 0


def test_metrics_have_few_labels_whatever_is_asked(standing: Gateway) -> None:
    for i in range(20):
        standing.http.get(f"/somewhere/{i}")
    families = text_string_to_metric_families(standing.http.get("/metrics").text)
    routes = {sample.labels["route"] for family in families for sample in family.samples if "route" in sample.labels}
    assert "unknown" in routes
    assert not any("somewhere" in route for route in routes)


def test_the_reference_scores_are_cumulative_shares_at_the_buckets_of_lesion_score(standing: Gateway) -> None:
    shares = [standing.metric(f'lesion_reference_score_bucket{{le="{le}"}}') for le in SCORES]
    assert shares == sorted(shares)
    assert shares[SCORES.index(0.1)] == pytest.approx(0.8)
    assert shares[SCORES.index(0.5)] == pytest.approx(0.95)
    assert shares[-1] == 1


@pytest.mark.parametrize(("edges", "counts"), [([0, 1], []), ([0, 1], [0]), ([], [])])
def test_a_histogram_that_is_none_is_refused(edges: list[float], counts: list[float]) -> None:
    with pytest.raises(ValueError, match="histogram"):
        cumulative(edges, counts, SCORES)


def test_cors_is_off_unless_an_origin_is_named(gateway: Gateway, start: Start) -> None:
    asked = {"origin": "https://clinic.example", "access-control-request-method": "POST"}
    assert "access-control-allow-origin" not in gateway.predict(headers=asked).headers
    open_to_one = start(cors_origins="https://clinic.example, https://ward.example")
    assert open_to_one.predict(headers=asked).headers["access-control-allow-origin"] == "https://clinic.example"
    refused = open_to_one.predict(b"%PDF", headers=asked)
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (415, "https://clinic.example")
    assert {"retry-after", "x-request-id"} <= set(refused.headers["access-control-expose-headers"].lower().split(", "))
    preflight = open_to_one.http.options("/v1/predict", headers=asked)
    assert preflight.status_code == 200
    stranger = open_to_one.predict(headers={"origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in stranger.headers


@pytest.mark.parametrize("path", ["/", "/docs", "/v1/model", "/livez", "/nowhere"])
def test_every_answer_forbids_sniffing_and_names_its_request(standing: Gateway, path: str) -> None:
    headers = standing.http.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-request-id"]
    assert "server" not in headers


def test_who_asks_for_the_metrics_at_the_same_time_shares_them(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Mock(side_effect=operations.generate_latest)
    monkeypatch.setattr(operations, "generate_latest", made)

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(create(Settings()))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
            together = await asyncio.gather(*(http.get("/metrics") for _ in range(20)))
            assert made.call_count < 5
            return [*together, await http.get("/metrics")]

    *together, later = asyncio.run(ask())
    assert all(b"gateway_in_flight 0.0" in answer.content for answer in together)
    assert b'gateway_requests_total{code="200",route="/metrics"} 20.0' in later.content
