"""The container's first process, beside which a hook runs."""

from __future__ import annotations

import contextlib
import re
import signal
import time
from pathlib import Path

FIRST = Path("/proc/1")
POLL_S = 0.1


def tell(words: str, first: Path = FIRST) -> None:
    """Print, and print into the container's own log too: Kubernetes throws away what a preStop command prints."""
    print(words, flush=True)
    with contextlib.suppress(OSError), (first / "fd" / "1").open("a", encoding="utf-8") as output:
        output.write(f"hook: {words}\n")


def heeds_sigterm(first: Path = FIRST) -> bool:
    """Whether it has a handler. Without one the kernel drops the SIGTERM of a first process, and it would live on."""
    try:
        caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", (first / "status").read_text(), re.MULTILINE)
    except OSError:
        return True
    return caught is None or bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


def await_handler(patience_s: float = 10.0, first: Path = FIRST) -> bool:
    """Return once SIGTERM, which follows the hook at once, ends a process that is still starting; False if too long."""
    end = time.monotonic() + patience_s
    while not heeds_sigterm(first):
        if time.monotonic() > end:
            return False
        time.sleep(POLL_S)
    return True
