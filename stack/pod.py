"""`python -m stack pod`: TorchServe and the gateway in one container, each started again when it ends.

On a cluster they are two containers of a pod. Docker has no pods: after a reboot it starts containers in any order, and
one that shares the network of another, not yet running, is not tried again (https://github.com/moby/moby/issues/50326).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence

from stack import signals
from stack.child import die_with_parent
from stack.output import tell

# In the order of their ends: the gateway's last answers need TorchServe.
COMMANDS = {
    "gateway": (sys.executable, "-m", "gateway"),
    "torchserve": (sys.executable, "-m", "stack", "torchserve"),
}
SHORTEST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 60.0
# A program that ran so long was well: its next end is a new matter.
WELL_S = 10.0


class Program:
    """A command that runs until it is told to end."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        self.command = list(command)
        self._process: subprocess.Popen[bytes] | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=name)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Returns when it has ended, at its own pace: who wants it faster kills the container."""
        self._ending.set()
        if self._process:
            self._process.terminate()
        self._thread.join()

    def _keep(self) -> None:
        pause = SHORTEST_PAUSE_S
        while not self._ending.is_set():
            began = time.monotonic()
            try:
                what = f"ended by itself ({self._once()})"
            except OSError as error:
                what = f"does not start ({error})"
            if self._ending.is_set():
                return
            pause = SHORTEST_PAUSE_S if time.monotonic() - began > WELL_S else min(2 * pause, LONGEST_PAUSE_S)
            tell(f"stack: {self.name} {what}: once more in {pause:.1f} s", sys.stderr)
            self._ending.wait(pause)

    def _once(self) -> int:
        self._process = subprocess.Popen(self.command, start_new_session=True, preexec_fn=die_with_parent)
        if self._ending.is_set():  # since before there was a process that end() could have told
            self._process.terminate()
        code = self._process.wait()
        _clear_away(self._process.pid)
        return code


def _clear_away(group: int) -> None:
    """A Java that was killed leaves workers. As the container's first process this one also inherits them."""
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.killpg(group, signal.SIGKILL)
        while True:
            os.waitpid(-group, 0)


def run(commands: Mapping[str, Sequence[str]] = COMMANDS) -> int:
    """Runs until a signal asks for the end."""
    asked = threading.Event()
    for number in signals.of_end():
        signal.signal(number, lambda *_: asked.set())
    programs = [Program(name, command) for name, command in commands.items()]
    for program in programs:
        program.start()
    # A signal that another thread happens to receive wakes nobody who waits without end.
    while not asked.wait(0.5):
        pass
    for program in programs:
        program.end()
    return 0
