"""What one object says about another has to be true: the API server accepts most of these faults in silence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from k8s.validate.finding import Finding, Manifest, name_of
from k8s.validate.inventory import Inventory, containers, has_port, leaves, matches, pod_template, ports

CHECK = "reference"
QUANTITY = re.compile(r"^[+]?(\d+(\.\d*)?|\.\d+)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?\d+)?$")
CLUSTER_WIDE = ("Namespace", "ClusterRole", "ClusterRoleBinding", "PriorityClass", "RuntimeClass")
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
SECRETS_MADE_BY_HAND = {"dermserve-api-keys": {"keys"}}
"""Name and keys of those that no manifest may hold; a comment beside each use says how it is made."""


class References:
    """What the objects of one build say about each other."""

    def __init__(self, objects: Inventory) -> None:
        self._objects = objects

    def faults(self) -> list[Finding]:
        """Every check on every object."""
        found: list[Finding] = []
        for manifest in self._objects:
            kind = manifest["kind"]
            template = pod_template(manifest)
            messages: list[str] = [*self._quantities(manifest), *self._namespace(manifest)]
            if template:
                messages += [*self._selector(manifest, template), *self._volumes(template), *self._probes(template)]
                messages += [*self._configuration(template), *self._account(template), *self._limits(template)]
            if kind == "Service":
                messages += self._service(manifest)
            elif kind == "NetworkPolicy":
                messages += self._policy(manifest)
            elif kind == "PodDisruptionBudget":
                messages += self._selects_a_pod(manifest["spec"].get("selector", {}))
            elif kind in ("HorizontalPodAutoscaler", "ScaledObject"):
                messages += self._scaled(manifest)
            elif kind == "Ingress":
                messages += self._ingress(manifest)
            elif kind == "PodMonitor":
                messages += self._monitor(manifest)
            found += [Finding(name_of(manifest), CHECK, message) for message in messages]
        return found

    def _selects_a_pod(self, selector: dict[str, Any]) -> Iterator[str]:
        if not self._objects.pods(selector):
            yield f"the selector {selector.get('matchLabels')} picks no pod"

    def _namespace(self, manifest: Manifest) -> Iterator[str]:
        namespace = manifest["metadata"].get("namespace")
        if not namespace and manifest["kind"] not in CLUSTER_WIDE:
            yield "has no namespace and would land in whichever is current"
        if namespace and not self._objects.named("Namespace", namespace):
            yield f"its namespace {namespace} is not among the objects"

    def _quantities(self, manifest: Manifest) -> Iterator[str]:
        for path, value in leaves(manifest.get("spec", {})):
            parts = path.split(".")
            is_resource = len(parts) > 2 and parts[-3] == "resources" and parts[-2] in ("requests", "limits")
            if (is_resource or parts[-1] in ("sizeLimit", "averageValue")) and not QUANTITY.match(str(value)):
                yield f"{path}: {value!r} is not a quantity"

    def _limits(self, pod: dict[str, Any]) -> Iterator[str]:
        for container in containers(pod):
            resources = container.get("resources", {})
            requests, limits = resources.get("requests", {}), resources.get("limits", {})
            if requests.get("memory") != limits.get("memory"):
                yield f"container {container['name']}: the memory request and limit differ, so it may be evicted first"

    def _selector(self, manifest: Manifest, pod: dict[str, Any]) -> Iterator[str]:
        selector = manifest["spec"].get("selector")
        labels = pod["metadata"].get("labels", {})
        if selector and not matches(selector, labels):
            yield f"the selector {selector.get('matchLabels')} does not pick its own template's labels {labels}"
        for spread in pod["spec"].get("topologySpreadConstraints", []):
            if not matches(spread.get("labelSelector", {}), labels):
                yield f"the spread over {spread['topologyKey']} does not pick its own pods"

    def _volumes(self, pod: dict[str, Any]) -> Iterator[str]:
        volumes = {volume["name"] for volume in pod["spec"].get("volumes", [])}
        mounted = set()
        for container in containers(pod):
            paths = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
            for mount in container.get("volumeMounts", []):
                mounted.add(mount["name"])
                if mount["name"] not in volumes:
                    yield f"container {container['name']} mounts the undefined volume {mount['name']}"
            if len(paths) != len(set(paths)):
                yield f"container {container['name']} mounts two volumes at one path"
        for name in sorted(volumes - mounted):
            yield f"the volume {name} is mounted nowhere"
        for volume in pod["spec"].get("volumes", []):
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim and not self._objects.named("PersistentVolumeClaim", claim):
                yield f"the volume {volume['name']} uses the undefined claim {claim}"

    def _probes(self, pod: dict[str, Any]) -> Iterator[str]:
        for container in containers(pod):
            own = {value for port in container.get("ports", []) for value in (port.get("name"), port["containerPort"])}
            hooks = [container.get("lifecycle", {}).get(hook, {}) for hook in ("preStop", "postStart")]
            for handler in [container.get(probe, {}) for probe in PROBES] + hooks:
                port = (handler.get("httpGet") or handler.get("tcpSocket") or {}).get("port")
                # A name belongs to its container; a number may belong to any container of the pod.
                if port is not None and port not in own and not (isinstance(port, int) and has_port(pod, port)):
                    yield f"a probe of container {container['name']} asks port {port}, which no container opens"

    def _configuration(self, pod: dict[str, Any]) -> Iterator[str]:
        for volume in pod["spec"].get("volumes", []):
            for kind, field, key in (("ConfigMap", "configMap", "name"), ("Secret", "secret", "secretName")):
                source = volume.get(field)
                if source and not source.get("optional"):
                    yield from self._keys(kind, source.get(key), [item["key"] for item in source.get("items", [])])
        for container in containers(pod):
            for variable in container.get("env", []):
                source = variable.get("valueFrom", {})
                for kind, field in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
                    if field in source and not source[field].get("optional"):
                        yield from self._keys(kind, source[field]["name"], [source[field]["key"]])
            for source in container.get("envFrom", []):
                for kind, field in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
                    if field in source and not source[field].get("optional"):
                        yield from self._keys(kind, source[field]["name"], [])

    def _keys(self, kind: str, name: str | None, keys: list[str]) -> Iterator[str]:
        found = self._objects.named(kind, name)
        if found:
            known = {*found.get("data", {}), *found.get("binaryData", {}), *found.get("stringData", {})}
        elif kind == "Secret" and name in SECRETS_MADE_BY_HAND:
            known = SECRETS_MADE_BY_HAND[name]
        else:
            yield f"uses the undefined {kind} {name}"
            return
        for key in keys:
            if key not in known:
                yield f"uses the key {key}, which {kind} {name} does not have"

    def _account(self, pod: dict[str, Any]) -> Iterator[str]:
        name = pod["spec"].get("serviceAccountName", "default")
        if name != "default" and not self._objects.named("ServiceAccount", name):
            yield f"runs as the undefined service account {name}"

    def _service(self, service: Manifest) -> Iterator[str]:
        pods = self._objects.pods({"matchLabels": service["spec"].get("selector", {})})
        if not pods:
            yield f"the selector {service['spec'].get('selector')} picks no pod"
        for port in service["spec"].get("ports", []):
            target = port.get("targetPort", port["port"])
            if pods and not any(has_port(pod, target) for pod in pods):
                yield f"port {port.get('name')} leads to {target}, which no container opens"

    def _policy(self, policy: Manifest) -> Iterator[str]:
        pods = self._objects.pods(policy["spec"].get("podSelector", {}))
        for rule in policy["spec"].get("ingress", []):
            for port in rule.get("ports", []):
                if pods and not any(has_port(pod, port["port"]) for pod in pods):
                    yield f"lets traffic in to port {port['port']}, which no picked pod opens"
        for rule in policy["spec"].get("egress", []):
            peers = [peer["podSelector"] for peer in rule.get("to", []) if set(peer) == {"podSelector"}]
            for port in rule.get("ports", []):
                goals = [pod for peer in peers for pod in self._objects.pods(peer)]
                if peers and not any(has_port(pod, port["port"]) for pod in goals):
                    yield f"lets traffic out to port {port['port']}, which no picked pod opens"

    def _scaled(self, scaler: Manifest) -> Iterator[str]:
        target = scaler["spec"]["scaleTargetRef"]
        kind, name = target.get("kind", "Deployment"), target["name"]
        workload = self._objects.named(kind, name)
        if not workload:
            yield f"scales the undefined {kind} {name}"
        elif "replicas" in workload["spec"]:
            yield f"{kind} {name} sets replicas, which would undo the autoscaler at each apply"
        owners = [
            name_of(other)
            for other in self._objects.of_kind("HorizontalPodAutoscaler", "ScaledObject")
            if other["spec"]["scaleTargetRef"]["name"] == name
        ]
        if len(owners) > 1:
            yield f"{' and '.join(owners)} both scale {name}"

    def _ingress(self, ingress: Manifest) -> Iterator[str]:
        for rule in ingress["spec"].get("rules", []):
            for path in rule.get("http", {}).get("paths", []):
                backend = path["backend"]["service"]
                service = self._objects.named("Service", backend["name"])
                ports = service["spec"]["ports"] if service else []
                wanted = backend["port"].get("name") or backend["port"].get("number")
                if not any(wanted in (port.get("name"), port["port"]) for port in ports):
                    yield f"leads to {backend['name']}:{wanted}, which is no port of a defined service"

    def _monitor(self, monitor: Manifest) -> Iterator[str]:
        selector = monitor["spec"].get("selector", {})
        yield from self._selects_a_pod(selector)
        pods = self._objects.pods(selector)
        known = {port.get("name") for pod in pods for port in ports(pod)}
        for endpoint in monitor["spec"].get("podMetricsEndpoints", []):
            if pods and endpoint.get("port") not in known:
                yield f"scrapes port {endpoint.get('port')}, which no picked pod opens by that name"


def check(manifests: list[Manifest]) -> list[Finding]:
    """Selectors, volumes, configuration, ports, network policies, quantities and scale targets."""
    return References(Inventory(manifests)).faults()
