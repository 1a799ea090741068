"""A hook's words go into the container's own log: Kubernetes throws away what a preStop command prints."""

from __future__ import annotations

import contextlib
from pathlib import Path

CONTAINER_OUTPUT = Path("/proc/1/fd/1")


def tell(words: str) -> None:
    """Print, and where this runs beside a container's first process, print there too."""
    print(words, flush=True)
    with contextlib.suppress(OSError), CONTAINER_OUTPUT.open("a", encoding="utf-8") as output:
        output.write(f"hook: {words}\n")
