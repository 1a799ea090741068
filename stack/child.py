"""A process that the supervisor started: its output passed on, its signals its own, its end complete."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from stack.output import tell

PR_SET_PDEATHSIG = 1
# A worker says so when its bundle must not be served; TorchServe would only start it again and again.
REFUSAL = "worker refused to start: "
# What Java and TorchServe print whatever the log level says.
NOISE = ("WARNING: sun.reflect", "nvidia-smi not available", "Model server started.")


class Child:
    """Lives in a process group of its own, so that Ctrl-C in the terminal reaches the supervisor alone."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.process = process
        self.refusal: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._relay())
        self.ended = asyncio.create_task(process.wait())

    @classmethod
    async def start(cls, name: str, arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> Child:
        """Starts it and passes its output on, without the noise."""
        process = await asyncio.create_subprocess_exec(
            *arguments,
            env=dict(environment),
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=2**20,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        return cls(name, process)

    async def stop(self, seconds: float) -> bool:
        """SIGTERM, and SIGKILL for whatever of it is left after so many seconds; true if that was not needed."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        done, _ = await asyncio.wait([self.ended], timeout=seconds)
        self.kill()
        await self.ended
        await asyncio.wait([self._reader], timeout=1)
        return bool(done)

    def kill(self) -> None:
        """SIGKILL for the process and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    async def _relay(self) -> None:
        assert self.process.stdout is not None
        while line := await self._line(self.process.stdout):
            text = line.decode(errors="replace").rstrip()
            _, refused, why = text.partition(REFUSAL)
            if refused and not self.refusal.done():
                self.refusal.set_result(REFUSAL + why)
            elif not refused and not text.startswith(NOISE):
                tell(text)

    async def _line(self, stream: asyncio.StreamReader) -> bytes:
        try:
            return await stream.readline()
        except ValueError:  # a line beyond the limit
            return b"(a very long line left out)\n"


def die_with_parent() -> None:
    """For preexec_fn: should the parent be killed outright, nobody else would stop its children."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
