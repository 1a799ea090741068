"""Three dashboards as code: what users get (Service), what the model says (Model), where it runs (Pods)."""

from __future__ import annotations

from collections.abc import Callable

from grafana_foundation_sdk.models.dashboard import Dashboard

from k8s.monitoring.dashboards import model, pods, service

DASHBOARDS: dict[str, Callable[[], Dashboard]] = {
    "service": service.dashboard,
    "model": model.dashboard,
    "pods": pods.dashboard,
}
