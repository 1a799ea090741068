"""The folder for unpacked archives and sockets: one a process, and none of a process that was killed stays behind."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

PREFIX = "dermserve-"
OWNER = "owner"


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
