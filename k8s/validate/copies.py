"""The configuration under base/config is a copy, because kustomize reads nothing above its own folder."""

from __future__ import annotations

import shutil
from pathlib import Path

from k8s.validate.finding import Finding

CHECK = "copy"
COPIED = ("config.properties", "metrics.yaml", "log4j2.xml")


def check(root: Path) -> list[Finding]:
    """Each copy has to be the very bytes of its original."""
    found = []
    for name in COPIED:
        copy = root / "k8s/base/config" / name
        if not copy.is_file() or copy.read_bytes() != (root / name).read_bytes():
            message = f"differs from ./{name}: run python -m k8s.validate --sync"
            found.append(Finding(f"k8s/base/config/{name}", CHECK, message))
    return found


def sync(root: Path) -> None:
    """Copy the originals over the copies."""
    (root / "k8s/base/config").mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        shutil.copyfile(root / name, root / "k8s/base/config" / name)
