"""The preStop hooks against a small gateway."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from image.hooks.await_gateway import await_gateway, connections, state
from image.hooks.drain import drain
from image.hooks.first_process import await_handler, heeds_sigterm, tell
from stack.probe import free_ports
from tests.k8s.small_server import JsonHandler, SmallServer, running


class Gateway(SmallServer):
    """Answers /readyz by its own state and /drain at once."""

    draining = False

    def __init__(self) -> None:
        super().__init__(Handler)


class Handler(JsonHandler):
    server: Gateway

    def do_GET(self) -> None:
        checks = {"not_draining": not self.server.draining, "workers_ready": False}
        self.answer(503, {"ready": False, "checks": checks})

    def do_POST(self) -> None:
        self.server.draining = True
        self.answer(200, {"drained": True, "in_flight": 0})


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with running(Gateway()) as server:
        yield server


def test_drain_asks_and_tells_what_the_gateway_said(gateway: Gateway) -> None:
    assert drain(gateway.server_port) == 'drained: {"drained": true, "in_flight": 0}'
    assert gateway.draining


def test_draining_a_gateway_that_is_gone_is_said() -> None:
    assert drain(free_ports(1)[0], patience_s=1).startswith("not drained: ")


class Killed(JsonHandler):
    """Ends within its answer."""

    def do_GET(self) -> None:
        self.begin(503)

    def do_POST(self) -> None:
        self.begin(200)

    def begin(self, status: int) -> None:
        self.send_response(status)
        self.send_header("content-length", "99")
        self.end_headers()


def test_a_gateway_that_ends_within_its_answer_is_told_as_one_that_did_not_answer() -> None:
    with running(SmallServer(Killed)) as server:
        assert state(server.server_port) == "serving"
        assert drain(server.server_port).startswith("not drained: ")


def nobody() -> int:
    return 0


def test_a_gateway_that_is_merely_not_ready_does_not_hold_a_restart_of_torchserve_up(gateway: Gateway) -> None:
    assert await_gateway(gateway.server_port, nobody, notice_s=0.0) == "serving"


def test_a_drain_that_begins_late_is_waited_for(gateway: Gateway) -> None:
    late = threading.Timer(0.5, drain, (gateway.server_port,))
    late.start()
    assert await_gateway(gateway.server_port, nobody, notice_s=20.0, patience_s=1.0) == "draining"
    late.join()


def test_torchserve_waits_for_a_draining_gateway_until_it_is_gone(gateway: Gateway) -> None:
    gateway.draining = True
    assert state(gateway.server_port) == "draining"
    seen: list[str] = []
    waiting = threading.Thread(target=lambda: seen.append(await_gateway(gateway.server_port, nobody, 0.0, 20.0)))
    waiting.start()
    waiting.join(0.5)
    assert waiting.is_alive()
    gateway.shutdown()
    gateway.server_close()
    waiting.join(10)
    assert seen == ["gone"]


def test_a_gateway_that_takes_no_more_but_still_asks_torchserve_is_not_gone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as torchserve:
        port = torchserve.getsockname()[1]
        seen: list[str] = []
        waiting = threading.Thread(
            target=lambda: seen.append(await_gateway(free_ports(1)[0], lambda: connections(port), 0.0, 20.0))
        )
        with socket.create_connection(("127.0.0.1", port)), torchserve.accept()[0]:
            assert connections(port) == 1
            waiting.start()
            waiting.join(0.5)
            assert waiting.is_alive()
        waiting.join(10)
        assert seen == ["gone"]


def test_a_gateway_too_busy_to_answer_is_not_gone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        assert state(busy.getsockname()[1]) == "silent"
        assert await_gateway(busy.getsockname()[1], nobody, notice_s=0.0, patience_s=0.1) == "silent"


def test_patience_ends(gateway: Gateway) -> None:
    gateway.draining = True
    assert await_gateway(gateway.server_port, nobody, notice_s=0.0, patience_s=0.1) == "draining"


def test_a_hook_waits_until_its_process_heeds_sigterm() -> None:
    program = (
        "import signal, sys; sys.stdin.read(1); signal.signal(15, lambda *_: 0); print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        first = Path(f"/proc/{process.pid}")
        assert not await_handler(0.1, first)
        process.stdin.write(b"x")
        process.stdin.flush()
        process.stdout.readline()
        assert await_handler(10, first)
        process.stdin.close()
    assert heeds_sigterm(first)


def test_a_hook_speaks_in_the_containers_log(tmp_path: Path) -> None:
    (tmp_path / "fd").mkdir()
    tell("drained", tmp_path)
    assert (tmp_path / "fd" / "1").read_text() == "hook: drained\n"


def test_a_proxy_of_the_environment_is_not_asked(gateway: Gateway) -> None:
    program = (
        "import sys; sys.path.insert(0, 'image/hooks'); import await_gateway, drain; port = int(sys.argv[1]); "
        "print(await_gateway.state(port), drain.drain(port).partition(':')[0], await_gateway.state(port))"
    )
    proxied = os.environ | {"http_proxy": "http://127.0.0.1:9"}
    command = [sys.executable, "-c", program, str(gateway.server_address[1])]
    told = subprocess.run(
        command, env=proxied, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    ).stdout
    assert told.split() == ["serving", "drained", "draining"]
