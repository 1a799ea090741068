"""The real stack under load, watched by a real Prometheus: panels show data, rules compute, alerts fire and resolve.

The rules are a drill's: `for:` is one second, the expressions are those that are deployed.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from k8s.monitoring.dashboards import DASHBOARDS
from k8s.monitoring.monitor import Monitor
from stack.probe import free_ports
from tests.monitoring.cluster import stand_in
from tests.monitoring.load import Load, Request
from tests.monitoring.panels import filled, queries
from tests.monitoring.prometheus import Prometheus, await_true
from tests.monitoring.promql import metrics
from tests.stack.serving import Serving

pytestmark = [pytest.mark.stack, pytest.mark.slow]

JOBS = 3
WORKERS = 2


@pytest.fixture(scope="module")
def images(bundle: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((bundle / "golden").glob("*.jpg"))]


@pytest.fixture(scope="module")
def stack(model_store: Path) -> Iterator[Serving]:
    with Serving(model_store, environment={"DERMSERVE_WORKERS": str(WORKERS), "DERMSERVE_THREADS": "1"}) as serving:
        serving.wait_ready()
        yield serving


@pytest.fixture(scope="module")
def monitor(stack: Serving) -> Iterator[Monitor]:
    port, alerts_port = free_ports(2)
    with stand_in() as cluster:
        targets = {
            "dermserve-gateway": f"127.0.0.1:{stack.ports['PORT']}",
            "dermserve-torchserve": f"127.0.0.1:{stack.ports['DERMSERVE_METRICS_PORT']}",
            "cluster": cluster,
        }
        with Monitor(targets, port=port, alerts_port=alerts_port, scrape="1s", hold="1s") as running:
            yield running


@pytest.fixture(scope="module")
def prometheus(monitor: Monitor, stack: Serving, images: list[bytes]) -> Iterator[Prometheus]:
    """After a load of good and bad images, scraped at least twice on the way, with scores enough for the drift."""
    mixed: list[Request] = [
        *(("/v1/predict", image) for image in images for _ in range(8)),
        ("/v1/explain", images[0]),
        ("/v1/predict", b"%PDF-1.7 not an image"),
        ("/v1/predict", images[0][: len(images[0]) // 2]),
    ]
    seen = "min(count_over_time(lesion_rejections_total[1m])) >= 4"
    with Prometheus(monitor.address) as asked:

        def told() -> object:
            return load.codes, asked.values("up"), monitor.log("prometheus")

        with Load(stack.gateway_url, mixed, clients=4) as load:
            await_true(lambda: bool(asked.values(seen)), told)
            await_true(lambda: bool(asked.values("namespace:lesion_score:increase6h >= 500")), told)
        assert load.codes[200]
        assert not any(code >= 500 for code in load.codes), load.codes
        await_true(lambda: asked.healthy_targets() == JOBS, told)
        yield asked


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_panel_has_data(prometheus: Prometheus, name: str) -> None:
    def empty() -> list[str]:
        return [f"{title}: {query}" for title, query in queries(name) if not prometheus.values(filled(query))]

    await_true(lambda: not empty(), lambda: "\n".join(empty()))


def test_every_rule_computes(prometheus: Prometheus) -> None:
    def lacking() -> list[str]:
        found = [f"{rule['name']}: {rule['lastError']}" for rule in prometheus.rules() if rule["health"] != "ok"]
        for rule in prometheus.rules():
            named = {rule["name"]} if rule["type"] == "recording" else metrics(rule["query"])
            found += [f"{rule['name']}: no data in {name}" for name in named if not prometheus.values(name)]
        return found

    await_true(lambda: not lacking(), lambda: "\n".join(lacking()))


def test_a_healthy_stack_is_silent(prometheus: Prometheus) -> None:
    """The load's bad images and random weights may be reported, and on a slow machine its latency; nothing else."""
    about_the_load = {"DermserveRejections", "DermserveScoresDrift", "DermserveAbstains"}

    def surprising() -> set[str]:
        return {name for name in prometheus.firing() - about_the_load if not name.startswith("DermserveLatency")}

    await_true(lambda: not surprising(), surprising)


def test_workers_that_are_killed_again_and_again(prometheus: Prometheus, monitor: Monitor, stack: Serving) -> None:
    management = f"http://127.0.0.1:{stack.ports['DERMSERVE_MANAGEMENT_PORT']}/models/lesion"

    def kill_one() -> None:
        [told] = httpx.get(management, timeout=10).json()
        pid = int(told["workers"][0]["pid"])
        # A worker that is just being restarted has no process.
        if pid > 0:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                return

    def fires() -> bool:
        kill_one()
        return {"DermserveWorkersNotReady", "DermserveWorkersDie"} <= prometheus.firing()

    await_true(fires, prometheus.rules)
    alerts = httpx.get(f"http://{monitor.alerts_address}/api/v2/alerts", timeout=10).json()
    told = {alert["labels"]["alertname"]: alert["annotations"]["summary"] for alert in alerts}
    assert re.fullmatch(r"Only [01] workers are ready in local", told["DermserveWorkersNotReady"])
    await_true(lambda: "DermserveWorkersNotReady" not in prometheus.firing(), prometheus.firing)
    assert httpx.get(f"{stack.gateway_url}/readyz", timeout=10).status_code == 200


def test_an_overload(prometheus: Prometheus, stack: Serving, images: list[bytes]) -> None:
    requests: list[Request] = [("/v1/explain", image) for image in images]
    with Load(stack.gateway_url, requests, clients=160) as load:
        await_true(
            lambda: {"DermserveQueueFull", "DermserveErrors"} <= prometheus.firing(),
            lambda: (prometheus.firing(), load.codes, prometheus.values("lesion_queue_pending")),
        )
    assert load.codes[429]
    assert not load.codes[0]
    await_true(lambda: "DermserveQueueFull" not in prometheus.firing(), prometheus.firing)


def test_a_stack_that_is_gone(prometheus: Prometheus, stack: Serving) -> None:
    stack.interrupt()
    stack.wait()
    gone = {"DermserveMetricsAbsent", "DermserveScrapeFails"}
    await_true(lambda: gone <= prometheus.firing(), prometheus.firing)
