"""uvicorn, told to drain before it stops and not to wait for clients for ever.

One process: it passes on several times what TorchServe can answer on the same machine, and so readiness, drain, rate
limits, the bound on memory and the metrics are one truth. Who needs more runs more of the whole pod.
"""

from __future__ import annotations

import logging
import signal
import socket
import sys
import time
from types import FrameType
from typing import Any

import uvicorn

from gateway import door
from gateway.app import create
from gateway.crowd import most_connections
from gateway.logs import RequestLog
from gateway.metrics import Metrics
from gateway.protocol import PatientProtocol
from gateway.settings import Settings
from gateway.traffic import Traffic

log = logging.getLogger("gateway")
BODY_SLACK_S = 5.0


class Server(uvicorn.Server):
    """Drains on a signal; a second Ctrl-C stops at once."""

    def __init__(self, config: uvicorn.Config, traffic: Traffic, drain_delay_s: float) -> None:
        super().__init__(config)
        self.traffic = traffic
        self._drain_delay_s = drain_delay_s
        self._signalled = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for server in self.servers:
            for listener in server.sockets:
                log.info("listening on %s port %d", *listener.getsockname()[:2])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        log.info("stopping")
        for server in self.servers:
            await door.empty(server)
            server.close()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self._signalled and sig == signal.SIGINT:
            self.should_exit = self.force_exit = True
        self._signalled = True
        self.traffic.drain()

    async def on_tick(self, counter: int) -> bool:
        since = self.traffic.draining_since
        if self._signalled and since is not None and time.monotonic() - since >= self._drain_delay_s:
            self.should_exit = True
        return await super().on_tick(counter)


def build(settings: Settings) -> Server:
    """A server whose `run` serves until a signal says stop, and returns once drained or at the deadline."""
    traffic, metrics = Traffic(), Metrics()
    log = RequestLog(sys.stdout, settings.log_level)
    protocol: dict[str, Any] = {
        "header_timeout_s": settings.header_timeout_s,
        "body_timeout_s": settings.body_timeout_s + BODY_SLACK_S,
        "send_timeout_s": settings.send_timeout_s,
        "most_connections": most_connections(),
        "metrics": metrics,
        "traffic": traffic,
        "log": log,
    }
    config = uvicorn.Config(
        create(settings, traffic, metrics, log),
        host=settings.gateway_host,
        port=settings.port,
        http=type("Protocol", (PatientProtocol,), protocol),
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.drain_deadline_s,
    )
    return Server(config, traffic, settings.drain_delay_s)
