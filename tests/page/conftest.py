"""The real gateway on a free port before an arranged TorchServe, and a real Chromium in front of it."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from gateway.app import create
from gateway.settings import Settings
from tests.page.upstream import ArrangedTorchServe

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str | None:
    """Where Debian's Chromium, or another, lies on this machine."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Site:
    """The gateway in a thread; it can be stopped and started again on its port, as on a bad connection."""

    def __init__(self, **settings: Any) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._settings = settings
        self._server: uvicorn.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        app = create(Settings(port=self.port, poll_interval_s=0.1, **self._settings))
        config = uvicorn.Config(app, host="127.0.0.1", port=self.port, log_level="error", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        with httpx.Client(transport=httpx.HTTPTransport(retries=20)) as client:
            wait = threading.Event()
            while client.get(f"{self.url}/v1/model", headers=self.headers).status_code == 503:
                wait.wait(0.02)

    headers: dict[str, str] = {}  # noqa: RUF012

    def stop(self) -> None:
        assert self._server
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(10)


@pytest.fixture(scope="session")
def upstream() -> Iterator[ArrangedTorchServe]:
    server = ArrangedTorchServe()
    yield server
    server.close()
