"""Each cross-reference check sees its fault in a broken copy; the API server would take most of these in silence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from k8s.validate import references
from tests.k8s.conftest import Manifests, container, pick


def pod(manifests: Manifests) -> dict[str, Any]:
    return pick(manifests, "Deployment")["spec"]["template"]["spec"]


def template_label(manifests: Manifests) -> None:
    pick(manifests, "Deployment")["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"] = "other"


def spread(manifests: Manifests) -> None:
    pod(manifests)["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"] = {"app": "other"}


def undefined_volume(manifests: Manifests) -> None:
    container(manifests, "gateway")["volumeMounts"][0]["name"] = "tmp"


def unmounted_volume(manifests: Manifests) -> None:
    pod(manifests)["volumes"].append({"name": "spare", "emptyDir": {}})


def two_at_one_path(manifests: Manifests) -> None:
    mounts = container(manifests, "torchserve")["volumeMounts"]
    mounts[0]["mountPath"] = mounts[1]["mountPath"]


def undefined_config(manifests: Manifests) -> None:
    pick(manifests, "ConfigMap")["metadata"]["name"] = "torchserve-config"


def missing_key(manifests: Manifests) -> None:
    (volume,) = [v for v in pod(manifests)["volumes"] if "configMap" in v]
    volume["configMap"]["items"] = [{"key": "config.yaml", "path": "config.yaml"}]


def missing_env_key(manifests: Manifests) -> None:
    name = pick(manifests, "ConfigMap")["metadata"]["name"]
    source = {"configMapKeyRef": {"name": name, "key": "WORKERS"}}
    container(manifests, "gateway")["env"].append({"name": "WORKERS", "valueFrom": source})


def undefined_secret(manifests: Manifests) -> None:
    container(manifests, "gateway")["envFrom"] = [{"secretRef": {"name": "keys"}}]


def missing_key_of_a_secret_made_by_hand(manifests: Manifests) -> None:
    secret = {"secretName": "dermserve-api-keys", "items": [{"key": "hashes", "path": "keys"}]}
    pod(manifests)["volumes"].append({"name": "api-keys", "secret": secret})


def undefined_claim(manifests: Manifests) -> None:
    pod(manifests)["volumes"][0] = {"name": "config", "persistentVolumeClaim": {"claimName": "models"}}


def undefined_account(manifests: Manifests) -> None:
    pod(manifests)["serviceAccountName"] = "somebody"


def probe_by_wrong_name(manifests: Manifests) -> None:
    container(manifests, "gateway")["readinessProbe"]["httpGet"]["port"] = "inference"


def probe_of_closed_port(manifests: Manifests) -> None:
    container(manifests, "torchserve")["startupProbe"]["httpGet"]["port"] = 9000


def service_selector(manifests: Manifests) -> None:
    pick(manifests, "Service", "dermserve")["spec"]["selector"]["app.kubernetes.io/name"] = "other"


def service_port(manifests: Manifests) -> None:
    pick(manifests, "Service", "dermserve")["spec"]["ports"][0]["targetPort"] = "web"


def policy_port(manifests: Manifests) -> None:
    pick(manifests, "NetworkPolicy", "allow-clients")["spec"]["ingress"][0]["ports"][0]["port"] = 8001


def policy_egress(manifests: Manifests) -> None:
    pick(manifests, "NetworkPolicy", "allow-client-egress")["spec"]["egress"][0]["ports"][0]["port"] = "web"


def budget_selector(manifests: Manifests) -> None:
    pick(manifests, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"] = {"app": "other"}


def scaled_target(manifests: Manifests) -> None:
    pick(manifests, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] = "other"


def replicas(manifests: Manifests) -> None:
    pick(manifests, "Deployment")["spec"]["replicas"] = 2


def two_autoscalers(manifests: Manifests) -> None:
    spec = {"scaleTargetRef": {"name": "dermserve"}, "triggers": []}
    metadata = {"name": "dermserve", "namespace": "dermserve"}
    manifests.append({"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": metadata, "spec": spec})


def memory_unit(manifests: Manifests) -> None:
    for bounds in container(manifests, "gateway")["resources"].values():
        bounds["memory"] = "384Mib"


def size_limit(manifests: Manifests) -> None:
    pod(manifests)["volumes"][1]["emptyDir"]["sizeLimit"] = "1 Gi"


def memory_gap(manifests: Manifests) -> None:
    container(manifests, "gateway")["resources"]["limits"]["memory"] = "4Gi"


def memory_without_end(manifests: Manifests) -> None:
    del container(manifests, "gateway")["resources"]["limits"]["memory"]


def namespace_unknown(manifests: Manifests) -> None:
    pick(manifests, "Service")["metadata"]["namespace"] = "elsewhere"


def namespace_missing(manifests: Manifests) -> None:
    del pick(manifests, "Service")["metadata"]["namespace"]


FAULTS: list[tuple[Callable[[Manifests], None], str]] = [
    (template_label, "does not pick its own template's labels"),
    (spread, "the spread over topology.kubernetes.io/zone"),
    (undefined_volume, "mounts the undefined volume tmp"),
    (unmounted_volume, "the volume spare is mounted nowhere"),
    (two_at_one_path, "mounts two volumes at one path"),
    (undefined_config, "uses the undefined ConfigMap"),
    (missing_key, "uses the key config.yaml"),
    (missing_env_key, "uses the key WORKERS"),
    (undefined_secret, "uses the undefined Secret keys"),
    (missing_key_of_a_secret_made_by_hand, "uses the key hashes, which Secret dermserve-api-keys does not have"),
    (undefined_claim, "uses the undefined claim models"),
    (undefined_account, "undefined service account somebody"),
    (probe_by_wrong_name, "asks port inference, which no container opens"),
    (probe_of_closed_port, "asks port 9000"),
    (service_selector, "picks no pod"),
    (service_port, "leads to web, which no container opens"),
    (policy_port, "lets traffic in to port 8001"),
    (policy_egress, "lets traffic out to port web"),
    (budget_selector, "picks no pod"),
    (scaled_target, "scales the undefined Deployment other"),
    (replicas, "sets replicas"),
    (two_autoscalers, "both scale dermserve"),
    (memory_unit, "'384Mib' is not a quantity"),
    (size_limit, "'1 Gi' is not a quantity"),
    (memory_gap, "the memory request and limit differ"),
    (memory_without_end, "the memory request and limit differ"),
    (namespace_unknown, "its namespace elsewhere is not among the objects"),
    (namespace_missing, "has no namespace"),
]


@pytest.mark.parametrize(("breakage", "message"), FAULTS, ids=[breakage.__name__ for breakage, _ in FAULTS])
def test_the_fault_is_seen(cpu: Manifests, breakage: Callable[[Manifests], None], message: str) -> None:
    assert references.check(cpu) == []
    breakage(cpu)
    assert message in "\n".join(str(finding) for finding in references.check(cpu))


def test_an_ingress_to_nowhere_is_seen(builds: dict[str, Manifests]) -> None:
    manifests = [
        m for m in builds["components/ingress"] if m["metadata"]["name"] != "dermserve" or m["kind"] == "Ingress"
    ]
    assert any("leads to dermserve:http" in finding.message for finding in references.check(manifests))


def test_a_monitor_of_nothing_is_seen(cpu: Manifests) -> None:
    labels = {"matchLabels": {"app.kubernetes.io/name": "dermserve", "app.kubernetes.io/component": "inference"}}
    metadata = {"name": "pods", "namespace": "dermserve"}
    spec = {"selector": labels, "podMetricsEndpoints": [{"port": "http"}]}
    monitor = {"apiVersion": "monitoring.coreos.com/v1", "kind": "PodMonitor", "metadata": metadata, "spec": spec}
    assert references.check([*cpu, monitor]) == []
    spec["podMetricsEndpoints"] = [{"port": "metrics"}]
    assert any("scrapes port metrics" in finding.message for finding in references.check([*cpu, monitor]))
    spec["selector"] = {"matchLabels": {"app": "other"}}
    assert any("picks no pod" in finding.message for finding in references.check([*cpu, monitor]))
