"""Puts the rooms of the gateway together."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute, Route

from gateway import docs, page
from gateway.api import Api
from gateway.backend import Backend
from gateway.envelope import Envelope, on_http_exception
from gateway.health import Health
from gateway.keys import Keys
from gateway.logs import RequestLog
from gateway.metrics import Metrics
from gateway.operations import Operations
from gateway.settings import Settings
from gateway.traffic import Traffic


def create(
    settings: Settings, traffic: Traffic | None = None, metrics: Metrics | None = None, log: RequestLog | None = None
) -> Starlette:
    """The whole gateway as one ASGI application; the rest is shared with the server around it."""
    traffic = traffic or Traffic()
    metrics = metrics or Metrics()
    log = log or RequestLog(sys.stdout, settings.log_level)
    backend = Backend(settings, metrics)
    health = Health(settings, backend, traffic, metrics)
    backend.workforce = health
    keys = Keys(settings.api_keys_file, settings.rate_limit_per_minute)
    routes: list[BaseRoute] = [
        *Api(settings, backend, health, traffic, keys).routes(),
        *Operations(settings, health, traffic, metrics).routes(),
    ]
    routes += docs.routes(settings)
    known = frozenset(route.path for route in routes if isinstance(route, Route))
    routes += page.routes(settings)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        watch = asyncio.create_task(health.watch())
        yield
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch
        backend.close()

    middleware = [Middleware(Envelope, traffic=traffic, metrics=metrics, routes=known, log=log)]
    if settings.cors_origins:
        cors = Middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", "x-api-key", "x-request-id"],
            expose_headers=["x-request-id", "retry-after"],
        )
        middleware.insert(0, cors)  # outside, so that a page may read the problems too
    app = Starlette(
        routes=routes,
        middleware=middleware,
        lifespan=lifespan,
        exception_handlers={HTTPException: on_http_exception},
    )
    app.router.redirect_slashes = False  # a redirect would cost a client its upload
    return app
