"""What a gateway's process takes, whoever asks: near DERMSERVE_MAX_BYTES_IN_MEMORY, and given back afterwards."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from stack.probe import free_ports
from tests.gateway.conftest import until
from tests.gateway.fake_torchserve import FakeTorchServe

MIB = 2**20
HELD_AT_MOST = 32 * MIB
SLACK = 20 * MIB  # what connections and the interpreter take on the way
FORM = [("file", (f"{i}.jpg", b"\xff\xd8" + bytes([i]) * (4 * MIB))) for i in range(3)]
CLIENTS, ROUNDS = 6, 4


class Process:
    """A gateway as a cluster runs it."""

    def __init__(self, torchserve: FakeTorchServe) -> None:
        [port] = free_ports(1)
        settings = torchserve.environment(port) | {"DERMSERVE_MAX_BYTES_IN_MEMORY": str(HELD_AT_MOST)}
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "gateway"]
        self._running = subprocess.Popen(command, env=os.environ | settings, stdout=subprocess.DEVNULL)
        until(self._ready, 60)
        self._at_rest = self._kilobytes("VmHWM")

    def _ready(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/readyz").status_code == 200
        return False

    def _kilobytes(self, name: str) -> int:
        found = re.search(rf"{name}:\s+(\d+)", Path(f"/proc/{self._running.pid}/status").read_text())
        assert found
        return int(found[1])

    def most_taken(self) -> int:
        """Bytes on top of what it took when it was ready, at the worst moment so far."""
        return 1024 * (self._kilobytes("VmHWM") - self._at_rest)

    def taken(self) -> int:
        return 1024 * (self._kilobytes("VmRSS") - self._at_rest)

    def stop(self) -> None:
        self._running.kill()
        self._running.wait()


@pytest.fixture
def process(torchserve: FakeTorchServe) -> Iterator[Process]:
    process = Process(torchserve)
    yield process
    process.stop()


def ask(process: Process) -> tuple[int, str | None, str | None]:
    """Status, reason and Retry-After."""
    answer = httpx.post(f"{process.url}/v1/predict", files=FORM, timeout=60)
    return answer.status_code, answer.json().get("reason"), answer.headers.get("retry-after")


def storm(process: Process) -> Counter[tuple[int, str | None, str | None]]:
    with ThreadPoolExecutor(CLIENTS) as pool:
        return Counter(pool.map(ask, [process] * CLIENTS * ROUNDS))


def well(process: Process) -> bool:
    answer = httpx.post(f"{process.url}/v1/predict", content=b"IMAGE 0.3", timeout=30)
    return answer.status_code == 200


@pytest.mark.parametrize("trouble", [None, "queue_full", "deaths"])
def test_forms_at_once_take_no_more_than_the_setting_says(
    process: Process, torchserve: FakeTorchServe, trouble: str | None
) -> None:
    torchserve.delay = 0.1
    torchserve.queue_full = trouble == "queue_full"
    torchserve.deaths = 10**6 if trouble == "deaths" else 0
    told = storm(process)
    accepted = {None: (200, None, None), "deaths": (503, "backend_unavailable", "2")}.get(trouble)
    assert set(told) - {(429, "busy", "1")} == ({accepted} if accepted else set())
    assert process.most_taken() < HELD_AT_MOST + SLACK
    torchserve.queue_full, torchserve.deaths = False, 0
    assert well(process)
    until(lambda: process.taken() < SLACK)


def test_clients_that_send_half_a_form_or_leave_before_its_answer_cost_nothing(
    process: Process, torchserve: FakeTorchServe
) -> None:
    torchserve.delay = 60
    request = httpx.Request("POST", process.url, files=FORM)
    body = request.read()
    lines = ("POST /v1/predict HTTP/1.1", "Host: x", f"Content-Type: {request.headers['content-type']}")
    head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode()
    for part in (len(body) // 2, len(body)) * 5:
        before = torchserve.started
        with socket.create_connection(("127.0.0.1", process.port), timeout=10) as client:
            client.sendall(head + body[:part])
            if part == len(body):
                until(lambda before=before: torchserve.started == before + len(FORM))
        until(lambda: "gateway_in_flight 0.0" in httpx.get(f"{process.url}/metrics").text)
    until(lambda: process.taken() < SLACK)
    assert process.most_taken() < HELD_AT_MOST + SLACK
    torchserve.delay = 0
    assert well(process)
