"""What the committed dashboards ask of Prometheus."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from k8s.monitoring import generate

VARIABLES = {
    "$__rate_interval": "30s",
    "$datasource": "prometheus",
    "$namespace": ".*",
    "$model": ".*",
    "$version": ".*",
}


def committed(name: str) -> dict[str, Any]:
    """A dashboard's JSON."""
    document = json.loads((generate.COMPONENT / "dashboards" / f"{name}.json").read_text())
    assert isinstance(document, dict)
    return document


def panels(name: str) -> Iterator[dict[str, Any]]:
    """Its panels, rows left out."""
    for panel in committed(name)["panels"]:
        if panel["type"] != "row":
            yield panel
        yield from panel.get("panels") or []


def queries(name: str) -> Iterator[tuple[str, str]]:
    """Title of the panel and expression, as written."""
    for panel in panels(name):
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def filled(expression: str) -> str:
    """The expression as Grafana sends it when all is chosen."""
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression, expression
    return expression
