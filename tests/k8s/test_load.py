"""The proof's load generator counts every request once, and a failure as a failure."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

import pytest

from k8s.proof.load import load
from tests.k8s.small_server import JsonHandler, SmallServer, running


class EveryFourthFails(JsonHandler):
    """503 for every fourth prediction."""

    protocol_version = "HTTP/1.1"
    count = itertools.count(1)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        status = 503 if next(self.count) % 4 == 0 else 200
        self.answer(status, {"model": {"version": "1.0", "sha256": "abcdef0123"}})


@pytest.fixture
def server() -> Iterator[str]:
    with running(SmallServer(EveryFourthFails)) as serving:
        yield f"http://127.0.0.1:{serving.server_port}"


def test_failures_are_counted_by_status_and_by_exception(server: str) -> None:
    seen = asyncio.run(load(server, seconds=0.2, rate=100)).report()
    assert seen["requests"] == 20
    assert seen["outcomes"] == {"200": 15, "503": 5}
    assert seen["failed"] == 5
    assert seen["models"] == {"1.0 abcdef01": 15}


def test_a_server_that_is_gone_fails_every_request() -> None:
    seen = asyncio.run(load("http://127.0.0.1:1", seconds=0.1, rate=50)).report()
    assert seen["requests"] == seen["failed"] == 5
