"""What is told to whoever reads along. Nobody may: a `tee` ended by the same Ctrl-C, a log on a full disk, a pager."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from collections import defaultdict
from dataclasses import dataclass
from typing import TextIO

PATIENCE_MS = 100


@dataclass
class Reader:
    """Of one descriptor."""

    lost: int = 0  # lines since it took the last
    cut: bool = False  # the last that it took, before its end


_readers: defaultdict[int, Reader] = defaultdict(Reader)


def tell(text: str, stream: TextIO | None = None) -> None:
    """Prints it to the stream, or standard output; what is not taken at once is lost and stops nothing."""
    stream = stream or sys.stdout
    if stream is None:  # closed before we began
        return
    with contextlib.suppress(OSError, ValueError):
        stream.flush()
        descriptor = stream.fileno()
        reader = _readers[descriptor]
        patience_ms = 0 if reader.lost else PATIENCE_MS
        ahead = "\n" if reader.cut else ""
        if reader.lost:
            ahead += f"(lines left out, as nobody read them: {reader.lost})\n"
        data = f"{ahead}{text}\n".encode(errors="replace")
        while data:
            if not _has_room(descriptor, patience_ms):
                reader.lost += 1
                return
            data = data[os.write(descriptor, data[: select.PIPE_BUF]) :]
            reader.cut, reader.lost = bool(data), 0


def give_up() -> None:
    """Before the process ends. Python would try once more to write what is lost, and end with its exit code 120."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def _has_room(descriptor: int, patience_ms: int) -> bool:
    """For PIPE_BUF bytes at least, where it is a pipe."""
    waiting = select.poll()
    waiting.register(descriptor, select.POLLOUT)
    return bool(waiting.poll(patience_ms))
