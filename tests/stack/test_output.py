"""Nobody reads what is told, as after `make serve | tee log` and Ctrl-C: it serves on, and ends when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from stack import output
from stack.probe import answers, free_ports

ROOT = Path(__file__).resolve().parents[2]
PORTS = ("DERMSERVE_INFERENCE_PORT", "DERMSERVE_MANAGEMENT_PORT", "DERMSERVE_METRICS_PORT", "PORT")
LINES = 40_000
"""Far more than fit into the pipe between a child and the supervisor."""
STAND_IN = f"""
import json, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/many":
            for number in range({LINES}):
                print("a line about a request", number)
            sys.stdout.flush()
        model = {{"workers": [{{"status": "READY"}}], "jobQueueStatus": {{"pendingRequests": 0}}}}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps([model]).encode())

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{{}}")

    def log_message(self, *_):
        pass

for port in sys.argv[1:]:
    threading.Thread(target=ThreadingHTTPServer(("127.0.0.1", int(port)), Answer).serve_forever).start()
"""
"""Answers like TorchServe and the gateway, and may be asked to print a great deal."""
SERVE = f"""
import os, sys
from stack import __main__, supervisor, torchserve

class Stub(supervisor.Supervisor):
    _gateway = (sys.executable, "-c", {STAND_IN!r}, os.environ["PORT"])

    async def _check_gateway(self):
        pass

def command(settings, *_):
    ports = [str(settings.inference_port), str(settings.management_port)]
    return torchserve.Command([sys.executable, "-c", {STAND_IN!r}, *ports], dict(os.environ), settings.config.parent)

supervisor.Supervisor = Stub
torchserve.command = command
sys.exit(__main__.main(["serve"]))
"""


class Serving:
    """The real supervisor with stand-ins for both of its children; what it prints goes wherever a test says."""

    def __init__(self, folder: Path) -> None:
        with zipfile.ZipFile(folder / "lesion.mar", "w") as archive:
            archive.writestr("bundle/bundle.json", json.dumps({"golden": [{"file": "golden.jpg"}]}))
            archive.writestr("bundle/golden.jpg", b"an image")
        digest = hashlib.sha256((folder / "lesion.mar").read_bytes()).hexdigest()
        (folder / "lesion.mar.sha256").write_text(digest)
        ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
        self.url = f"http://127.0.0.1:{ports['PORT']}"
        chosen = {"DERMSERVE_MODEL_STORE": str(folder), "DERMSERVE_WORKERS": "1", **ports}
        # As in a terminal, where Python keeps what it could not write and tries again at its end.
        self.environment = os.environ | chosen | {"PYTHONUNBUFFERED": ""}

    @contextlib.contextmanager
    def running(self, output: int, errors: int) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-c", SERVE]
        with subprocess.Popen(
            command, cwd=ROOT, env=self.environment, stdout=output, stderr=errors, start_new_session=True
        ) as process:
            try:
                yield process
            finally:
                process.kill()


def read_until(pipe: int, word: bytes) -> None:
    told = b""
    while word not in told:
        assert select.select([pipe], [], [], 60)[0], told
        part = os.read(pipe, 4096)
        assert part, told
        told += part


def serves_and_ends(serving: Serving, process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    assert [httpx.get(f"{serving.url}/{path}", timeout=60).status_code for path in ("many", "livez")] == [200, 200]
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, b"")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_reader_that_has_gone_keeps_it_neither_from_serving_nor_from_ending(
    tmp_path: Path, number: signal.Signals
) -> None:
    serving = Serving(tmp_path)
    reader, writer = os.pipe()
    with serving.running(writer, subprocess.PIPE) as process:
        os.close(writer)
        read_until(reader, b"Ctrl-C stops everything")
        os.close(reader)
        serves_and_ends(serving, process, number)
    with pytest.raises(httpx.ConnectError):
        httpx.get(serving.url)


def test_errors_into_the_same_broken_pipe_leave_the_exit_code(tmp_path: Path) -> None:
    serving = Serving(tmp_path)
    (tmp_path / "lesion.mar.sha256").write_text("0" * 64)
    reader, writer = os.pipe()
    os.close(reader)
    with serving.running(writer, writer) as process:
        os.close(writer)
        assert process.wait(60) == 4


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a device that is always full")
def test_a_full_disk_keeps_it_neither_from_serving_nor_from_ending(tmp_path: Path) -> None:
    serving = Serving(tmp_path)
    with Path("/dev/full").open("wb") as full, serving.running(full.fileno(), subprocess.PIPE) as process:
        asyncio.run(asyncio.wait_for(answers(f"{serving.url}/readyz"), 60))
        serves_and_ends(serving, process, signal.SIGTERM)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_reader_that_stands_still_keeps_it_neither_from_serving_nor_from_ending(
    tmp_path: Path, number: signal.Signals
) -> None:
    serving = Serving(tmp_path)
    reader, writer = os.pipe()
    with serving.running(writer, subprocess.PIPE) as process:
        os.close(writer)
        read_until(reader, b"Ctrl-C stops everything")
        serves_and_ends(serving, process, number)
        with os.fdopen(reader, "rb") as late:
            told = late.read()
    assert told.count(b"a line about a request") < LINES


def test_what_was_left_out_is_said_once_there_is_room() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream, os.fdopen(reader, "rb", buffering=0) as late:
        for _ in range(5000):
            output.tell("a line that nobody reads yet", stream)
        full = late.read(2**20)
        output.tell("and one that is read", stream)
        told = late.read(2**20).decode()
    assert re.fullmatch(r"\(lines left out, as nobody read them: (\d+)\)\nand one that is read\n", told)
    assert full.count(b"\n") + int(told.split(")")[0].split()[-1]) == 5000


def test_what_follows_a_line_that_was_cut_has_a_line_of_its_own() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream, os.fdopen(reader, "rb", buffering=0) as late:
        output.tell("a" * 2**20, stream)
        cut = late.read(2**20)
        output.tell("one that is read", stream)
        output.tell("and another", stream)
        told = late.read(2**20).decode()
    assert set(cut) == set(b"a")
    assert told == "\n(lines left out, as nobody read them: 1)\none that is read\nand another\n"
