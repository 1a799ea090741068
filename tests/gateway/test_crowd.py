"""Connections that nobody uses give way to those that are needed."""

from __future__ import annotations

import resource
import socket
import threading
from collections.abc import Callable

import httpx
import pytest

from gateway import server
from gateway.crowd import most_connections
from tests.gateway.conftest import Gateway, until
from tests.gateway.fake_torchserve import FakeTorchServe
from tests.gateway.wire import dial, problem, read_all

Start = Callable[..., Gateway]
MOST = 4


@pytest.fixture
def crowded(start: Start, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    """A gateway that affords four connections, and whose own client has closed the one that it had."""
    monkeypatch.setattr(server, "most_connections", lambda: MOST)
    gateway = start()
    gateway.http.close()
    until(lambda: not gateway.server.server_state.connections)
    return gateway


def connect(gateway: Gateway, data: bytes = b"") -> socket.socket:
    """A connection that the gateway has taken."""
    connection = socket.create_connection(("127.0.0.1", gateway.port), timeout=10)
    own = connection.getsockname()
    until(lambda: own in [other.client for other in gateway.server.server_state.connections])
    connection.sendall(data)
    return connection


@pytest.mark.parametrize("said", [b"", b"GET /livez HTTP/1.1\r\nX-A:"], ids=["nothing", "half a head"])
def test_the_connection_that_waited_longest_gives_way(crowded: Gateway, said: bytes) -> None:
    oldest, *others = [connect(crowded, said) for _ in range(MOST)]
    assert httpx.get(f"{crowded.url}/livez").status_code == 200
    assert read_all(oldest) == b""
    for connection in others:
        connection.sendall(b" x\r\nHost: x\r\n\r\n" if said else b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.close()


def test_who_waits_for_an_answer_keeps_the_connection(crowded: Gateway, torchserve: FakeTorchServe) -> None:
    torchserve.hold = threading.Event()
    before = torchserve.started
    head = "POST /v1/predict HTTP/1.1", "Host: x", "Connection: close", "Content-Length: 5"
    clients = [dial(crowded, *head, "", "IMAGE") for _ in range(MOST)]
    until(lambda: torchserve.started == before + MOST)
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{crowded.url}/livez")
    torchserve.hold.set()
    assert all(read_all(client).startswith(b"HTTP/1.1 200") for client in clients)
    assert httpx.get(f"{crowded.url}/livez").status_code == 200


def test_who_sends_on_after_a_refusal_gives_way(crowded: Gateway) -> None:
    head = "POST /v1/predict HTTP/1.1", "Host: x", "Connection: close", "Content-Length: 99999999"
    refused = [dial(crowded, *head, "", "IMAGE") for _ in range(MOST)]
    until(lambda: crowded.server.server_state.total_requests >= MOST)
    assert httpx.get(f"{crowded.url}/livez").status_code == 200
    assert problem(read_all(refused.pop())) == (b"413", "too_large")
    for connection in refused:
        connection.close()


@pytest.mark.parametrize(("files", "most"), [(1024, 768), (2**20, 4096), (resource.RLIM_INFINITY, 4096)])
def test_the_process_keeps_files_for_itself(monkeypatch: pytest.MonkeyPatch, files: int, most: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    assert most_connections() == most
