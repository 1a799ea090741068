"""The real TorchServe, hurt under load: what the clients of the gateway see."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway.settings import Settings
from tests.gateway.conftest import Gateway, until
from tests.torchserve import TorchServe

pytestmark = pytest.mark.stack
IMAGE = (Path(__file__).parents[2] / "gateway" / "golden.jpg").read_bytes()
CLIENTS = 6


@pytest.fixture(scope="module")
def real(model_store: Path) -> Iterator[TorchServe]:
    """A TorchServe of our own, since we hurt it."""
    with TorchServe(model_store, workers=2) as server:
        yield server


@pytest.fixture
def gateway(real: TorchServe) -> Iterator[Gateway]:
    settings = {"inference_url": real.inference_url, "management_url": real.management_url, "poll_interval_s": 0.1}
    gateway = Gateway(Settings(port=0, drain_delay_s=0.5, **settings))  # type: ignore[arg-type]
    try:
        until(gateway.ready, 30)
        yield gateway
    finally:
        gateway.stop()


class Load:
    """Clients that ask one prediction after the other, and what they were told."""

    def __init__(self, gateway: Gateway) -> None:
        self._url = gateway.url
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.told: Counter[int | str] = Counter()
        self._clients = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]

    def __enter__(self) -> Load:
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for client in self._clients:
            client.join()

    def _ask(self) -> None:
        with httpx.Client(base_url=self._url, timeout=60) as http:
            while not self._stop.is_set():
                try:
                    answer: int | str = http.post("/v1/predict", content=IMAGE).status_code
                except httpx.TransportError as error:
                    answer = type(error).__name__
                with self._lock:
                    self.told[answer] += 1
                if answer != 200:  # as a client would: at full speed a refusal would keep TorchServe from starting
                    self._stop.wait(0.05)

    def more(self, count: int, kind: int | str = 200) -> None:
        """Wait for so many more answers of a kind."""
        goal = self.told[kind] + count
        until(lambda: self.told[kind] >= goal, 60)


def test_the_whole_way_with_the_real_model(gateway: Gateway) -> None:
    prediction = gateway.predict(IMAGE).json()
    assert prediction["label"] in ("malignant", "benign", "abstain")
    assert prediction["notice"].startswith("Research use only")
    explained = gateway.http.post("/v1/explain", content=IMAGE).json()
    assert explained["heatmap"].startswith("data:image/png;base64,")
    assert "features" not in explained
    alike = [("file", (name, IMAGE + name.encode())) for name in "abc"]  # other bytes, behind the same picture
    compared = gateway.http.post("/v1/compare", files=alike).json()
    assert [lesion["distance"] for lesion in compared["lesions"]] == pytest.approx([0, 0, 0], abs=1e-3)
    assert compared["ugly_duckling"] is None
    refused = gateway.predict(b"not an image")
    assert (refused.status_code, refused.json()["reason"]) == (415, "not_an_image")
    until(lambda: gateway.http.get("/v1/model").status_code == 200)
    assert gateway.http.get("/v1/model").json()["manifest"]["name"] == "lesion"
    assert gateway.metric("lesion_workers_ready") == 2


def test_a_worker_killed_under_load_costs_no_client_a_5xx(gateway: Gateway, real: TorchServe) -> None:
    with Load(gateway) as load:
        load.more(20)
        victim = real.describe()["workers"][0]["pid"]
        os.kill(victim, signal.SIGKILL)
        load.more(60)
        until(lambda: real.ready_workers() == 2, 60)
        load.more(20)
    assert set(load.told) == {200}, load.told
    until(lambda: gateway.metric("lesion_worker_restarts_total") == 1)


def test_torchserve_stopped_and_started_is_503_and_recovers_without_help(gateway: Gateway, real: TorchServe) -> None:
    assert real.process
    with Load(gateway) as load:
        load.more(10)
        os.killpg(real.process.pid, signal.SIGKILL)
        real.process.wait()
        load.more(20, 503)
        answer = gateway.predict(IMAGE)
        assert (answer.status_code, answer.json()["reason"]) == (503, "backend_unavailable")
        assert answer.headers["content-type"] == "application/problem+json"
        assert int(answer.headers["retry-after"]) > 0
        until(lambda: not gateway.ready())
        assert gateway.http.get("/livez").status_code == 200
        real.start()
        real.wait_ready()
        until(gateway.ready, 30)
        load.more(20)
    assert set(load.told) == {200, 503}, load.told
    assert gateway.metric("lesion_worker_restarts_total") == 0


def test_drain_and_sigterm_under_load_cost_no_client_a_5xx(gateway: Gateway) -> None:
    with Load(gateway) as load:
        load.more(20)
        gateway.signal(signal.SIGTERM)
        until(lambda: gateway.server.should_exit, 10)
        gateway.join()
        load.more(CLIENTS, "ConnectError")
    assert 200 in load.told
    assert not [told for told in load.told if isinstance(told, int) and told != 200], load.told
