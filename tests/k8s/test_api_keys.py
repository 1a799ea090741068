"""With components/api-keys a caller needs a key, made as the README says; the cluster itself needs none."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.settings import Settings
from k8s.smoke import probe
from k8s.validate import build, references
from tests.gateway.conftest import Gateway, quick, until
from tests.gateway.fake_torchserve import FakeTorchServe
from tests.k8s.conftest import Manifests, container, pick

README = (build.K8S / "README.md").read_text(encoding="utf-8")
VARIABLE = "DERMSERVE_API_KEYS_FILE"


@pytest.fixture
def locked(builds: dict[str, Manifests]) -> Manifests:
    return builds["components/api-keys"]


@pytest.fixture
def made(tmp_path: Path) -> tuple[str, Path]:
    """A key and the file with its line, by the command that the README gives."""
    [command] = re.findall(r"^\.venv/bin/(python -m gateway key \w+)", README, re.MULTILINE)
    done = subprocess.run([sys.executable, *command.split()[1:]], capture_output=True, text=True, check=True)
    key, line = (told.rpartition(" ")[2] for told in done.stdout.splitlines())
    (tmp_path / "keys").write_text(line + "\n", encoding="utf-8")
    return key, tmp_path / "keys"


@pytest.fixture
def gateway(made: tuple[str, Path]) -> Iterator[Gateway]:
    fake = FakeTorchServe()
    running = Gateway(quick(fake, api_keys_file=made[1]))
    until(running.ready)
    yield running
    running.stop()
    fake.close()


def environment(manifests: Manifests) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container(manifests, "gateway")["env"]}


def mounted(manifests: Manifests) -> tuple[dict[str, Any], dict[str, Any]]:
    """The mount, and the Secret's volume behind it."""
    pod = pick(manifests, "Deployment")["spec"]["template"]["spec"]
    [volume] = [volume for volume in pod["volumes"] if "secret" in volume]
    [mount] = [mount for mount in container(manifests, "gateway")["volumeMounts"] if mount["name"] == volume["name"]]
    return mount, volume["secret"]


def test_the_variable_names_what_is_mounted(locked: Manifests) -> None:
    mount, secret = mounted(locked)
    assert environment(locked)[VARIABLE] in [f"{mount['mountPath']}/{item['path']}" for item in secret["items"]]
    assert VARIABLE.removeprefix("DERMSERVE_").lower() in Settings.model_fields


def test_only_the_gateway_can_read_it_and_only_read_it(locked: Manifests) -> None:
    mount, secret = mounted(locked)
    assert mount["readOnly"] is True
    assert "subPath" not in mount  # such a mount stays as it was when the Secret changes
    assert secret["defaultMode"] == 0o440  # by the group, which is the pod's
    security = pick(locked, "Deployment")["spec"]["template"]["spec"]["securityContext"]
    assert security["fsGroup"] == security["runAsGroup"]
    assert mount["name"] not in {other["name"] for other in container(locked, "torchserve")["volumeMounts"]}


def test_without_the_secret_no_pod_starts_open(locked: Manifests) -> None:
    assert not mounted(locked)[1].get("optional")


@pytest.mark.parametrize("file", [build.K8S / "README.md", build.K8S / "components/api-keys/kustomization.yaml"])
def test_the_command_makes_the_secret_that_is_mounted(locked: Manifests, file: Path) -> None:
    secret = mounted(locked)[1]
    commands = re.findall(r"kubectl -n dermserve create secret generic [^|\n]+", file.read_text(encoding="utf-8"))
    assert commands
    for command in commands:
        words = shlex.split(command)
        assert words[6] == secret["secretName"]
        keys = {word.partition("=")[2] for word in words if word.startswith("--from-file=")}
        assert keys == {item["key"] for item in secret["items"]} == references.SECRETS_MADE_BY_HAND[words[6]]


def test_the_cluster_needs_no_key(locked: Manifests, gateway: Gateway) -> None:
    assert gateway.predict().status_code == 401
    asked = {container(locked, "gateway")[each]["httpGet"]["path"] for each in references.PROBES}
    annotations = pick(locked, "Deployment")["spec"]["template"]["metadata"]["annotations"]
    for path in {*asked, annotations["prometheus.io/path"]}:
        assert gateway.http.get(path).status_code == 200, path


def test_the_smoke_test_asks_with_the_key_that_it_is_given(
    gateway: Gateway, made: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("API_KEY", raising=False)
    assert probe.ask(f"{gateway.url}/v1/predict", b"IMAGE 0.3")[0] == 401
    monkeypatch.setenv("API_KEY", made[0])
    assert probe.ask(f"{gateway.url}/v1/predict", b"IMAGE 0.3")[0] == 200


def test_kserves_pod_has_the_keys_too(tmp_path: Path) -> None:
    components = os.path.relpath(build.K8S / "components", tmp_path)
    (tmp_path / "kustomization.yaml").write_text(
        f"resources: [{components}/../base]\ncomponents: [{components}/api-keys, {components}/kserve]\n",
        encoding="utf-8",
    )
    predictor = pick(build.build(tmp_path), "InferenceService")["spec"]["predictor"]
    assert predictor["containers"][0]["name"] == "kserve-container"
    assert VARIABLE in {entry["name"] for entry in predictor["containers"][0]["env"]}
    assert [volume for volume in predictor["volumes"] if "secret" in volume]


def test_compose_mounts_what_the_variable_names() -> None:
    added = yaml.safe_load((build.ROOT / "k8s/compose/api-keys.yaml").read_text(encoding="utf-8"))["services"]
    compose = yaml.safe_load((build.ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    assert added.keys() <= compose.keys()
    [mount] = added["dermserve"]["volumes"]
    _, place, mode = mount.split(":")
    assert mode == "ro"
    assert Path(added["dermserve"]["environment"][VARIABLE]).parent == Path(place)
