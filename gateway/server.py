"""uvicorn, told to drain before it stops and not to wait for clients for ever.

One process: it passes on several times what TorchServe can answer on the same machine, and so readiness, drain, rate
limits, the bound on memory and the metrics are one truth. Who needs more runs more of the whole pod.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import time
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.app import create
from gateway.problems import Problem
from gateway.settings import Settings
from gateway.traffic import Traffic

BODY_SLACK_S = 5.0
LAST_CHANCE_S = 0.5
MOST_PIPELINED = 16


class PatientProtocol(HttpToolsProtocol):
    """Gives a client so long for headers, body and taking the answer; uvicorn alone would wait for ever."""

    header_timeout_s = 10.0
    body_timeout_s = 60.0
    send_timeout_s = 30.0
    _send_timer: asyncio.TimerHandle | None = None
    _timer: asyncio.TimerHandle | None = None
    _in_message = False
    _in_body = False
    _stopping = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch(self.header_timeout_s)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._in_message:
            self._unwatch()
        elif self._timer is None:
            self._watch(self.body_timeout_s if self._in_body else self.header_timeout_s)

    def on_message_begin(self) -> None:
        self._in_message, self._in_body = True, False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_body = True
        self._unwatch()
        super().on_headers_complete()
        if len(self.pipeline) > MOST_PIPELINED:  # uvicorn would hold any number of them
            raise OverflowError("too many requests on one connection at once")
        if self._stopping:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        self._in_message = self._in_body = False
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        self._unwatch_sending()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        if self.cycle is None or self.cycle.response_complete:  # closing now would lose a request that is on its way
            self._stopping = True
            self._unwatch()
            self._watch(LAST_CHANCE_S)
        else:
            super().shutdown()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._send_timer = self.loop.call_later(self.send_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        self._unwatch_sending()
        super().resume_writing()

    def _unwatch_sending(self) -> None:
        if self._send_timer:
            self._send_timer.cancel()
            self._send_timer = None

    def _watch(self, seconds: float) -> None:
        self._timer = self.loop.call_later(seconds, self._too_slow)

    def _unwatch(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        if self.transport.is_closing():
            return
        if self._in_message and not self._in_body:
            self._refuse(Problem("slow_client"))
        self.transport.close()

    def send_400_response(self, msg: str) -> None:
        self._refuse(Problem("malformed_request", msg))
        self.transport.close()

    def _refuse(self, problem: Problem) -> None:
        """An answer where no request has come far enough to have one."""
        response = problem.response(secrets.token_hex(8))
        status = f"HTTP/1.1 {problem.status} {problem.title}\r\n".encode()
        lines = [name + b": " + value + b"\r\n" for name, value in response.raw_headers]
        self.transport.write(b"".join([status, *lines, b"connection: close\r\n\r\n", bytes(response.body)]))


class Server(uvicorn.Server):
    """Drains on a signal; a second Ctrl-C stops at once."""

    def __init__(self, config: uvicorn.Config, traffic: Traffic, drain_delay_s: float) -> None:
        super().__init__(config)
        self.traffic = traffic
        self._drain_delay_s = drain_delay_s
        self._signalled = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self._signalled and sig == signal.SIGINT:
            self.force_exit = True
        self._signalled = True
        self.traffic.drain()

    async def on_tick(self, counter: int) -> bool:
        since = self.traffic.draining_since
        if self._signalled and since is not None and time.monotonic() - since >= self._drain_delay_s:
            self.should_exit = True
        return await super().on_tick(counter)


def build(settings: Settings) -> Server:
    """A server whose `run` serves until a signal says stop, and returns once drained or at the deadline."""
    traffic = Traffic()
    protocol: dict[str, Any] = {
        "header_timeout_s": settings.header_timeout_s,
        "body_timeout_s": settings.body_timeout_s + BODY_SLACK_S,
        "send_timeout_s": settings.send_timeout_s,
    }
    config = uvicorn.Config(
        create(settings, traffic),
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
