"""What is committed passes every check that needs no installation of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from image.hooks import await_gateway, drain
from k8s.validate import build, copies, inventory, linters, references, schemas
from tests.k8s.conftest import Manifests, container, pick

WANTED = {
    *("overlays/dev", "overlays/cpu", "overlays/gpu"),
    *("components/gpu", "components/hpa", "components/keda", "components/ingress", "components/kserve"),
    "components/api-keys",
    *("components/model-init", "components/model-image", "components/model-pvc"),
    *("training/single", "training/distributed"),
}


def test_everything_promised_builds(builds: dict[str, Manifests]) -> None:
    assert set(builds) >= WANTED
    assert all(builds.values())


def test_schemas_hold_in_three_versions(builds: dict[str, Manifests]) -> None:
    assert len(schemas.VERSIONS) == 3
    assert [finding for manifests in builds.values() for finding in schemas.check(manifests)] == []


def test_references_hold(builds: dict[str, Manifests]) -> None:
    assert [finding for manifests in builds.values() for finding in references.check(manifests)] == []


def test_copies_are_true_and_linters_content() -> None:
    assert copies.check(build.ROOT) == []
    assert linters.check(build.ROOT) == []


def test_every_serving_pod_is_locked_down(builds: dict[str, Manifests]) -> None:
    for target, manifests in builds.items():
        for manifest in manifests:
            pod = inventory.pod_template(manifest)
            if not pod:
                continue
            assert pod["spec"]["automountServiceAccountToken"] is False, target
            assert pod["spec"]["securityContext"]["runAsNonRoot"] is True, target
            assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, target
            for each in inventory.containers(pod):
                context = each["securityContext"]
                assert context["readOnlyRootFilesystem"] is True, (target, each["name"])
                assert context["allowPrivilegeEscalation"] is False, (target, each["name"])
                assert context["capabilities"] == {"drop": ["ALL"]}, (target, each["name"])


def test_a_rollout_never_takes_a_pod_away_first(cpu: Manifests) -> None:
    deployment = pick(cpu, "Deployment")["spec"]
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert "replicas" not in deployment
    grace = deployment["template"]["spec"]["terminationGracePeriodSeconds"]
    settings = {entry["name"]: entry["value"] for entry in container(cpu, "gateway")["env"]}
    delay, deadline = (float(settings[f"DERMSERVE_DRAIN_{each}_S"]) for each in ("DELAY", "DEADLINE"))
    assert delay + deadline < drain.PATIENCE_S
    assert delay + 2 * deadline < await_gateway.PATIENCE_S
    assert grace >= await_gateway.PATIENCE_S + 5  # TorchServe itself needs about three seconds


def test_a_kustomization_elsewhere_says_which_model_to_fetch(builds: dict[str, Manifests], tmp_path: Path) -> None:
    k8s = os.path.relpath(build.K8S, tmp_path)
    (tmp_path / "kustomization.yaml").write_text(
        f"resources: [{k8s}/overlays/cpu]\ncomponents: [{k8s}/components/model-init]\n"
        "images: [{name: dermserve, newName: registry.example.org/dermserve, newTag: 1.0.0}]\n"
        "patches:\n  - patch: |\n      apiVersion: v1\n      kind: ConfigMap\n"
        "      metadata: {name: model}\n      data: {MODEL_URL: 'https://models.example.org/other.mar'}\n",
        encoding="utf-8",
    )
    manifests = build.build(tmp_path)
    (fetcher,) = pick(manifests, "Deployment")["spec"]["template"]["spec"]["initContainers"]
    assert fetcher["image"] == "registry.example.org/dermserve:1.0.0"
    data = pick(manifests, "ConfigMap", fetcher["envFrom"][0]["configMapRef"]["name"])["data"]
    assert data["MODEL_URL"] == "https://models.example.org/other.mar"
    assert set(data) == {"MODEL_URL", "MODEL_SHA256"}  # each becomes a variable of the container
    committed = [m["metadata"]["name"] for m in builds["components/model-init"] if m["kind"] == "ConfigMap"]
    assert fetcher["envFrom"][0]["configMapRef"]["name"] not in committed  # a new name is what makes it a rollout


def test_keda_replaces_the_plain_autoscaler(builds: dict[str, Manifests]) -> None:
    kinds = [manifest["kind"] for manifest in builds["components/keda"]]
    assert "ScaledObject" in kinds
    assert "HorizontalPodAutoscaler" not in kinds


def test_kserve_runs_the_very_same_containers_with_the_one_that_it_serves_first(builds: dict[str, Manifests]) -> None:
    manifests = builds["components/kserve"]
    gateway, torchserve = pick(manifests, "InferenceService")["spec"]["predictor"]["containers"]
    ours = pick(builds["components/hpa"], "Deployment")["spec"]["template"]["spec"]["containers"]
    assert gateway["name"] == "kserve-container"
    assert [torchserve, gateway | {"name": "gateway"}] == ours
    kinds = {manifest["kind"] for manifest in manifests}
    assert "Deployment" not in kinds
    assert "PodDisruptionBudget" in kinds


def test_a_folder_that_does_not_build_says_why(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: [missing.yaml]\n", encoding="utf-8")
    with pytest.raises(build.BuildError, match=r"missing\.yaml"):
        build.build(tmp_path)
