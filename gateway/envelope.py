"""Around every request: its id, its metrics, its log line, and problem+json for whatever goes wrong."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.intake import ClientGone
from gateway.logs import RequestLog
from gateway.metrics import Metrics
from gateway.problems import Problem, of_each_image
from gateway.traffic import Traffic

log = logging.getLogger("gateway")
ACCEPTED_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
OF_IMAGES = frozenset({"/v1/predict", "/v1/explain", "/v1/compare"})
PROBES = frozenset({"/livez", "/readyz", "/metrics"})
CLIENT_GONE = 499
UNWELL = (502, 503, 504)
SECURITY = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))


class Envelope:
    """Pure ASGI: costs one function call around `send`, no task and no copy of the body."""

    def __init__(
        self, app: ASGIApp, *, traffic: Traffic, metrics: Metrics, routes: frozenset[str], log: RequestLog
    ) -> None:
        self._app = app
        self._traffic = traffic
        self._metrics = metrics
        self._routes = routes
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _request_id(scope)
        note: dict[str, object] = {}
        scope.setdefault("state", {}).update(request_id=request_id, note=note)
        status = 0
        answered_at = 0.0
        refusal: Problem | None = None

        async def tagged(message: Message) -> None:
            nonlocal status, answered_at
            if message["type"] == "http.response.start":
                status = message["status"]
                answered_at = time.perf_counter()
                headers = message.setdefault("headers", [])
                headers.append((b"x-request-id", request_id.encode()))
                names = {name for name, _ in headers}
                headers.extend(pair for pair in SECURITY if pair[0] not in names)
                # On a new connection another pod may answer; a kept one would stay with this until it is well again.
                if (self._traffic.draining or status in UNWELL) and b"connection" not in names:
                    headers.append((b"connection", b"close"))
            await send(message)

        async def refuse(problem: Problem) -> None:
            nonlocal refusal
            refusal = problem
            note["reason"] = problem.reason
            if problem.status >= 500 or problem.limit:
                note["detail"] = problem.detail
            if not status:
                await problem.response(request_id)(scope, receive, tagged)

        try:
            await self._app(scope, receive, tagged)
        except Problem as problem:
            await refuse(problem)
        except ClientGone:
            status = CLIENT_GONE
        except asyncio.CancelledError:
            await refuse(Problem("shutting_down", headers={"retry-after": "1"}))
        except Exception:
            log.exception("unforeseen", extra={"fields": {"request_id": request_id}})
            await refuse(Problem("internal"))
        finally:
            seconds = time.perf_counter() - started
            route = self._route(scope)
            self._metrics.answered(route, status, seconds)
            if status == 200 and (arrived_at := scope["state"].get("arrived_at")):
                self._metrics.answer_seconds.labels(route).observe(answered_at - arrived_at)
            self._judge(route, status, scope["state"], refusal)
            self._log.write(request_id, scope["method"], route, status, seconds, note, quiet=route in PROBES)

    def _judge(self, route: str, status: int, state: Mapping[str, Any], refusal: Problem | None) -> None:
        """Count what became of each image."""
        images = state["note"].get("images", 1)
        problems = of_each_image(state, refusal)
        if problems and images > 1:
            state["note"]["reasons"] = Counter(problem.reason for problem in problems)
        self._metrics.refused(problems)
        if route in OF_IMAGES and status != CLIENT_GONE:
            self._metrics.judged(images, problems)

    def _route(self, scope: Scope) -> str:
        path = str(scope["path"])
        if path in self._routes:
            return path
        return "page" if "endpoint" in scope else "unknown"


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and ACCEPTED_ID.fullmatch(value):
            return str(value.decode())
    return secrets.token_hex(8)


async def on_http_exception(_: Request, error: Exception) -> Response:
    """Starlette's own refusals, told in our words."""
    assert isinstance(error, HTTPException)
    headers: Mapping[str, str] = error.headers or {}
    reason = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "malformed_request")
    raise Problem(reason, status=error.status_code, headers=headers)
