"""The folder for unpacked archives and sockets: one a process, and none of a process that was killed stays behind."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import zipfile
from pathlib import Path

from stack.problem import BadArchive, BadSetting

PREFIX = "dermserve-"
OWNER = "owner"
SOCKET = ".ts.sock.9000"
SPARE_BYTES = 8 * 2**20
LONGEST_SOCKET = 107
"""Bytes in the path of a Unix socket: the kernel takes no more, and TorchServe's workers would fail one by one."""


def make() -> Path:
    """A new folder, owned for as long as this process lives, whatever program it becomes."""
    _clear_away()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    unnamed = folder / "new"
    lock = os.open(unnamed, os.O_CREAT | os.O_WRONLY, 0o600)  # closed by the kernel, however this process ends
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.set_inheritable(lock, True)
    unnamed.rename(folder / OWNER)
    return folder


def require_short(folder: Path, variable: str) -> None:
    """Raises BadSetting where the workers' sockets would not fit; the variable is the one that says where."""
    length = len(os.fsencode(folder / SOCKET))
    if length > LONGEST_SOCKET:
        raise BadSetting(
            f"{folder} is too long a path: a Unix socket's may have {LONGEST_SOCKET} characters, and the workers' in "
            f"that folder would have {length}; set {variable} to a shorter folder, as {variable}=/tmp"
        )


def require_programs(folder: Path, variable: str) -> None:
    """Raises BadSetting where no program could be run: what starts the workers lies there."""
    with tempfile.NamedTemporaryFile(dir=folder) as program:
        os.fchmod(program.fileno(), 0o700)
        if not os.access(program.name, os.X_OK):
            raise BadSetting(
                f"{folder} is mounted noexec, and workers are started there; set {variable} to another folder"
            )


def require_room(folder: Path, variable: str, archive: Path) -> None:
    """Raises BadSetting where the archive would not fit, once unpacked, and BadArchive where it is none."""
    try:
        with zipfile.ZipFile(archive) as packed:
            needed = sum(entry.file_size for entry in packed.infolist()) + SPARE_BYTES
    except zipfile.BadZipFile:
        raise BadArchive(f"{archive} is no archive of this project: make archive") from None
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise BadSetting(
            f"{folder} has room for {free / 2**20:.0f} MiB, and the model needs {needed / 2**20:.0f}; free some or "
            f"set {variable} to a folder with more"
        )


def _clear_away() -> None:
    """Removes this user's folders whose owner has ended."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            lock = os.open(folder / OWNER, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(lock)
