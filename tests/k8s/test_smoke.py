"""`make k8s-smoke` where there is nothing to smoke."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kubectl", ["#!/bin/sh\necho noise >&2\nexit 1\n", None])
def test_without_a_cluster_one_line_says_so(kubectl: str | None, tmp_path: Path) -> None:
    for name in ("dirname", "bash", "env"):
        (tmp_path / name).symlink_to(Path("/usr/bin") / name)
    if kubectl is not None:
        (tmp_path / "kubectl").write_text(kubectl)
        (tmp_path / "kubectl").chmod(0o755)
    told = subprocess.run(
        [ROOT / "k8s" / "smoke.sh"],
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 1
    [line] = told.stderr.splitlines()
    assert ("no cluster answers" if kubectl else "kubectl is not installed") in line
