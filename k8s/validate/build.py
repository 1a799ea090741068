"""Build kustomizations with kubectl or kustomize, whichever is there."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import yaml

from k8s.validate.finding import Manifest

K8S = Path(__file__).resolve().parents[1]
ROOT = K8S.parent
OLDEST = (4, 5)  # kustomize's version from which `labels` may reach the pod template


class BuildError(Exception):
    """A kustomization that does not build, with the tool's own words."""


def _version(command: list[str]) -> tuple[int, int]:
    """Of the kustomize in the command; (0, 0) where there is none."""
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout
    except OSError:
        return (0, 0)
    found = re.search(r"(?:[Kk]ustomize[^\n]*|^)v(\d+)\.(\d+)", told)
    return (int(found[1]), int(found[2])) if found else (0, 0)


@lru_cache(maxsize=1)
def tool() -> tuple[str, ...]:
    """The command that builds a folder; raises BuildError saying what to install."""
    if _version(["kubectl", "version", "--client"]) >= OLDEST:
        return ("kubectl", "kustomize")
    if _version(["kustomize", "version"]) >= OLDEST:
        return ("kustomize", "build")
    raise BuildError("neither kubectl (1.24 or newer) nor kustomize (4.5 or newer) is here: install one of them")


def build(folder: Path) -> list[Manifest]:
    """Every object of a kustomization, in the order in which kubectl would apply them."""
    done = subprocess.run([*tool(), str(folder)], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise BuildError(f"{folder}: {done.stderr.strip()}")
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def targets(k8s: Path = K8S) -> Iterator[tuple[str, list[Manifest]]]:
    """Each overlay and training job as it is, and each component on top of the base."""
    for kustomization in sorted(k8s.glob("overlays/*/kustomization.yaml")):
        yield f"overlays/{kustomization.parent.name}", build(kustomization.parent)
    for kustomization in sorted(k8s.glob("components/*/kustomization.yaml")):
        yield f"components/{kustomization.parent.name}", with_component(kustomization.parent)
    for kustomization in sorted(k8s.glob("training/*/kustomization.yaml")):
        if kustomization.parent.name != "base":
            yield f"training/{kustomization.parent.name}", build(kustomization.parent)


def with_component(component: Path) -> list[Manifest]:
    """The base with this one component, which is how each has to build on its own."""
    k8s = component.parents[1]
    with tempfile.TemporaryDirectory(dir=k8s, prefix=".build-") as scratch:
        text = (
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
            f"resources: [../base]\ncomponents: [../components/{component.name}]\n"
            "images: [{name: dermserve, newName: localhost/dermserve, newTag: 0.0.0}]\n"
        )
        Path(scratch, "kustomization.yaml").write_text(text, encoding="utf-8")
        return build(Path(scratch))
