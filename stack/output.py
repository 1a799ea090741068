"""What is told to whoever reads along. Nobody may: a `tee` that ended by the same Ctrl-C, a log on a full disk."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO


def tell(text: str, stream: TextIO | None = None) -> None:
    """Prints it to the stream, or standard output; what cannot be written is lost and stops nothing."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=stream or sys.stdout, flush=True)


def give_up() -> None:
    """Before the process ends. Python would try once more to write what is lost, and end with its exit code 120."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
