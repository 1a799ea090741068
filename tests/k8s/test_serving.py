"""Who may reach a pod, when it counts as started, how it ends, and how many there are: what no schema can know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from k8s.validate import build, inventory
from tests.k8s.conftest import Manifests, container, pick

CLIENT = ("dermserve/client", "true")
OURS = ("app.kubernetes.io/component", "inference"), ("app.kubernetes.io/name", "dermserve")
Peer = tuple[tuple[tuple[str, str], ...] | None, tuple[tuple[str, str], ...] | None]


def labels(selector: dict[str, Any] | None) -> tuple[tuple[str, str], ...] | None:
    return None if selector is None else tuple(sorted(selector.get("matchLabels", {}).items()))


def opened(manifests: Manifests, direction: str) -> Iterator[tuple[str, frozenset[Peer], frozenset[int | str]]]:
    """Policy, peers as (labels of namespaces, labels of pods), and ports; no peer or port would mean all of them."""
    key = {"ingress": "from", "egress": "to"}[direction]
    for policy in (m for m in manifests if m["kind"] == "NetworkPolicy"):
        for rule in policy["spec"].get(direction, []):
            peers = {(labels(p.get("namespaceSelector")), labels(p.get("podSelector"))) for p in rule.get(key, [])}
            yield policy["metadata"]["name"], frozenset(peers), frozenset(port["port"] for port in rule["ports"])


def environment(manifests: Manifests, name: str) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container(manifests, name)["env"]}


def test_only_labelled_clients_and_prometheus_are_let_in(cpu: Manifests) -> None:
    prometheus = (("kubernetes.io/metadata.name", "monitoring"),), (("app.kubernetes.io/name", "prometheus"),)
    assert set(opened(cpu, "ingress")) == {
        ("allow-clients", frozenset({(None, (CLIENT,)), ((CLIENT,), None)}), frozenset({"http"})),
        ("allow-prometheus", frozenset({prometheus}), frozenset({"http", "ts-metrics"})),
    }


def test_clients_reach_the_gateway_and_names_and_the_pod_itself_nothing(cpu: Manifests) -> None:
    names = (("kubernetes.io/metadata.name", "kube-system"),), (("k8s-app", "kube-dns"),)
    assert set(opened(cpu, "egress")) == {
        ("allow-client-egress", frozenset({(None, OURS)}), frozenset({"http"})),
        ("allow-client-egress", frozenset({names}), frozenset({53})),
    }
    assert pick(cpu, "NetworkPolicy", "allow-client-egress")["spec"]["podSelector"] == {"matchLabels": dict([CLIENT])}


@pytest.mark.parametrize("target", ["overlays/cpu", "overlays/gpu", "components/ingress"])
def test_whatever_is_not_let_through_is_refused_both_ways(builds: dict[str, Manifests], target: str) -> None:
    default = pick(builds[target], "NetworkPolicy", "default-deny")["spec"]
    assert default["podSelector"] == {}
    assert sorted(default["policyTypes"]) == ["Egress", "Ingress"]
    assert not {"ingress", "egress"} & set(default)


def test_no_service_is_open_to_the_world(builds: dict[str, Manifests]) -> None:
    for target in builds.keys() - {"overlays/dev"}:  # on a developer's own machine
        manifests = builds[target]
        kinds = {m["spec"].get("type", "ClusterIP") for m in manifests if m["kind"] == "Service"}
        assert kinds <= {"ClusterIP"}, target


def test_metrics_are_read_of_pods_that_are_not_ready_too(cpu: Manifests) -> None:
    assert pick(cpu, "Service", "dermserve-metrics")["spec"]["publishNotReadyAddresses"] is True
    assert "publishNotReadyAddresses" not in pick(cpu, "Service", "dermserve")["spec"]
    annotations = pick(cpu, "Deployment")["spec"]["template"]["metadata"]["annotations"]
    [port] = container(cpu, "gateway")["ports"]
    assert annotations["prometheus.io/port"] == str(port["containerPort"])


def test_a_pod_has_started_once_a_prediction_has_succeeded(cpu: Manifests) -> None:
    torchserve, gateway = container(cpu, "torchserve"), container(cpu, "gateway")
    [port] = gateway["ports"]
    assert torchserve["startupProbe"]["httpGet"] == {"path": "/readyz", "port": port["containerPort"]}
    assert gateway["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}


def test_a_pod_is_emptied_before_its_programs_are_told_to_end(cpu: Manifests) -> None:
    hooks = {
        name: container(cpu, name)["lifecycle"]["preStop"]["exec"]["command"] for name in ("gateway", "torchserve")
    }
    assert hooks == {"gateway": ["python", "hooks/drain.py"], "torchserve": ["python", "hooks/await_gateway.py"]}
    assert all((build.ROOT / "image" / script).is_file() for _, script in hooks.values())


def test_workers_are_as_many_as_memory_and_java_are_made_for(cpu: Manifests) -> None:
    told = environment(cpu, "torchserve")
    workers, threads = int(told["DERMSERVE_WORKERS"]), int(told["DERMSERVE_THREADS"])
    assert told["JDK_JAVA_OPTIONS"] == f"-XX:ActiveProcessorCount={workers * threads}"
    assert (workers, threads) == (2, 1)  # what test_memory.py adds up


def test_one_pod_may_be_lost(cpu: Manifests) -> None:
    assert pick(cpu, "HorizontalPodAutoscaler")["spec"]["minReplicas"] >= 2
    assert pick(cpu, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_more_pods_come_before_a_pod_is_saturated(builds: dict[str, Manifests], cpu: Manifests) -> None:
    metrics = pick(builds["components/ingress"], "HorizontalPodAutoscaler")["spec"]["metrics"]
    [metric] = [one for one in metrics if one["type"] == "Resource"]
    wanted = metric["resource"]["target"]["averageUtilization"] / 100
    requests = [container(cpu, name)["resources"]["requests"]["cpu"] for name in ("torchserve", "gateway")]
    cores = sum(float(cpu.removesuffix("m")) / (1000 if cpu.endswith("m") else 1) for cpu in requests)
    assert 0.4 * cores < wanted * cores < int(environment(cpu, "torchserve")["DERMSERVE_WORKERS"])


def test_pods_spread_where_they_can_and_are_scheduled_where_they_cannot(cpu: Manifests) -> None:
    spreads = pick(cpu, "Deployment")["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert [spread["topologyKey"] for spread in spreads] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    assert {spread["whenUnsatisfiable"] for spread in spreads} == {"ScheduleAnyway"}


def test_scratch_space_does_not_count_as_memory(builds: dict[str, Manifests]) -> None:
    for target, manifests in builds.items():
        for pod in filter(None, map(inventory.pod_template, manifests)):
            folders = [v["emptyDir"] for v in pod["spec"].get("volumes", []) if "emptyDir" in v]
            assert all(folder.get("medium") != "Memory" or target.startswith("training/") for folder in folders), target
