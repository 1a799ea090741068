"""Folders of processes that were killed do not pile up."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
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


def test_a_folder_of_another_user_is_let_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with start(MAKE, tmp_path) as dead:
        assert dead.stdout
        left = Path(dead.stdout.readline().strip())
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    own = os.getuid()
    with monkeypatch.context() as somebody:
        somebody.setattr(os, "getuid", lambda: own + 1)
        scratch.make()
    assert left.exists()
    scratch.make()
    assert not left.exists()


@pytest.mark.parametrize(("length", "fits"), [(scratch.LONGEST_SOCKET, True), (scratch.LONGEST_SOCKET + 1, False)])
def test_the_longest_path_is_the_longest_that_a_socket_takes(length: int, fits: bool) -> None:
    with tempfile.TemporaryDirectory() as short:
        folder = Path(short) / ("d" * (length - len(short) - len(scratch.SOCKET) - 2))
        folder.mkdir()
        told = contextlib.nullcontext() if fits else pytest.raises(BadSetting, match="too long a path")
        with told:
            scratch.require_short(folder, "TMPDIR")
        with socket.socket(socket.AF_UNIX) as one:
            refused = contextlib.nullcontext() if fits else pytest.raises(OSError, match="too long")
            with refused:
                one.bind(str(folder / scratch.SOCKET))


def test_a_folder_that_runs_no_programs_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch.require_programs(tmp_path, "TMPDIR")
    monkeypatch.setattr(os, "access", lambda *_: False)  # as the kernel answers where a mount is noexec
    with pytest.raises(BadSetting, match=r"noexec.*TMPDIR"):
        scratch.require_programs(tmp_path, "TMPDIR")
    assert list(tmp_path.iterdir()) == []
