"""Where it runs: readiness, workers, versions, memory, processor, restarts, pod by pod."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from k8s.monitoring.dashboards.panels import API, MODEL, Panel, chosen, frame, number, rows, series

HERE = 'namespace=~"$namespace"'
CONTAINERS = f'{HERE}, container=~"gateway|torchserve"'
OURS = f"and on (namespace, pod) gateway_ready{{{HERE}}}"


def dashboard() -> Dashboard:
    """The dashboard Pods."""
    return frame(
        "Pods",
        "Which pod is different from the others?",
        {"State": _state(), "Work": _work(), "Resources": _resources()},
    )


def _state() -> list[Panel]:
    return [
        number(
            "Pods ready",
            "short",
            f"sum(gateway_ready{{{HERE}}})",
            "Pods whose /readyz says that they can predict.",
            steps=((None, "red"), (1, "orange"), (2, "green")),
            runbook="dermservedown",
            decimals=0,
        ),
        number(
            "Workers ready",
            "short",
            f"sum(lesion_workers_ready{{{HERE}}})",
            "By TorchServe's management API, over all pods.",
            steps=((None, "red"), (1, "green")),
            runbook="dermserveworkersnotready",
            decimals=0,
        ),
        number(
            "Models served",
            "short",
            f"count(count by (name, sha256) (lesion_model_info{{{HERE}}}))",
            "More than one outside of a rollout means that pods disagree.",
            steps=((None, "green"), (2, "red")),
            runbook="dermserveversionskew",
            decimals=0,
        ),
        rows(
            "Versions",
            f"sum by (namespace, pod, name, version, sha256) ({MODEL})",
            "What each pod serves.",
            hidden=("Value",),
            span=12,
            runbook="dermserveversionskew",
        ),
        series(
            "Ready",
            "short",
            {"{{pod}}": f"gateway_ready{{{HERE}}}", "{{pod}} drains": f"gateway_draining{{{HERE}}}"},
            "1 while the pod takes traffic; a draining pod is on its way out.",
            runbook="dermservedown",
        ),
        series(
            "Workers",
            "short",
            {"{{pod}} ready": f"lesion_workers_ready{{{HERE}}}", "{{pod}} known": f"lesion_workers_total{{{HERE}}}"},
            "Workers that can predict, and those that TorchServe knows.",
            runbook="dermserveworkersnotready",
        ),
        series(
            "Scraped",
            "short",
            {"{{job}} {{pod}}": f'up{{job=~"dermserve-.*", {HERE}}}'},
            "1 where Prometheus reaches the process.",
            runbook="dermservescrapefails",
        ),
    ]


def _work() -> list[Panel]:
    requests = f"rate(gateway_requests_total{{{HERE}, {API}}}[$__rate_interval])"
    return [
        series("Requests", "reqps", {"{{pod}}": f"sum by (pod) {chosen(requests)}"}, "Answered by each pod."),
        series(
            "Predictions",
            "reqps",
            {"{{pod}}": f"sum by (pod) {chosen(f'rate(lesion_predictions_total{{{HERE}}}[$__rate_interval])')}"},
            "Made by each pod's workers.",
        ),
        series(
            "Workers replaced",
            "short",
            {"{{pod}}": f"increase(lesion_worker_restarts_total{{{HERE}}}[1h])"},
            "Workers that ended within the last hour; TorchServe started others.",
            runbook="dermserveworkersdie",
        ),
        series(
            "Requests asked twice",
            "reqps",
            {"{{pod}} {{cause}}": f"rate(gateway_retries_total{{{HERE}}}[$__rate_interval])"},
            "A worker died, or the connection to TorchServe was lost, and the gateway repeated the request.",
            runbook="dermserveworkersdie",
        ),
    ]


def _resources() -> list[Panel]:
    restarts = f"increase(kube_pod_container_status_restarts_total{{{CONTAINERS}}}[1h]) {OURS}"
    cores = f"rate(container_cpu_usage_seconds_total{{{CONTAINERS}}}[$__rate_interval]) {OURS}"
    return [
        series(
            "Memory of the limit",
            "percentunit",
            {"{{pod}} {{container}}": f"namespace_pod_container:memory_limit:ratio{{{HERE}}}"},
            "Working set against the container's limit, where the kernel kills it.",
            runbook="dermservememorynearlimit",
            steps=((None, "transparent"), (0.9, "red")),
        ),
        series(
            "Cores",
            "short",
            {"{{pod}} {{container}}": f"sum by (pod, container) ({cores})"},
            "Processor time a second.",
        ),
        series(
            "Restarts",
            "short",
            {"{{pod}} {{container}}": f"sum by (pod, container) ({restarts})"},
            "Of the last hour.",
            runbook="dermservecontainersrestart",
        ),
        series(
            "Memory of the gateway",
            "bytes",
            {"{{pod}}": f'process_resident_memory_bytes{{job="dermserve-gateway", {HERE}}}'},
            "Resident memory as the process itself reports it.",
        ),
        series(
            "Open files of the gateway",
            "short",
            {"{{pod}}": f'process_open_fds{{job="dermserve-gateway", {HERE}}}'},
            "Connections, mostly; a line that only rises is a leak.",
        ),
    ]
