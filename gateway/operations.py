"""For the operator: liveness, readiness, drain and metrics."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from dataclasses import asdict

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.health import Health
from gateway.metrics import Metrics
from gateway.problems import Problem
from gateway.settings import Settings
from gateway.traffic import Traffic

FROM_ELSEWHERE = ("forwarded", "x-forwarded-for", "x-real-ip", "origin", "sec-fetch-site")
DRAINING = (
    "`/readyz` says no at once and from now on. Requests are still answered, also those that arrive later, since load "
    "balancers need time to notice, and they are waited for too. Returns once `DERMSERVE_DRAIN_DELAY_S` is over and "
    "nothing is in flight, or when after that delay `DERMSERVE_DRAIN_DEADLINE_S` is over as well."
)


class Operations:
    """Addresses for probes, hooks and scrapers; none needs an API key."""

    def __init__(self, settings: Settings, health: Health, traffic: Traffic, metrics: Metrics) -> None:
        self._settings = settings
        self._health = health
        self._traffic = traffic
        self._metrics = metrics
        self._numbers: asyncio.Task[bytes] | None = None

    def routes(self) -> list[Route]:
        return [
            Route("/livez", self.livez, methods=["GET"]),
            Route("/readyz", self.readyz, methods=["GET"]),
            Route("/drain", self.drain, methods=["POST"]),
            Route("/metrics", self.metrics, methods=["GET"]),
        ]

    async def livez(self, _: Request) -> Response:
        """This process answers; says nothing of TorchServe, whose death must not get the gateway killed."""
        return _json({"alive": True})

    async def readyz(self, _: Request) -> Response:
        readiness = self._health.readiness
        return _json({"ready": readiness.ready, "checks": asdict(readiness)}, 200 if readiness.ready else 503)

    async def drain(self, request: Request) -> Response:
        """Unready at once; requests, new ones too, are still answered; returns once none is in flight or too late."""
        if not _local(request):
            raise Problem("forbidden")
        drained = await self._traffic.drained(self._settings.drain_delay_s, self._settings.drain_deadline_s)
        return _json({"drained": drained, "in_flight": self._traffic.in_flight})

    async def metrics(self, _: Request) -> Response:
        """Two milliseconds of work, shared by all who ask at the same time: else a flood of them would hold all up."""
        if self._numbers is None:
            self._numbers = asyncio.create_task(self._count())
        return Response(await asyncio.shield(self._numbers), headers={"content-type": CONTENT_TYPE_LATEST})

    async def _count(self) -> bytes:
        await asyncio.sleep(0)
        self._numbers = None
        self._metrics.in_flight.set(self._traffic.in_flight)
        self._metrics.bytes_held.set(self._traffic.bytes_held)
        self._metrics.draining.set(self._traffic.draining)
        self._metrics.ready.set(self._health.readiness.ready)
        return generate_latest(self._metrics.registry)


def _local(request: Request) -> bool:
    """From this machine, and neither passed on by a proxy nor sent by a web page that is open on it."""
    if request.client is None or any(name in request.headers for name in FROM_ELSEWHERE):
        return False
    try:
        address = ipaddress.ip_address(request.client.host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _json(document: object, status: int = 200) -> Response:
    content = json.dumps(document).encode()
    return Response(content, status, media_type="application/json", headers={"cache-control": "no-store"})
