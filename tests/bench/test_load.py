"""The load generator counts what a server really answered."""

from __future__ import annotations

import http.server
import json
import math
import threading
from collections.abc import Iterator
from typing import ClassVar

import pytest

from bench import load


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: list[bytes] = []
        self.connections = 0
        self.url = f"http://127.0.0.1:{self.server_port}/predictions/lesion"

    def handle_error(self, *_: object) -> None:
        """The generator hangs up in the middle of a request when its time is over."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    status: ClassVar[int] = 200
    close: ClassVar[bool] = False
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(body)
        answer = json.dumps({"bytes": len(body)}).encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(answer)))
        if self.close:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as started:
        thread = threading.Thread(target=started.serve_forever, args=(0.01,))
        thread.start()
        yield started
        started.shutdown()
        thread.join()


def test_every_answer_is_counted_and_connections_are_kept(server: Server) -> None:
    sample = load.drive(server.url, [b"a", b"bb"], concurrency=3, seconds=0.3, warm_up=0)
    assert sample.errors == 0
    assert 0 < len(sample.latencies) <= len(server.bodies)
    assert server.connections == 3
    assert set(server.bodies) == {b"a", b"bb"}
    assert sample.rate == pytest.approx(len(sample.latencies) / sample.seconds)


def test_a_server_that_closes_is_asked_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Handler, "close", True)
    sample = load.drive(server.url, [b"a"], concurrency=2, seconds=0.3, warm_up=0)
    assert sample.errors == 0
    assert len(sample.latencies) > 2
    assert server.connections >= len(sample.latencies)


def test_errors_are_no_answers(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Handler, "status", 503)
    sample = load.drive(server.url, [b"a"], concurrency=2, seconds=0.2, warm_up=0)
    assert sample.latencies == []
    assert sample.errors > 0
    assert math.isnan(sample.quantile(0.5))


def test_nobody_there_is_an_error() -> None:
    sample = load.drive("http://127.0.0.1:9/predictions/lesion", [b"a"], concurrency=1, seconds=0.1, warm_up=0)
    assert (sample.latencies, sample.errors > 0) == ([], True)


def test_large_bodies_arrive_whole(server: Server) -> None:
    assert load.ask(server.url, bytes(3 * 2**20)) == load.Answer(200, {"bytes": 3 * 2**20})
    load.drive(server.url, [bytes(3 * 2**20)], concurrency=2, seconds=0.2, warm_up=0)
    assert {len(body) for body in server.bodies} == {3 * 2**20}


def test_quantiles() -> None:
    sample = load.Sample(1.0, [float(i) for i in range(100)])
    assert (sample.quantile(0.5), sample.quantile(0.99), sample.quantile(1.0)) == (50, 99, 99)
