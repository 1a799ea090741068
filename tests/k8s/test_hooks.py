"""The preStop hooks against a small gateway."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from image.hooks.await_gateway import await_gateway, state
from image.hooks.drain import drain


class Gateway(ThreadingHTTPServer):
    """Answers /readyz by its own state and /drain at once."""

    draining = False
    daemon_threads = True


class Handler(BaseHTTPRequestHandler):
    server: Gateway

    def do_GET(self) -> None:
        checks = {"not_draining": not self.server.draining, "workers_ready": False}
        self._answer(503, {"ready": False, "checks": checks})

    def do_POST(self) -> None:
        self.server.draining = True
        self._answer(200, {"drained": True, "in_flight": 0})

    def _answer(self, status: int, document: object) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_drain_asks_and_tells_what_the_gateway_said(gateway: Gateway) -> None:
    assert drain(gateway.server_port) == 'drained: {"drained": true, "in_flight": 0}'
    assert gateway.draining


def test_draining_a_gateway_that_is_gone_is_said() -> None:
    assert drain(free_port(), patience_s=1).startswith("not drained: ")


def test_a_gateway_that_is_merely_not_ready_does_not_hold_a_restart_of_torchserve_up(gateway: Gateway) -> None:
    assert await_gateway(gateway.server_port, notice_s=0.0) == "serving"


def test_torchserve_waits_for_a_draining_gateway_until_it_is_gone(gateway: Gateway) -> None:
    gateway.draining = True
    assert state(gateway.server_port) == "draining"
    waiting = threading.Thread(target=await_gateway, args=(gateway.server_port, 0.0, 20.0))
    waiting.start()
    waiting.join(0.5)
    assert waiting.is_alive()
    gateway.shutdown()
    gateway.server_close()
    waiting.join(10)
    assert not waiting.is_alive()


def test_patience_ends(gateway: Gateway) -> None:
    gateway.draining = True
    assert await_gateway(gateway.server_port, notice_s=0.0, patience_s=0.1) == "draining"
