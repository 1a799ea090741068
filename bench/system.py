"""A server under test: started on two cores, asked until it answers, weighed, stopped."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import psutil

from bench import load
from bench.cores import Cores, pinned_to

START_SECONDS = 300


class System:
    """One command and the address at which it predicts."""

    def __init__(
        self,
        name: str,
        url: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        cores: Cores,
        log: Path,
    ) -> None:
        self.name = name
        self.url = url
        self.command = list(command)
        self.environment = os.environ | dict(environment)
        self.folder = folder
        self.cores = cores
        self.log = log

    def start(self, example: bytes) -> Self:
        """Returns once it answers the example with 200 and JSON."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=pinned_to(self.cores.serving),
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers(example):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"{self.name} does not answer; read {self.log}")
            time.sleep(0.2)
        return self

    def memory(self) -> dict[str, float]:
        """Resident MiB of every process, by its program's name."""
        whole = psutil.Process(self.process.pid)
        processes = [whole, *whole.children(recursive=True)]
        told: dict[str, float] = {}
        for process in processes:
            try:
                key = f"{process.name()} {process.pid}"
                told[key] = process.memory_info().rss / 2**20
            except psutil.Error:
                continue
        return told

    def stop(self) -> None:
        """Ends the whole group of processes."""
        for number, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                break
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue

    def _answers(self, example: bytes) -> bool:
        try:
            return load.ask(self.url, example).status == 200
        except (OSError, ValueError, http.client.HTTPException):
            return False
