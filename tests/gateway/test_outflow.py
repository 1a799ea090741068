"""Logs that nobody reads: they are lost, and nothing else is."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx

from gateway.outflow import Outflow
from stack.probe import free_ports
from tests.gateway.conftest import until
from tests.gateway.fake_torchserve import FakeTorchServe

MORE_THAN_A_PIPE_HOLDS = 600


@contextlib.contextmanager
def serving(torchserve: FakeTorchServe, **options: Any) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    """A gateway as a process of its own, and who asks it."""
    [port] = free_ports(1)
    environment = os.environ | torchserve.environment(port) | {"DERMSERVE_DRAIN_DELAY_S": "0"}
    with (
        subprocess.Popen([sys.executable, "-m", "gateway"], env=environment, **options) as running,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client,
    ):
        try:
            until(lambda: answers(client), 30)
            yield running, client
        finally:
            running.kill()


def test_a_reader_that_stands_still_keeps_it_neither_from_serving_nor_from_ending(torchserve: FakeTorchServe) -> None:
    with serving(torchserve, stdout=subprocess.PIPE) as (running, client):
        statuses = {client.post("/v1/predict", content=b"").status_code for _ in range(MORE_THAN_A_PIPE_HOLDS)}
        assert statuses == {400}
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0
        assert running.stdout
        lines = running.stdout.read().decode().splitlines()
    assert 0 < len(lines) < MORE_THAN_A_PIPE_HOLDS
    assert all(json.loads(line) for line in lines)


def test_an_output_that_was_closed_before_it_began_is_missed_by_nobody(torchserve: FakeTorchServe) -> None:
    with serving(torchserve, preexec_fn=lambda: os.close(1)) as (running, client):
        assert client.post("/v1/predict", content=b"").status_code == 400
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/livez").status_code == 200
    except httpx.ConnectError:
        return False


def test_what_was_lost_is_counted_once_there_is_room() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb", buffering=0) as late, os.fdopen(writer, "wb"):
        log = Outflow(writer)
        for _ in range(MORE_THAN_A_PIPE_HOLDS):
            log.write(f'"{"a" * 500}"\n')
        kept = late.read(2**20).count(b"\n")
        log.write(f'"{"b" * 2**20}"\n')  # cut, where a part of it finds room
        apology, cut = late.read(2**20).decode().splitlines()
        log.write('"c"\n')
        again, last = late.read(2**20).decode().splitlines()[1:]
    assert json.loads(apology)["message"] == f"lines lost: {MORE_THAN_A_PIPE_HOLDS - kept}"
    assert cut.startswith('"bbb')
    assert json.loads(again)["message"] == "lines lost: 1"
    assert last == '"c"'
