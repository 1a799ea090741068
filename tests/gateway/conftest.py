"""A fake TorchServe, and real gateways in front of it, each in a thread with its own port."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from gateway.server import Server, build
from gateway.settings import Settings
from tests.gateway.fake_torchserve import FakeTorchServe


def until(true: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


class Gateway:
    """A gateway that runs, and a client that asks it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.server: Server = build(settings)
        self._thread = threading.Thread(target=self.server.run, daemon=True)
        self._thread.start()
        until(lambda: self.server.started)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(base_url=self.url, timeout=30)

    @property
    def routes(self) -> set[str]:
        app: Any = self.server.config.app
        return {route.path for route in app.routes}

    def ready(self) -> bool:
        return self.http.get("/readyz").status_code == 200

    def predict(self, image: bytes = b"IMAGE 0.3", **options: Any) -> httpx.Response:
        return self.http.post("/v1/predict", content=image, **options)

    def metric(self, line: str) -> float:
        """The value of one line of /metrics; 0 where it is not there."""
        for found in self.http.get("/metrics").text.splitlines():
            if found.startswith(line + " "):
                return float(found.rsplit(" ", 1)[1])
        return 0.0

    def signal(self, number: int) -> None:
        self.server.handle_exit(number, None)

    def join(self) -> None:
        self._thread.join(20)
        assert not self._thread.is_alive()

    def stop(self) -> None:
        self.http.close()
        self.server.should_exit = True
        self.join()
        assert (self.server.traffic.in_flight, self.server.traffic.bytes_held) == (0, 0)


def quick(fake: FakeTorchServe, **settings: Any) -> Settings:
    """Settings for a test: a free port, the fake TorchServe, short intervals."""
    chosen: dict[str, Any] = {
        "port": 0,
        "inference_url": fake.inference_url,
        "management_url": fake.management_url,
        "poll_interval_s": 0.03,
        "keep_alive_s": 5,
        **settings,
    }
    return Settings(**chosen)


@pytest.fixture(scope="session")
def standing() -> Iterator[Gateway]:
    """A gateway with the default settings for all tests that only ask it something."""
    fake = FakeTorchServe()
    gateway = Gateway(quick(fake))
    try:
        until(gateway.ready)
        yield gateway
    finally:
        gateway.stop()
        fake.close()


@pytest.fixture
def torchserve() -> Iterator[FakeTorchServe]:
    fake = FakeTorchServe()
    yield fake
    fake.close()


@pytest.fixture
def start(torchserve: FakeTorchServe) -> Iterator[Callable[..., Gateway]]:
    """Start a gateway with these settings; it is ready unless `wait=False`."""
    running: list[Gateway] = []

    def begin(*, wait: bool = True, **settings: Any) -> Gateway:
        gateway = Gateway(quick(torchserve, **settings))
        running.append(gateway)
        if wait:
            until(gateway.ready)
        return gateway

    yield begin
    for gateway in running:
        gateway.stop()


@pytest.fixture
def gateway(start: Callable[..., Gateway]) -> Gateway:
    """One of its own for a test that hurts or counts, with the default settings, ready."""
    return start()
