"""Rules and dashboards name only metrics that the code, or a named exporter, really has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from prometheus_client.core import Metric

from gateway.metrics import OUTCOMES, SCORES, Metrics
from gateway.problems import KINDS
from handler import telemetry
from k8s.monitoring import monitor
from k8s.monitoring.dashboards import DASHBOARDS
from tests.monitoring.panels import queries
from tests.monitoring.promql import metrics

ROOT = Path(__file__).resolve().parents[2]
RULES = [rule for group in yaml.safe_load(monitor.RULES.read_text())["groups"] for rule in group["rules"]]
FROM_THE_CLUSTER = {
    "container_cpu_usage_seconds_total",
    "container_memory_working_set_bytes",
    "kube_pod_container_resource_limits",
    "kube_pod_container_status_restarts_total",
}
FROM_PROMETHEUS = {"up", "ALERTS"}
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


def of_gateway() -> set[str]:
    """Names as the gateway's registry exposes them."""

    def exposed(metric: Metric) -> set[str]:
        return {metric.name + suffix for suffix in SUFFIXES.get(metric.type, ("",))}

    return set().union(*(exposed(metric) for metric in Metrics().registry.collect()))


def of_torchserve() -> set[str]:
    """Names that metrics.yaml lets through."""
    config = yaml.safe_load((ROOT / "metrics.yaml").read_text())
    names: set[str] = set()
    for section in ("ts_metrics", "model_metrics"):
        for kind, entries in config[section].items():
            suffixes = SUFFIXES["histogram"] if kind == "histogram" else ("",)
            names |= {entry["name"] + suffix for entry in entries for suffix in suffixes}
    return names


def allowed() -> set[str]:
    records = {rule["record"] for rule in RULES if "record" in rule}
    return of_gateway() | of_torchserve() | records | FROM_THE_CLUSTER | FROM_PROMETHEUS


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_rules(rule: dict[str, str]) -> None:
    assert metrics(rule["expr"])
    assert metrics(rule["expr"]) <= allowed()


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboards(name: str) -> None:
    named = set().union(*(metrics(query) for _, query in queries(name)))
    assert named
    assert named <= allowed()


def test_the_handlers_metrics_are_in_use() -> None:
    named = set().union(
        *(metrics(rule["expr"]) for rule in RULES),
        *(metrics(query) for name in DASHBOARDS for _, query in queries(name)),
    )
    for name in telemetry.METRICS:
        assert any(used.startswith(name) for used in named), name


def test_label_values_are_those_of_the_code() -> None:
    text = monitor.RULES.read_text()
    assert 'outcome="abstain"' in text
    assert "abstain" in telemetry.OUTCOMES
    asked = set(re.findall(r'gateway_images_total\{outcome=~?"([a-z|]+)"', text))
    assert {"failed|busy", "answered|failed|busy"} <= asked
    assert {outcome for alternatives in asked for outcome in alternatives.split("|")} <= {
        *OUTCOMES.values(),
        "answered",
    }
    assert set(OUTCOMES) <= set(KINDS)


def test_the_drift_bins_are_buckets_of_both_histograms() -> None:
    for edge in ("0.01", "0.05", "0.1", "0.25", "0.5"):
        assert f'lesion_reference_score_bucket{{le="{edge}"}}' in monitor.RULES.read_text()
        assert edge in {str(score) for score in SCORES}


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ('sum by (a, b) (rate(x_total{c="d", e=~"f|g"}[5m])) / on (a) group_left (b) y', {"x_total", "y"}),
        ("clamp_min(n:z:ratio6h, 1e-3) * 1e6 > 14.4 and q unless on () r offset 5m", {"n:z:ratio6h", "q", "r"}),
        ('absent(up{job="j"}) or vector(0)', {"up"}),
    ],
)
def test_names_are_found(expression: str, names: set[str]) -> None:
    assert metrics(expression) == names
