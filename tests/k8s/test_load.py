"""The proof's load generator counts every request once, and a failure as a failure."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from k8s.proof.load import load


class Handler(BaseHTTPRequestHandler):
    """Every fourth prediction fails."""

    protocol_version = "HTTP/1.1"
    count = itertools.count(1)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        status = 503 if next(self.count) % 4 == 0 else 200
        content = json.dumps({"model": {"version": "1.0", "sha256": "abcdef0123"}}).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


def test_failures_are_counted_by_status_and_by_exception(server: str) -> None:
    seen = asyncio.run(load(server, seconds=0.2, rate=100)).report()
    assert seen["requests"] == 20
    assert seen["outcomes"] == {"200": 15, "503": 5}
    assert seen["failed"] == 5
    assert seen["models"] == {"1.0 abcdef01": 15}


def test_a_server_that_is_gone_fails_every_request() -> None:
    seen = asyncio.run(load("http://127.0.0.1:1", seconds=0.1, rate=50)).report()
    assert seen["requests"] == seen["failed"] == 5
