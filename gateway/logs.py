"""JSON logs, one line a record; never an image, a file name or anything else about a patient."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TextIO


class JsonLines(logging.Formatter):
    """A record as one JSON object; `extra={"fields": {...}}` adds members."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class RequestLog:
    """One line a request, as the other logs look; written past `logging`, which would cost more than the line."""

    def __init__(self, stream: TextIO, level: str) -> None:
        self._stream = stream
        self._threshold = logging.getLevelNamesMapping()[level.upper()]

    def write(
        self,
        request_id: str,
        method: str,
        route: str,
        status: int,
        seconds: float,
        note: Mapping[str, object],
        *,
        quiet: bool,
    ) -> None:
        """Errors of the server are warnings; of quiet requests, refusals are info and the rest debug; else info."""
        if quiet:
            level = logging.DEBUG if status < 400 else logging.INFO
        else:
            level = logging.WARNING if status >= 500 else logging.INFO
        if level < self._threshold:
            return
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "level": logging.getLevelName(level).lower(),
            "logger": "gateway.request",
            "message": "request",
            "request_id": request_id,
            "method": method,
            "route": route,
            "status": status,
            "ms": round(seconds * 1000, 2),
            **note,
        }
        with contextlib.suppress(OSError, ValueError):  # a reader that went away must not take requests with it
            self._stream.write(json.dumps(line) + "\n")
            self._stream.flush()


def configure(level: str) -> None:
    """Send every log of this process to standard output as JSON lines."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for talkative in ("asyncio", "uvicorn"):
        logging.getLogger(talkative).setLevel(max(logging.WARNING, logging.getLogger().level))
