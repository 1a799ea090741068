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
        self._lost = 0
        self._cut = False

    def write(self, text: str, /) -> int:
        patience_ms = PATIENCE_MS if not self._lost else 0
        ahead = "\n" if self._cut else ""
        if self._lost:
            ahead += json.dumps({"level": "warning", "logger": "gateway", "message": f"{self._lost} lines lost"}) + "\n"
        data = (ahead + text).encode(errors="replace")
        self._lost += 1
        while data:
            if not self._has_room(patience_ms):
                return 0
            data = data[os.write(self._descriptor, data[: select.PIPE_BUF]) :]
            self._cut = bool(data)
        self._lost = 0
        return len(text)

    def fileno(self) -> int:
        return self._descriptor

    def _has_room(self, patience_ms: int) -> bool:
        """For PIPE_BUF bytes at least, where it is a pipe."""
        waiting = select.poll()
        waiting.register(self._descriptor, select.POLLOUT)
        return bool(waiting.poll(patience_ms))
