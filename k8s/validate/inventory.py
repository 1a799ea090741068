"""The objects of one build and what they hold: which pods, containers and ports there are, and who picks them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from k8s.validate.finding import Manifest


class Inventory:
    """Answers by kind and name, and by label selector."""

    def __init__(self, manifests: list[Manifest]) -> None:
        self._manifests = manifests

    def __iter__(self) -> Iterator[Manifest]:
        return iter(self._manifests)

    def named(self, kind: str, name: str | None) -> Manifest | None:
        """The object of that kind and name, or None."""
        return next((m for m in self.of_kind(kind) if m["metadata"]["name"] == name), None)

    def of_kind(self, *kinds: str) -> list[Manifest]:
        """All objects of these kinds."""
        return [manifest for manifest in self._manifests if manifest["kind"] in kinds]

    def pods(self, selector: dict[str, Any]) -> list[dict[str, Any]]:
        """The pod templates whose labels the selector picks."""
        templates = [template for manifest in self._manifests if (template := pod_template(manifest))]
        return [template for template in templates if matches(selector, template["metadata"].get("labels", {}))]


def matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a label selector with matchLabels only picks these labels; expressions count as a match."""
    wanted = selector.get("matchLabels", {})
    return all(labels.get(key) == value for key, value in wanted.items())


def pod_template(manifest: Manifest) -> dict[str, Any] | None:
    """The pod template of a workload, or None."""
    spec = manifest.get("spec", {})
    template = spec.get("template")
    if manifest["kind"] == "InferenceService":
        # KServe puts the service's labels on the pods that it makes.
        template = {"metadata": manifest["metadata"], "spec": spec["predictor"]}
    return template if isinstance(template, dict) and "spec" in template else None


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """Init containers and containers."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"].get("containers", [])]


def ports(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """The ports that its containers open."""
    return [port for container in containers(pod) for port in container.get("ports", [])]


def has_port(pod: dict[str, Any], port: int | str) -> bool:
    """Whether a container of it opens this port, by name or number."""
    return any(port in (known.get("name"), known.get("containerPort")) for known in ports(pod))


def leaves(value: Any, path: str = "spec") -> Iterator[tuple[str, Any]]:
    """Every value that is no mapping and no list, with its path; dots within a key become slashes."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{str(key).replace('.', '/')}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{index}]")
    else:
        yield path, value
