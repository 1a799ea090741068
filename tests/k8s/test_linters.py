"""yamllint, hadolint, shellcheck, checkov and the copy check each see their fault in a broken copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from k8s.validate import build, copies, linters, policy
from tests.k8s.conftest import Manifests, container, pick


def test_yamllint_sees_a_duplicate_key(tmp_path: Path) -> None:
    (tmp_path / "k8s").mkdir()
    (tmp_path / "k8s" / "broken.yaml").write_text("kind: Service\nkind: Secret\n", encoding="utf-8")
    assert any("duplication of key" in finding.message for finding in linters.check(tmp_path))


def test_hadolint_sees_an_unpinned_base(tmp_path: Path) -> None:
    text = (build.ROOT / "Dockerfile").read_text(encoding="utf-8")
    (tmp_path / "Dockerfile").write_text(text + "\nFROM debian:latest\nRUN cd /tmp && sudo ls\n", encoding="utf-8")
    found = linters.check(tmp_path)
    assert any("DL3007" in finding.message for finding in found)
    assert all(finding.check == "hadolint" for finding in found)


def test_shellcheck_sees_an_unquoted_variable(tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "broken.sh").write_text("#!/bin/bash\nrm -rf $1\n", encoding="utf-8")
    assert any("SC2086" in finding.message for finding in linters.check(tmp_path))


def test_a_copy_that_drifted_is_seen_and_mended(tmp_path: Path) -> None:
    for name in copies.COPIED:
        shutil.copyfile(build.ROOT / name, tmp_path / name)
    assert len(copies.check(tmp_path)) == len(copies.COPIED)
    copies.sync(tmp_path)
    assert copies.check(tmp_path) == []
    (tmp_path / "k8s/base/config/config.properties").write_text("enable_model_api=true\n", encoding="utf-8")
    assert [finding.where for finding in copies.check(tmp_path)] == ["k8s/base/config/config.properties"]


@pytest.mark.slow
def test_checkov_sees_a_weakened_pod_and_a_root_image(cpu: Manifests, tmp_path: Path) -> None:
    container(cpu, "gateway")["securityContext"]["allowPrivilegeEscalation"] = True
    pick(cpu, "Deployment")["spec"]["template"]["spec"]["hostNetwork"] = True
    text = (build.ROOT / "Dockerfile").read_text(encoding="utf-8").replace("USER 10001:10001", "USER root")
    (tmp_path / "Dockerfile").write_text(text, encoding="utf-8")
    found = "\n".join(str(finding) for finding in policy.check({"broken": cpu}, tmp_path / "Dockerfile"))
    assert "CKV_K8S_20" in found  # privilege escalation
    assert "CKV_K8S_19" in found  # host network
    assert "CKV_DOCKER_8" in found  # root
    assert "excuses nothing any more" in found  # no training job here, so its exception is idle


def test_installing_checkov_shows_signs_of_life_and_says_why_it_cannot(
    cpu: Manifests, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(policy, "VENV", tmp_path / "checkov")
    monkeypatch.setattr(policy, "SIGN_OF_LIFE_S", 0.1)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    [finding] = policy.check({"cpu": cpu}, build.ROOT / "Dockerfile")
    assert "No matching distribution" in finding.message
    assert "--skip-policy" in finding.message
    assert "still at it" in capsys.readouterr().err


def test_every_exception_has_a_reason() -> None:
    for exception in policy.exceptions():
        assert set(exception) == {"policy", "resource", "reason"}
        assert len(exception["reason"]) > 40
