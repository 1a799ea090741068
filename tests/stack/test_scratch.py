"""Folders of processes that were killed do not pile up."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from stack import scratch
from stack.problem import BadSetting

MAKE = "from stack import scratch; print(scratch.make(), flush=True)"
KEEP = f"{MAKE}; import os; os.execvp('sleep', ['sleep', '600'])"


def start(code: str, folder: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"TMPDIR": str(folder)}
    return subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)


def test_only_what_a_dead_process_left_is_removed(tmp_path: Path) -> None:
    strange = tmp_path / "dermserve-of-somebody-else"
    strange.mkdir()
    with start(KEEP, tmp_path) as living, start(KEEP, tmp_path) as killed:
        assert living.stdout
        assert killed.stdout
        kept, left = (Path(process.stdout.readline().strip()) for process in (living, killed) if process.stdout)
        (left / "models").mkdir()
        (left / "models" / "weights").write_bytes(b"44 MB")
        killed.kill()
        killed.wait()
        with start(MAKE, tmp_path) as third:
            assert third.stdout
            assert Path(third.stdout.readline().strip()).parent == tmp_path
        assert (kept.exists(), left.exists(), strange.exists()) == (True, False, True)
        living.kill()


def test_a_link_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / scratch.OWNER).touch()
    (tmp_path / "temporary" / "dermserve-link").symlink_to(victim)
    scratch.make()
    assert (victim / scratch.OWNER).exists()


def test_a_folder_without_room_for_the_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "lesion.mar"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("weights", bytes(50 * 2**20))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=57 * 2**20))
    with pytest.raises(
        BadSetting, match=r"room for 57 MiB, and the model needs 58; .*set TMPDIR to a folder with more"
    ):
        scratch.require_room(tmp_path, "TMPDIR", archive)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=58 * 2**20))
    scratch.require_room(tmp_path, "TMPDIR", archive)
