"""The built manifests, once for the whole folder."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from k8s.validate import build

Manifests = list[dict[str, Any]]


@pytest.fixture(scope="session")
def builds() -> dict[str, Manifests]:
    """Every overlay, component and training job, built with the real tool."""
    try:
        build.tool()
    except build.BuildError as missing:
        pytest.skip(str(missing))
    return dict(build.targets())


@pytest.fixture
def cpu(builds: dict[str, Manifests]) -> Manifests:
    """A copy of the CPU overlay that a test may break."""
    return copy.deepcopy(builds["overlays/cpu"])


def pick(manifests: Manifests, kind: str, name: str | None = None) -> dict[str, Any]:
    """The object of that kind, and name if given."""
    found = [m for m in manifests if m["kind"] == kind and name in (None, m["metadata"]["name"])]
    assert found, f"no {kind} {name}"
    return found[0]


def container(manifests: Manifests, name: str) -> dict[str, Any]:
    """A container of the deployment."""
    pod = pick(manifests, "Deployment")["spec"]["template"]["spec"]
    (found,) = [c for c in pod["containers"] if c["name"] == name]
    return found
