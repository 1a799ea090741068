"""The end of a gateway: whoever has asked is answered, and nobody holds it up."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
import uvloop

from gateway import door
from stack.probe import free_ports
from tests.gateway.conftest import Gateway, until
from tests.gateway.fake_torchserve import FakeTorchServe

REQUEST = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nIMAGE"


def until_the_end(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(65536), b""))


def test_a_client_that_has_just_connected_is_still_served_when_stopping(gateway: Gateway) -> None:
    gateway.http.close()
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as newcomer:
        until(lambda: any(connection.cycle is None for connection in gateway.server.server_state.connections))
        gateway.signal(signal.SIGTERM)
        until(lambda: gateway.server.should_exit and not gateway.server.servers[0].is_serving())
        newcomer.sendall(REQUEST)
        answer = until_the_end(newcomer)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer
    gateway.join()


def test_who_is_connected_but_not_yet_accepted_is_answered_when_stopping(gateway: Gateway) -> None:
    gateway.http.close()
    held, go = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        go.wait(20)
        time.sleep(0.2)  # uvicorn looks for an end every 0.1 s: it does so before it looks for connections again

    gateway.server.servers[0].get_loop().call_soon_threadsafe(hold)
    assert held.wait(10)
    with contextlib.ExitStack() as stack:
        newcomers = [
            stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=10)) for _ in range(8)
        ]
        gateway.signal(signal.SIGTERM)
        for newcomer in newcomers:
            newcomer.sendall(REQUEST)
        go.set()
        answers = [until_the_end(newcomer) for newcomer in newcomers]
    assert [answer.split()[1] for answer in answers] == [b"200"] * len(newcomers)
    gateway.join()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.readline())
    writer.close()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_who_is_inside_when_the_door_closes_is_served(
    monkeypatch: pytest.MonkeyPatch, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def close() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        with contextlib.ExitStack() as stack:
            inside = [stack.enter_context(socket.create_connection(address, timeout=10)) for _ in range(5)]
            await door.empty(server)
            server.close()
            for client in inside:
                client.sendall(b"asked\n")
                assert await asyncio.to_thread(until_the_end, client) == b"asked\n"

    monkeypatch.setattr(door, "HANDSHAKE_S", 0.0)  # as on a machine that stood still meanwhile
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(close())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can keep newcomers out without turning others away")
def test_nobody_new_gets_in_once_the_door_is_being_closed() -> None:
    async def close() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        await door.empty(server)
        with pytest.raises(TimeoutError):
            socket.create_connection(address, timeout=0.2)
        server.close()

    asyncio.run(close())


@contextlib.contextmanager
def kept_while_stopping(gateway: Gateway) -> Iterator[socket.socket]:
    """A connection that has had its answer and lies idle while the gateway, told to stop, closes what it can."""
    gateway.http.close()
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
        client.sendall(REQUEST)
        first = b""
        while not first.endswith(b"}"):
            first += client.recv(65536)
        assert b"connection: close" not in first
        gateway.signal(signal.SIGTERM)
        until(lambda: gateway.server.should_exit and not gateway.server.servers[0].is_serving())
        yield client
    gateway.join()


def test_a_request_that_crosses_the_end_of_a_kept_connection_is_answered(gateway: Gateway) -> None:
    with kept_while_stopping(gateway) as client:
        client.sendall(REQUEST)
        answer = until_the_end(client)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer


def test_a_kept_connection_that_asks_nothing_is_closed(gateway: Gateway) -> None:
    with kept_while_stopping(gateway) as client:
        assert client.recv(1) == b""


def test_who_comes_within_the_delay_after_a_signal_is_still_served(start: Callable[..., Gateway]) -> None:
    gateway = start(drain_delay_s=600)
    gateway.signal(signal.SIGTERM)
    until(lambda: not gateway.ready())
    began = gateway.server.server_state.total_requests
    for more in range(3):
        assert httpx.post(f"{gateway.url}/v1/predict", content=b"IMAGE").status_code == 200
        until(lambda more=more: gateway.server.server_state.total_requests > began + more)
    assert not gateway.server.should_exit
    assert gateway.server.traffic.draining_since is not None
    gateway.server.traffic.draining_since -= 600
    gateway.join()


class Process:
    """A gateway as a process of its own, and one client that waits for its answer."""

    def __init__(self, torchserve: FakeTorchServe, delay_s: float, deadline_s: int) -> None:
        [port] = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        environment = {
            **os.environ,
            **torchserve.environment(port),
            "DERMSERVE_PORT": "1",
            "DERMSERVE_DRAIN_DELAY_S": str(delay_s),
            "DERMSERVE_DRAIN_DEADLINE_S": str(deadline_s),
        }
        self.http = httpx.Client(base_url=self.url, timeout=30)
        command = [sys.executable, "-m", "gateway"]
        self.running = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        until(lambda: self.readyz() == 200, 30)
        torchserve.hold = threading.Event()
        before = torchserve.started
        self.answers: list[httpx.Response] = []
        self.client = threading.Thread(target=self._ask)
        self.client.start()
        until(lambda: torchserve.started == before + 1)

    def _ask(self) -> None:
        self.answers.append(httpx.post(f"{self.url}/v1/predict", content=b"IMAGE", timeout=30))

    def readyz(self) -> int | None:
        """The status, or None where nobody listens."""
        try:
            return self.http.get("/readyz").status_code
        except httpx.TransportError:
            return None

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.running.kill()
        self.running.wait()
        self.client.join()
        self.http.close()


def test_a_second_ctrl_c_waits_for_nothing(torchserve: FakeTorchServe) -> None:
    with Process(torchserve, delay_s=600, deadline_s=600) as gateway:
        gateway.running.send_signal(signal.SIGINT)
        until(lambda: gateway.readyz() == 503)
        gateway.running.send_signal(signal.SIGINT)
        gateway.running.wait(20)
        assert torchserve.hold
        torchserve.hold.set()


def test_sigterm_makes_unready_ends_what_is_at_work_and_exits(torchserve: FakeTorchServe) -> None:
    with Process(torchserve, delay_s=4, deadline_s=30) as gateway:
        gateway.running.send_signal(signal.SIGTERM)
        until(lambda: gateway.readyz() == 503)
        until(lambda: gateway.readyz() is None, 30)
        assert gateway.running.poll() is None
        assert torchserve.hold
        torchserve.hold.set()
        gateway.client.join()
        assert gateway.answers[0].status_code == 200
        assert gateway.running.wait(20) == 0


def test_what_does_not_end_is_ended_at_the_deadline(torchserve: FakeTorchServe) -> None:
    with Process(torchserve, delay_s=0, deadline_s=1) as gateway:
        began = time.monotonic()
        gateway.running.send_signal(signal.SIGTERM)
        assert gateway.running.wait(20) == 0
        assert time.monotonic() - began > 1
        gateway.client.join()
        assert (gateway.answers[0].status_code, gateway.answers[0].json()["reason"]) == (503, "shutting_down")
