"""`python -m k8s.validate` as a command: what it finds is what it fails with, and an old tool is not used."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from k8s.validate import __main__ as command
from k8s.validate import build, copies, linters, references, schemas
from k8s.validate.finding import Finding


@pytest.mark.parametrize("faulty", [None, "schemas", "references", "copies", "linters"])
def test_it_fails_if_any_check_finds_something(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], faulty: str | None
) -> None:
    monkeypatch.setattr(sys, "argv", ["k8s.validate", "--skip-policy"])
    monkeypatch.setattr(build, "targets", lambda: iter([("overlays/cpu", [])]))
    found = [Finding("Service dermserve", "check", "leads nowhere")]
    for module in (schemas, references, copies, linters):
        name = module.__name__.rpartition(".")[2]
        monkeypatch.setattr(module, "check", lambda _, name=name: found if name == faulty else [])
    assert command.main() == (1 if faulty else 0)
    told = capsys.readouterr().out
    assert ("leads nowhere" in told) == ("FAIL" in told) == bool(faulty)


@pytest.mark.parametrize(
    ("version", "used"),
    [("Kustomize Version: v4.4.1", False), ("Kustomize Version: v4.5.4", True), ("Kustomize Version: v5.0.1", True)],
)
def test_a_kubectl_that_would_leave_labels_out_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str, used: bool
) -> None:
    program = tmp_path / "kubectl"
    program.write_text(f"#!/bin/sh\necho 'Client Version: v1.23.0'\necho '{version}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setattr(build, "tool", build.tool.__wrapped__)
    if used:
        assert build.tool() == ("kubectl", "kustomize")
    else:
        with pytest.raises(build.BuildError, match=r"kubectl \(1\.24 or newer\)"):
            build.tool()
