"""One HTTP connection, with bounds on what a client may take of it: time, memory, requests sent ahead, its place."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Callable
from heapq import nsmallest
from typing import cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway import head
from gateway.logs import RequestLog
from gateway.metrics import Metrics
from gateway.problems import Problem
from gateway.traffic import Traffic

LAST_CHANCE_S = 0.5
# For who has connected and not asked yet: on a busy machine a client may need a moment between the two.
FIRST_CHANCE_S = 2.0
MOST_PIPELINED = 16
MOST_IGNORED = 2**20
CLOSED_AT_ONCE = 1 / 32  # of all connections, so that a crowd of newcomers need not look through all each time
REQUEST_LINE = re.compile(rb"[\w!#$%&'*+.^`|~-]+ \S+ HTTP/1\.[01]\r?\n", re.ASCII)


class Outlet:
    """Where an answer is written to. Closing it before the request has come in whole would reset the connection, and
    the answer be lost on its way; so the protocol decides when."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close


class PatientProtocol(HttpToolsProtocol):
    """Gives a client so long for headers, body and taking the answer; uvicorn alone would wait for ever, and hold
    headers of any size."""

    header_timeout_s = 10.0
    body_timeout_s = 60.0
    send_timeout_s = 30.0
    most_connections = 1024
    metrics: Metrics
    traffic: Traffic
    log: RequestLog
    _unsent = 0
    _send_timer: asyncio.TimerHandle | None = None
    _timer: asyncio.TimerHandle | None = None
    _began_at = 0.0
    _in_message = False
    _in_body = False
    _moved_on = False
    _withheld = 0
    _refusal: Problem | None = None
    _refused = False
    _stopping = False
    _parting = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # whatever a client leaves unread is told to `pause_writing`
        self._began_at = time.perf_counter()
        self._watch(self.header_timeout_s)
        if len(self.connections) > self.most_connections:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self._withheld += len(data)
            if self._withheld > MOST_IGNORED:
                self.transport.pause_reading()
            return
        self._unset_keepalive_if_required()
        self._moved_on = False
        try:
            self._parse(data)
        except httptools.HttpParserInvalidMethodError:  # raised for whatever is not HTTP as well
            self._refuse(Problem("unknown_method" if REQUEST_LINE.match(data) else "malformed_request"))
            return
        except httptools.HttpParserError:
            self._refuse(self._refusal or Problem("malformed_request"))
            return
        # The parser holds what belongs neither to a body nor to a whole request: headers, and trailers after a body.
        self._withheld = self._withheld + len(data) if self._in_message and not self._moved_on else 0
        if self._withheld > head.LARGEST:
            self._refuse(Problem("head_too_large"))
        elif self._timer is None and (self._in_message or self._idle):
            self._watch(self.body_timeout_s if self._in_body else self.header_timeout_s)

    def on_message_begin(self) -> None:
        self._in_message, self._in_body = True, False
        self._began_at = time.perf_counter()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        fault = head.fault(self.parser.get_method(), self.parser.get_http_version(), self.url, self.headers)
        if fault:
            self._give_up(fault)
        if len(self.pipeline) >= MOST_PIPELINED:  # uvicorn would hold any number of them
            self._give_up(
                Problem("malformed_request", "Too many requests on one connection at once. Wait for answers.")
            )
        if self.parser.should_upgrade():  # then this parser skips the body
            return
        super().on_headers_complete()
        self._in_body = self._moved_on = True
        self._unwatch()
        self.cycle.transport = cast(asyncio.Transport, Outlet(self.transport, self._part))
        if self._stopping:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._moved_on = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._in_message = self._in_body = False
        self._moved_on = True
        self._unwatch()
        super().on_message_complete()
        if self._parting:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        self._unwatch_sending()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        if self._idle:  # closing now would lose a request that is on its way
            self._stopping = True
            self._unwatch()
            self._watch(LAST_CHANCE_S if self.cycle else FIRST_CHANCE_S)
        else:
            super().shutdown()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unsent = self.transport.get_write_buffer_size()
        self.traffic.bytes_held += self._unsent
        self._send_timer = self.loop.call_later(self.send_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        self._unwatch_sending()
        super().resume_writing()

    @property
    def _idle(self) -> bool:
        return self.cycle is None or bool(self.cycle.response_complete)

    @property
    def _waits_for_client(self) -> bool:
        return self._parting or self._send_timer is not None or (self._idle and not self._in_body)

    def _make_room(self) -> None:
        """Those go whose clients have done nothing for longest; this one, where nobody else waits for a client."""
        others = (cast(PatientProtocol, other) for other in self.connections if other is not self)
        waiting = [other for other in others if other._waits_for_client and not other.transport.is_closing()]
        number = max(1, int(CLOSED_AT_ONCE * self.most_connections))
        for other in nsmallest(number, waiting, key=lambda other: other._began_at) or [self]:
            other.transport.abort()

    def _unwatch_sending(self) -> None:
        if self._send_timer:
            self._send_timer.cancel()
            self._send_timer = None
            self.traffic.bytes_held -= self._unsent

    def _watch(self, seconds: float) -> None:
        self._timer = self.loop.call_later(seconds, self._too_slow)

    def _unwatch(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        if self._in_message and not self._in_body and not self.transport.is_closing():
            self._refuse(Problem("slow_client"))
        else:
            self.transport.close()

    def _part(self) -> None:
        if not self._in_body or self.pipeline:
            self.transport.close()
            return
        self._parting = True
        self.transport.write_eof()
        self._unwatch()
        self._watch(self.header_timeout_s)

    def _parse(self, data: bytes) -> None:
        rest: bytes | memoryview = data
        while True:
            try:
                self.parser.feed_data(rest)
                return
            except httptools.HttpParserUpgrade as upgrade:
                rest = memoryview(rest)[upgrade.args[0] :]
                self._ignore_upgrade()

    def _ignore_upgrade(self) -> None:
        """Has the request whose head was just read begin again, as one that stays with HTTP/1.1."""
        plain = head.without_upgrade(self.parser.get_method(), self.parser.get_http_version(), self.url, self.headers)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
        self.parser.feed_data(plain)

    def _give_up(self, problem: Problem) -> None:
        """From within the parser, which then ends with an error of its own."""
        self._refusal = problem
        raise OverflowError(problem.reason)

    def _refuse(self, problem: Problem) -> None:
        """An answer where no request has come far enough to have one, and the end of the connection."""
        self._refused = True
        self._unwatch()
        if self._parting:  # has its answer
            self.transport.close()
            return
        request_id = secrets.token_hex(8)
        self.metrics.problems.labels(problem.reason).inc()
        seconds = time.perf_counter() - self._began_at
        self.log.write(request_id, "-", "refused", problem.status, seconds, {"reason": problem.reason}, quiet=False)
        if self._in_body and not self.pipeline and not self.cycle.response_started:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        elif not self._idle:  # it would be taken for the answer to the request that is at work
            self.transport.close()
            return
        response = problem.response(request_id)
        status = f"HTTP/1.1 {problem.status} {problem.title}\r\n".encode()
        pairs = [*response.raw_headers, (b"x-request-id", request_id.encode()), (b"connection", b"close")]
        lines = [name + b": " + value + b"\r\n" for name, value in pairs]
        self.transport.write(b"".join([status, *lines, b"\r\n", bytes(response.body)]))
        self.transport.write_eof()
        # Closed with something unread, the connection would be reset, and the answer be lost on its way.
        self.loop.call_later(LAST_CHANCE_S, self.transport.close)
