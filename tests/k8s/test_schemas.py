"""The schema check sees each kind of fault in a broken copy."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from k8s.validate import schemas
from tests.k8s.conftest import Manifests, container, pick


def messages(manifests: Manifests) -> str:
    return "\n".join(str(finding) for finding in schemas.check(manifests))


def test_an_unknown_field_is_seen_in_every_version(cpu: Manifests) -> None:
    container(cpu, "gateway")["readynessProbe"] = container(cpu, "gateway").pop("readinessProbe")
    found = messages(cpu)
    assert "readynessProbe" in found
    assert all(f"Kubernetes {version}" in found for version in schemas.VERSIONS)


def test_a_wrong_type_is_seen(cpu: Manifests) -> None:
    pick(cpu, "Deployment")["spec"]["minReadySeconds"] = "ten"
    assert "minReadySeconds" in messages(cpu)


def test_a_missing_field_is_seen(cpu: Manifests) -> None:
    del pick(cpu, "Deployment")["spec"]["selector"]
    assert "'selector' is a required property" in messages(cpu)


def test_an_api_that_is_gone_is_seen(cpu: Manifests) -> None:
    pick(cpu, "HorizontalPodAutoscaler")["apiVersion"] = "autoscaling/v2beta2"
    assert "no schema for autoscaling/v2beta2" in messages(cpu)


def test_a_kind_without_a_schema_is_a_fault() -> None:
    unknown = {"apiVersion": "example.org/v1", "kind": "Unknown", "metadata": {"name": "x"}}
    assert "no schema for example.org/v1 Unknown" in messages([unknown])


def test_each_schema_of_ours_is_of_a_kind_that_is_used(builds: dict[str, Manifests]) -> None:
    used = {(each["apiVersion"], each["kind"]) for manifests in builds.values() for each in manifests}
    assert set(schemas.own_schemas()) <= used


def scaled(builds: dict[str, Manifests]) -> dict[str, Any]:
    return copy.deepcopy(pick(builds["components/keda"], "ScaledObject"))


def test_keda_values_have_to_be_text(builds: dict[str, Manifests]) -> None:
    broken = scaled(builds)
    broken["spec"]["triggers"][0]["metadata"]["threshold"] = 0.025
    assert "0.025 is not of type 'string'" in messages([broken])


def test_an_unknown_field_of_a_custom_resource_is_seen(builds: dict[str, Manifests]) -> None:
    broken = scaled(builds)
    broken["spec"]["maxReplicas"] = 8
    assert "maxReplicas" in messages([broken])


def test_a_pod_field_inside_an_inference_service_is_judged(builds: dict[str, Manifests]) -> None:
    broken = copy.deepcopy(pick(builds["components/kserve"], "InferenceService"))
    broken["spec"]["predictor"]["serviceAcountName"] = "dermserve"
    assert "serviceAcountName" in messages([broken])


def test_the_container_that_kserve_serves_has_to_be_the_first(builds: dict[str, Manifests]) -> None:
    broken = copy.deepcopy(pick(builds["components/kserve"], "InferenceService"))
    broken["spec"]["predictor"]["containers"].reverse()
    assert "'kserve-container' was expected" in messages([broken])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"alert": "A", "record": "b", "expr": "1"}, "oneOf|valid under each"),
        ({"alert": "A", "expr": "1", "for": "5 minutes"}, "does not match"),
        ({"alert": "A", "expr": "1", "severity": "page"}, "severity"),
        ({"alert": "A"}, "'expr' is a required property"),
    ],
)
def test_rules_are_judged(rule: dict[str, str], expected: str) -> None:
    manifest = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "rules"},
        "spec": {"groups": [{"name": "group", "rules": [rule]}]},
    }
    found = messages([manifest])
    assert any(word in found for word in expected.split("|")), found


def test_pod_monitors_are_judged() -> None:
    manifest = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": {"name": "pods"},
        "spec": {"selector": {}, "podMetricsEndpoints": [{"port": "http", "interval": "15 s"}]},
    }
    assert "15 s" in messages([manifest])
