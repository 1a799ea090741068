"""k8s/fill.sh, with a kubectl that keeps the pod's description and runs here what would run in the pod."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8s.validate import build, schemas
from tests.k8s.conftest import Manifests, pick

KUBECTL = """\
#!/bin/bash
echo "$*" >> "$PLACE/asked"
shift 2
case $1 in
  get) [[ $3 != missing ]] ;;
  apply) cat > "$PLACE/pod.yaml" ;;
  wait) [[ ! -e $PLACE/pending ]] ;;
  exec) shift 4; mkdir "$PLACE/volume"; "${@//\\/volume/$PLACE/volume}" ;;
esac
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Holds the kubectl, what it saw, and a folder to copy."""
    (tmp_path / "kubectl").write_text(KUBECTL)
    (tmp_path / "kubectl").chmod(0o755)
    (tmp_path / "data" / "part 1").mkdir(parents=True)
    (tmp_path / "data" / "part 1" / "a.jpg").write_bytes(b"one")
    (tmp_path / "data" / "-table.csv").write_bytes(b"two")
    return tmp_path


def fill(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{place}:{os.environ['PATH']}", "PLACE": str(place)}
    command = [str(build.K8S / "fill.sh"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def asked(place: Path) -> list[str]:
    return (place / "asked").read_text().splitlines()


def test_the_volume_has_what_the_folder_had(place: Path) -> None:
    done = fill(place, "dataset", str(place / "data"), "--namespace", "dermserve-training", "--image", "ours:train")
    assert done.returncode == 0, done.stderr
    volume = place / "volume"
    found = {str(file.relative_to(volume)): file.read_bytes() for file in volume.rglob("*") if file.is_file()}
    assert found == {"part 1/a.jpg": b"one", "-table.csv": b"two"}
    assert all(line.startswith("--namespace dermserve-training ") for line in asked(place))
    assert "delete pod" in asked(place)[-1]


def test_its_pod_is_one_that_our_namespaces_admit(place: Path, builds: dict[str, Manifests]) -> None:
    fill(place, "lesion-model", str(place / "data"))
    pod: dict[str, Any] = yaml.safe_load((place / "pod.yaml").read_text())
    assert schemas.check([pod]) == []
    spec = pod["spec"]
    [container] = spec["containers"]
    assert spec["volumes"][0]["persistentVolumeClaim"] == {"claimName": "lesion-model"}
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    images = {
        each["image"] for each in pick(builds["overlays/cpu"], "Deployment")["spec"]["template"]["spec"]["containers"]
    }
    assert images == {container["image"]}


def test_a_pod_that_cannot_start_is_told_and_taken_away(place: Path) -> None:
    (place / "pending").touch()
    done = fill(place, "dataset", str(place / "data"))
    assert done.returncode == 1
    assert done.stderr == "no pod could mount dataset\n"
    assert "delete pod" in asked(place)[-1]


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["missing", "data"], 1, "no claim missing in namespace dermserve: apply it first"),
        (["dataset", "nowhere"], 1, "nowhere is no folder"),
        (["dataset"], 2, ""),
        (["dataset", "data", "--force"], 2, ""),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_made(
    place: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], status: int, told: str
) -> None:
    monkeypatch.chdir(place)
    done = fill(place, *arguments)
    assert (done.returncode, done.stderr.strip()) == (status, told)
    assert not (place / "pod.yaml").exists()
