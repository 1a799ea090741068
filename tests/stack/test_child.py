"""What the supervisor does with its children: nothing of them is left, and a queue is empty before its server ends."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from stack import probe, supervisor
from stack.child import Child
from stack.settings import Settings
from tests.gateway.conftest import until
from tests.stack.test_pod import gone


def test_what_a_child_started_does_not_outlive_it(capfd: pytest.CaptureFixture[str]) -> None:
    script = "sleep 600 >/dev/null 2>&1 & echo $!; trap 'exit 0' TERM; while :; do sleep 0.05; done"

    async def play() -> int:
        child = await Child.start("child", ["bash", "-c", script], {}, Path("/"))
        while not (told := capfd.readouterr().out):
            await asyncio.sleep(0.01)
        assert await child.stop(10)
        return int(told)

    left = asyncio.run(play())
    until(lambda: gone(left))


@contextmanager
def queue(*lengths: int) -> Iterator[tuple[str, list[int]]]:
    """The management address of a server whose queue has these lengths, one a question, and what is left of them."""
    left = list(lengths)

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps([{"jobQueueStatus": {"pendingRequests": left.pop(0)}}]).encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}", left
        server.shutdown()
        serving.join()


def test_a_queue_that_is_empty_for_a_moment_is_not_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PAUSE", 0.0)
    with queue(0, 0, 3, 0, 0, 0, 9) as (address, left):
        asyncio.run(probe.idle(address))
        assert left == [9]


def test_a_torchserve_that_is_killed_within_its_answer_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        stopping = pool.submit(asyncio.run, probe.idle(f"http://127.0.0.1:{listener.getsockname()[1]}"))
        with listener.accept()[0] as connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n[{")
        stopping.result(10)


class Enough(Exception):
    """What a child is started with was seen."""


def test_two_stacks_on_one_machine_do_not_share_the_ports_that_nobody_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("PORT", "DERMSERVE_INFERENCE_PORT", "DERMSERVE_MANAGEMENT_PORT", "DERMSERVE_METRICS_PORT")
    chosen = dict(zip(names, map(str, probe.free_ports(4)), strict=True))
    given: list[dict[str, str]] = []

    async def stop(_: str, __: object, environment: dict[str, str], ___: Path) -> Child:
        given.append(environment)
        raise Enough

    monkeypatch.setattr(Child, "start", stop)
    for _ in range(2):
        with pytest.raises(Enough):
            supervisor.serve(Settings.read(chosen), gateway=False)
    ports = [each[f"TS_GRPC_{name}_PORT"] for each in given for name in ("INFERENCE", "MANAGEMENT")]
    assert not {"7070", "7071", *chosen.values()} & set(ports)
    assert len(set(ports[:2])) == len(set(ports[2:])) == 2
