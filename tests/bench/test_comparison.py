"""What a run makes of systems that refuse, that know no probability, or that answer nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import load, systems
from bench.comparison import Comparison, Plan
from bench.cores import Cores
from bench.materials import Materials
from bench.system import System
from stack.probe import free_ports

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import json, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

answers = json.loads(sys.argv[2])

class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(*(answers.pop(0) if len(answers) > 1 else answers[0]))

    def do_GET(self):
        self.answer(200, "ts_inference_requests_total 7.0")

    def answer(self, status, document):
        body = document.encode() if isinstance(document, str) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""
"""Answers one request after the other as it is told, and all further ones like the last of these."""
GOOD = (200, {"probability": 0.3})
ABSTAINS = (200, {"probability": None})
BUSY = (503, {"reason": "busy", "status": 503})


@pytest.fixture
def stand_in(tmp_path: Path) -> Callable[..., System]:
    def make(*answers: tuple[int, dict[str, Any]]) -> System:
        [port] = free_ports(1)
        command = [sys.executable, "-c", SCRIPT, str(port), json.dumps(answers)]
        ports = {"DERMSERVE_METRICS_PORT": str(port)}
        url = f"http://127.0.0.1:{port}/predictions/lesion"
        return System(systems.OURS, url, command, ports, tmp_path, Cores.split(), tmp_path / "log")

    return make


def run(system: System, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Comparison:
    monkeypatch.setattr(systems, "dermserve", lambda *_: system)
    plan = Plan(seconds=0.05, rounds=1, concurrency=(1,))
    comparison = Comparison(Materials("resnet18", folder, folder), {"600x450": [b"image"]}, folder, Cores.split(), plan)
    comparison.run(frozenset({systems.OURS}))
    return comparison


def test_a_refusal_is_not_the_answer_that_a_start_waits_for(stand_in: Callable[..., System]) -> None:
    system = stand_in(BUSY, BUSY, GOOD)
    try:
        system.start(b"image")
        assert load.ask(system.url, b"image") == load.Answer(*GOOD)
    finally:
        system.stop()


def test_a_system_that_answers_nothing_under_load_has_no_breakdown(
    stand_in: Callable[..., System], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    comparison = run(stand_in(GOOD, GOOD, BUSY), tmp_path, monkeypatch)
    assert [(row.rate, row.errors > 0) for row in comparison.rows] == [(0.0, True)]
    assert (comparison.alone, comparison.crowded) == (None, None)


@pytest.mark.parametrize(
    ("answer", "said"), [(ABSTAINS, "dermserve gives no probability for 600x450"), (BUSY, "dermserve refuses 600x450")]
)
def test_a_system_whose_probabilities_cannot_be_compared_is_not_measured(
    stand_in: Callable[..., System],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: tuple[int, dict[str, Any]],
    said: str,
) -> None:
    with pytest.raises(RuntimeError, match=said):
        run(stand_in(GOOD, answer), tmp_path, monkeypatch)


def test_the_gateway_alone_is_refused_before_any_work(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "--systems", systems.GATEWAY, "--output", str(tmp_path)]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "'dermserve + gateway' asks the TorchServe of 'dermserve': name both" in refused.stderr.splitlines()[-1]
