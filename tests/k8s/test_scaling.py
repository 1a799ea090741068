"""What pods are scaled on exists, is a rate, and is the pods' own work and no client's slowness."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
import yaml

from gateway.envelope import OF_IMAGES
from gateway.metrics import Metrics
from k8s.validate import build
from tests.gateway.conftest import Gateway, quick, until
from tests.gateway.fake_torchserve import FakeTorchServe
from tests.k8s.conftest import Manifests, container, pick

ADAPTER = yaml.safe_load((build.ROOT / "k8s/components/hpa/adapter-rules.yaml").read_text(encoding="utf-8"))["rules"]
UPLOAD_S = 0.3


@pytest.fixture
def queries(builds: dict[str, Manifests]) -> list[str]:
    """What prometheus-adapter and KEDA ask."""
    triggers = pick(builds["components/keda"], "ScaledObject")["spec"]["triggers"]
    return [rule["metricsQuery"] for rule in ADAPTER] + [trigger["metadata"]["query"] for trigger in triggers]


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """One of its own, so that nobody else's requests are in its figures."""
    fake = FakeTorchServe()
    running = Gateway(quick(fake))
    until(running.ready)
    yield running
    running.stop()
    fake.close()


def names(query: str) -> list[str]:
    return re.findall(r"\b(?:ts|gateway)_[a-z_]+", query)


def test_scaling_reads_rates_of_metrics_that_exist(queries: list[str]) -> None:
    ours = {family.name for family in Metrics().registry.collect()}
    theirs = (build.ROOT / "metrics.yaml").read_text(encoding="utf-8")
    for query in queries:
        assert names(query)
        for name in names(query):
            assert name in theirs or name.removesuffix("_sum") in ours, name
            assert f"rate({name}" in query, f"{name} is a counter and used without rate()"


def test_an_upload_is_no_work(queries: list[str], gateway: Gateway) -> None:
    def seconds() -> dict[str, float]:
        text = gateway.http.get("/metrics").text
        found = re.findall(r'^(gateway_\w+_sum)\{route="/v1/predict"\} (\S+)$', text, re.MULTILINE)
        return {name: float(value) for name, value in found}

    def dripping() -> Iterator[bytes]:
        yield b"IMAGE"
        time.sleep(UPLOAD_S)  # a client on a bad line, which no pod more helps
        yield b" 0.3"

    assert gateway.http.post("/v1/predict", content=dripping()).status_code == 200
    until(lambda: seconds().get("gateway_answer_seconds_sum"))
    with_upload = {name for name, spent in seconds().items() if spent >= UPLOAD_S}
    assert with_upload == {"gateway_request_seconds_sum"}
    read = {name for query in queries for name in names(query) if name.startswith("gateway_")}
    assert read == {"gateway_answer_seconds_sum"}


def test_every_request_about_images_is_work_and_no_other(queries: list[str]) -> None:
    asked = [route for query in queries for route in re.findall(r'route=~"([^"]+)"', query)]
    assert len(asked) == 2
    known = (*OF_IMAGES, "/v1/model", "/metrics", "page")
    for route in asked:
        assert {path for path in known if re.fullmatch(route, path)} == OF_IMAGES


def test_the_adapter_looks_for_the_series_that_it_asks_about() -> None:
    for rule in ADAPTER:
        assert rule["seriesQuery"].partition("{")[0] in names(rule["metricsQuery"])


def test_the_autoscaler_asks_for_the_metrics_that_the_adapter_makes(cpu: Manifests) -> None:
    spec = pick(cpu, "HorizontalPodAutoscaler")["spec"]
    made = {rule["name"]["as"] for rule in ADAPTER}
    assert {m["pods"]["metric"]["name"] for m in spec["metrics"] if m["type"] == "Pods"} == made
    assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] >= 300
    assert spec["behavior"]["scaleUp"]["stabilizationWindowSeconds"] == 0


def targets(manifests: Manifests) -> list[str]:
    metrics = pick(manifests, "HorizontalPodAutoscaler")["spec"]["metrics"]
    return [m["pods"]["target"]["averageValue"] for m in metrics if m["type"] == "Pods"]


def test_both_ways_of_scaling_have_the_same_targets(builds: dict[str, Manifests], cpu: Manifests) -> None:
    triggers = pick(builds["components/keda"], "ScaledObject")["spec"]["triggers"]
    seconds, requests = targets(cpu)
    wanted = [int(seconds.removesuffix("m")) / 1000, int(requests)]
    assert [float(trigger["metadata"]["threshold"]) for trigger in triggers] == wanted


def test_more_pods_come_once_batches_are_half_full(cpu: Manifests) -> None:
    batch = yaml.safe_load((build.ROOT / "model-config.yaml").read_text(encoding="utf-8"))["batchSize"]
    environment = {entry["name"]: entry.get("value") for entry in container(cpu, "torchserve")["env"]}
    _, requests = targets(cpu)
    assert int(requests) == int(environment["DERMSERVE_WORKERS"] or 0) * batch // 2
