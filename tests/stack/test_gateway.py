"""A gateway that would not come up is told before the wait, or its failing check after it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from gateway.health import Readiness
from stack import gateway, probe
from stack.problem import BadSetting
from stack.settings import ROOT, Settings

CHECKS = list(Readiness.__dataclass_fields__)


@contextmanager
def unready(*failing: str) -> Iterator[str]:
    """The address of a gateway with these failing checks."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503)
            self.end_headers()
            self.wfile.write(json.dumps({"checks": {name: name not in failing for name in CHECKS}}).encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            serving.join()


def test_a_proxy_of_the_environment_is_not_asked_about_our_own_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{probe.free_ports(1)[0]}")
    with unready("golden_prediction") as address:
        assert asyncio.run(gateway.why_not_ready(address)).startswith("its check golden_prediction fails")


def test_every_check_has_a_cure_in_the_order_of_the_checks() -> None:
    assert list(gateway.CURES) == CHECKS


@pytest.mark.parametrize("check", CHECKS)
def test_the_first_failing_check_is_named_in_one_line(check: str) -> None:
    with unready(*CHECKS[CHECKS.index(check) :]) as address:
        told = asyncio.run(gateway.why_not_ready(address))
    assert told == f"its check {check} fails: {gateway.CURES[check]}"


def test_an_address_where_nobody_answers_is_named() -> None:
    address = f"http://127.0.0.1:{probe.free_ports(1)[0]}"
    assert address in asyncio.run(gateway.why_not_ready(address))


@pytest.mark.parametrize(
    ("setting", "cure"),
    [
        ("DERMSERVE_MIN_READY_WORKERS=2", "raise DERMSERVE_WORKERS"),
        ("DERMSERVE_MODEL_NAME=other", "unset it"),
        ("DERMSERVE_GATEWAY_HOST=192.0.2.1", "127.0.0.1 is"),
        ("DERMSERVE_GATEWAY_HOST=", "127.0.0.1 is"),
    ],
)
def test_what_would_never_be_ready_is_told_before_anything_starts(setting: str, cure: str) -> None:
    ports = ("PORT", "DERMSERVE_INFERENCE_PORT", "DERMSERVE_MANAGEMENT_PORT", "DERMSERVE_METRICS_PORT")
    chosen = dict(zip(ports, map(str, probe.free_ports(4)), strict=True)) | {"DERMSERVE_WORKERS": "1"}
    name, _, value = setting.partition("=")
    environment = os.environ | chosen | {name: value}
    command = [sys.executable, "-m", "stack", "serve"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"stack: {name}=")
    assert cure in ended.stderr


def test_as_many_ready_workers_as_there_are_may_be_asked_for() -> None:
    gateway.require_possible({"DERMSERVE_MIN_READY_WORKERS": "2", "DERMSERVE_MODEL_NAME": "lesion"}, workers=2)
    with pytest.raises(BadSetting, match="MIN_READY_WORKERS=3 is more than"):
        gateway.require_possible({"DERMSERVE_MIN_READY_WORKERS": "3"}, workers=2)


@pytest.mark.parametrize(
    ("host", "reached_at"),
    [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]"), ("10.0.0.7", "10.0.0.7")],
)
def test_the_gateway_is_asked_where_it_listens(host: str, reached_at: str) -> None:
    assert Settings.read({"DERMSERVE_GATEWAY_HOST": host}).gateway_url == f"http://{reached_at}:8000"
