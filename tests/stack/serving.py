"""`python -m stack serve` as a person runs it, on free ports."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import psutil

from stack.probe import free_ports

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 180


class Serving:
    """The process, what it prints line by line, and every process it started."""

    def __init__(self, model_store: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        names = ["DERMSERVE_INFERENCE_PORT", "DERMSERVE_MANAGEMENT_PORT", "DERMSERVE_METRICS_PORT", "PORT"]
        self.ports = dict(zip(names, map(str, free_ports(len(names))), strict=True))
        self.gateway_url = f"http://127.0.0.1:{self.ports['PORT']}"
        self.inference_url = f"http://127.0.0.1:{self.ports['DERMSERVE_INFERENCE_PORT']}"
        settings = {
            "DERMSERVE_MODEL_STORE": str(model_store),
            "DERMSERVE_WORKERS": "1",
            "DERMSERVE_START_SECONDS": "170",
            **self.ports,
        }
        self.environment = os.environ | settings | dict(environment or {})
        self.arguments = [sys.executable, "-m", "stack", "serve", *arguments]
        self.lines: list[str] = []
        self.family: list[psutil.Process] = []
        self._queue: queue.Queue[str | None] = queue.Queue()

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self.arguments,
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for process in self.survivors():
            process.kill()
        self._reader.join(SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def wait_for(self, text: str) -> str:
        """The first line that holds the text; AssertionError if the process ends or takes too long before."""
        deadline = time.monotonic() + SECONDS
        while (line := self._queue.get(timeout=max(0.1, deadline - time.monotonic()))) is not None:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"{text!r} was not printed, but:\n{''.join(self.lines)}")

    def wait_ready(self) -> None:
        """Returns once it says that it serves, and notes which processes it has started."""
        self.wait_for("Ctrl-C stops everything")
        self.family = psutil.Process(self.process.pid).children(recursive=True)

    def child(self, word: str) -> psutil.Process:
        """The one of its processes whose command line holds the word."""
        return next(process for process in self.family if any(word in part for part in process.cmdline()))

    def interrupt(self) -> None:
        """Ctrl-C in the terminal reaches the whole foreground group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def wait(self) -> int:
        """Its exit code; the rest of its lines are in `lines`."""
        code = self.process.wait(SECONDS)
        while (line := self._queue.get(timeout=SECONDS)) is not None:
            self.lines.append(line)
        return code

    def ends(self) -> list[str]:
        """What it said to have stopped, in that order."""
        return [line.split()[0] for line in self.lines if line.split()[1:] == ["stopped"]]

    def survivors(self) -> list[psutil.Process]:
        """Those of its processes that still run."""
        return [process for process in self.family if process.is_running() and process.status() != "zombie"]

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._queue.put(line)
        self._queue.put(None)
