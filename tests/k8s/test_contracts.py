"""What the manifests say about the code has to be true: ports, paths, settings, metrics, versions."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
from starlette.routing import Route

from gateway.app import create
from gateway.settings import PREFIX, Settings
from gateway.traffic import Traffic
from k8s.validate import build, inventory, references
from stack import properties
from tests.k8s.conftest import Manifests, container, pick

ROOT = build.ROOT
OPERATIONS = {"/livez", "/readyz", "/drain", "/metrics"}


def routes() -> set[str]:
    return {route.path for route in create(Settings(), Traffic()).routes if isinstance(route, Route)}


def test_probes_ask_for_paths_that_exist(cpu: Manifests) -> None:
    for name, port, known in (("gateway", "http", routes()), ("torchserve", "inference", {"/ping"})):
        for probe in references.PROBES:
            asked = container(cpu, name)[probe]["httpGet"]
            assert asked["path"] in (known if asked["port"] == port else routes())


def test_liveness_knows_nothing_of_readiness(cpu: Manifests) -> None:
    for name in ("gateway", "torchserve"):
        assert "readyz" not in container(cpu, name)["livenessProbe"]["httpGet"]["path"]
    assert container(cpu, "gateway")["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_container_ports_are_those_of_the_configuration(cpu: Manifests) -> None:
    real = properties.read(ROOT / "config.properties")
    opened = {port["name"]: port["containerPort"] for port in container(cpu, "torchserve")["ports"]}
    assert real["inference_address"].endswith(f":{opened['inference']}")
    assert real["metrics_address"].endswith(f":{opened['ts-metrics']}")
    assert real["management_address"].startswith("http://127.0.0.1:")
    assert 8081 not in opened.values()
    config = pick(cpu, "ConfigMap")["data"]["config.properties"]
    assert config == (ROOT / "config.properties").read_text(encoding="utf-8")


def test_only_the_gateway_and_metrics_are_let_in(builds: dict[str, Manifests]) -> None:
    for target in ("overlays/cpu", "overlays/gpu", "components/ingress"):
        policies = [m for m in builds[target] if m["kind"] == "NetworkPolicy"]
        assert any(p["spec"]["podSelector"] == {} and not p["spec"].get("ingress") for p in policies), target
        let_in = {port["port"] for p in policies for rule in p["spec"].get("ingress", []) for port in rule["ports"]}
        assert let_in == {"http", "ts-metrics"}, target


def test_gateway_settings_exist(builds: dict[str, Manifests]) -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {"PORT"}
    for target, manifests in builds.items():
        if target.startswith("overlays/"):
            assert {entry["name"] for entry in container(manifests, "gateway")["env"]} <= known, target


def test_torchserve_settings_exist(builds: dict[str, Manifests]) -> None:
    source = "".join(
        path.read_text(encoding="utf-8") for room in ("stack", "handler") for path in ROOT.glob(f"{room}/**/*.py")
    )
    java = {"JDK_JAVA_OPTIONS"}
    for target, manifests in builds.items():
        if target.startswith("overlays/"):
            for name in {entry["name"] for entry in container(manifests, "torchserve")["env"]} - java:
                assert f'"{name}"' in source, (target, name)


def test_service_links_cannot_overwrite_settings(builds: dict[str, Manifests]) -> None:
    for target, manifests in builds.items():
        for manifest in manifests:
            pod = inventory.pod_template(manifest)
            assert not pod or pod["spec"]["enableServiceLinks"] is False, target


def test_ingress_leads_to_all_that_people_use_and_to_nothing_of_operations(builds: dict[str, Manifests]) -> None:
    (rule,) = pick(builds["components/ingress"], "Ingress")["spec"]["rules"]

    def led(path: str) -> bool:
        return any(
            path == each["path"] or (each["pathType"] == "Prefix" and path.startswith(each["path"] + "/"))
            for each in rule["http"]["paths"]
        )

    assert [path for path in sorted(routes() - OPERATIONS) if not led(path)] == []
    assert [path for path in OPERATIONS if led(path)] == []


def test_ingress_leaves_the_size_of_a_request_to_the_gateway(builds: dict[str, Manifests]) -> None:
    annotations = pick(builds["components/ingress"], "Ingress")["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/proxy-body-size"] == "0"


def test_tags_are_the_projects_version(builds: dict[str, Manifests]) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    for target in ("overlays/cpu", "overlays/gpu", "overlays/dev", "training/single", "training/distributed"):
        for manifest in builds[target]:
            pod = inventory.pod_template(manifest)
            if pod:
                tags = {each["image"].rpartition(":")[2] for each in inventory.containers(pod)}
                assert all(tag.startswith(f"{version}-") for tag in tags), (target, tags)
                assert pod["metadata"]["labels"]["app.kubernetes.io/version"] == version, target


def test_the_numbers_of_distributed_training_agree(builds: dict[str, Manifests]) -> None:
    job = pick(builds["training/distributed"], "Job")["spec"]
    (trainer,) = job["template"]["spec"]["containers"]
    arguments: dict[str, Any] = dict(a[2:].split("=", 1) for a in trainer["args"] if a.startswith("--") and "=" in a)
    nodes = {job["completions"], job["parallelism"], int(arguments["nnodes"]), int(arguments["trainer.num_nodes"])}
    assert len(nodes) == 1
    service = pick(builds["training/distributed"], "Service")
    host, port = arguments["rdzv-endpoint"].split(":")
    assert host == f"train-0.{job['template']['spec']['subdomain']}"
    assert service["metadata"]["name"] == job["template"]["spec"]["subdomain"]
    assert int(port) == service["spec"]["ports"][0]["port"]
    assert int(arguments["nproc-per-node"]) == int(trainer["resources"]["limits"]["nvidia.com/gpu"])


@pytest.mark.parametrize("target", ["training/single", "training/distributed"])
def test_training_names_files_and_options_that_exist(builds: dict[str, Manifests], target: str) -> None:
    (trainer,) = pick(builds[target], "Job")["spec"]["template"]["spec"]["containers"]
    arguments = dict(a[2:].split("=", 1) for a in trainer["args"] if a.startswith("--") and "=" in a)
    assert (ROOT / arguments["config"]).is_file()
    source = (ROOT / "lightning_module/datamodule.py").read_text(encoding="utf-8")
    for option in [key.removeprefix("data.") for key in arguments if key.startswith("data.")]:
        assert re.search(rf"\b{option}:", source), option
