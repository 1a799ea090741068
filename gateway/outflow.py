"""Standard output whose reader may stall, as a log collector does: lines are lost then, and no request waits."""

from __future__ import annotations

import io
import json
import os
import select

PATIENCE_MS = 100


class Outflow(io.TextIOBase):
    """Takes whole lines, and says how many it could not pass on as soon as it passes on another."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._room = select.poll()
        self._room.register(descriptor, select.POLLOUT)
        self._lost = 0
        self._cut = False

    def write(self, text: str, /) -> int:
        patience_ms = PATIENCE_MS if not self._lost else 0
        ahead = "\n" if self._cut else ""
        if self._lost:
            ahead += (
                json.dumps({"level": "warning", "logger": "gateway", "message": f"lines lost: {self._lost}"}) + "\n"
            )
        data = (ahead + text).encode(errors="replace")
        while data:
            if not self._room.poll(patience_ms):  # for PIPE_BUF bytes at least, where it is a pipe
                self._lost += 1
                return 0
            data = data[os.write(self._descriptor, data[: select.PIPE_BUF]) :]
            self._cut, self._lost = bool(data), 0
        return len(text)

    def fileno(self) -> int:
        return self._descriptor
