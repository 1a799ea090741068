"""Pixels decoded once: a memory-mapped array on disk, keyed by the images, their crop and the code that decodes."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import PIL
from numpy.typing import NDArray
from tqdm import tqdm  # type: ignore[import-untyped]

import handler
from handler.decode import Limits, decode
from handler.errors import Rejection
from handler.geometry import Geometry
from lightning_module.datasets.errors import UnreadableImages, fault
from lightning_module.datasets.table import Table

CHUNK = 256
SOURCES = Path(handler.__file__).parent
LIMITS = Limits(max_bytes=2**30, max_pixels=178_000_000, min_side=1)

Pixels = NDArray[np.uint8]


def content(table: Table) -> str:
    """Changes with any image's bytes and with their order; not with where the folder lies."""
    digest = hashlib.sha256()
    for row in range(len(table)):
        digest.update(hashlib.sha256(table.image_bytes(row)).digest())
    return digest.hexdigest()


def decoder() -> str:
    """Changes with the code that decodes and crops: pixels of older code are not those that serving would see."""
    digest = hashlib.sha256(PIL.__version__.encode())
    for source in sorted(SOURCES.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def build(table: Table, geometry: Geometry, folder: Path, known_content: str | None = None) -> Pixels:
    """The images as a read-only array [N, size, size, 3]; built where it is not yet, continued where it was cut off.

    `known_content` saves reading every file once more. UnreadableImages names every image that cannot be decoded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    crop = f"{geometry.crop:.6g}".replace(".", "_")
    name = f"{(known_content or content(table))[:32]}-{geometry.size}-{crop}-{decoder()[:16]}"
    path = folder / f"{name}.npy"
    with _alone(folder / ".lock"):
        pixels = _kept(path, "r")
        if pixels is None:
            partial, marker = folder / f"{name}.partial", folder / f"{name}.rows"
            _fill(table, geometry, partial, marker)
            marker.unlink()
            partial.replace(path)
            pixels = np.load(path, mmap_mode="r")
    return pixels


def _kept(path: Path, mode: Literal["r", "r+"]) -> np.memmap[Any, np.dtype[np.uint8]] | None:
    """An array that an earlier run left, unless a crash or a full disk damaged it."""
    try:
        return np.load(path, mmap_mode=mode)  # type: ignore[no-any-return]
    except (FileNotFoundError, EOFError, ValueError):
        return None


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Of several processes that train together, one decodes and the others wait; a killed one lets go."""
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _fill(table: Table, geometry: Geometry, partial: Path, marker: Path) -> None:
    shape = (len(table), geometry.size, geometry.size, 3)
    done = _rows(marker)
    pixels = _kept(partial, "r+") if done else None
    if pixels is None:
        done = 0
        pixels = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape)
    try:
        _reserve(partial)
    except OSError:
        if not done:
            partial.unlink()
        raise
    unreadable: dict[str, str] = {}

    def fill_row(row: int) -> None:
        try:
            pixels[row] = geometry.apply(decode(table.image_bytes(row), LIMITS, geometry.target))
        except Rejection as error:
            unreadable[str(table.frame["path"].iat[row])] = fault(error)

    bar = tqdm(total=len(table), initial=done, unit="img", desc=f"decoding to {geometry.size} px")
    with bar, ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for rows in _chunks(done, len(table)):
            list(pool.map(fill_row, rows))
            bar.update(len(rows))
            if not unreadable:
                pixels.flush()
                _write_atomically(marker, str(rows.stop))
    if unreadable:
        raise UnreadableImages(unreadable, len(table))


def _rows(marker: Path) -> int:
    try:
        return int(marker.read_text())
    except (FileNotFoundError, ValueError):
        return 0


def _reserve(file: Path) -> None:
    """Take the file's room on disk now: a full disk that a mapped write meets is a SIGBUS, which no one can catch."""
    if not hasattr(os, "posix_fallocate"):  # as on macOS
        return
    size = file.stat().st_size
    try:
        with file.open("r+b") as opened:
            os.posix_fallocate(opened.fileno(), 0, size)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EOPNOTSUPP):
            return
        what = f"{error.strerror} for {size / 1e6:.0f} MB of decoded images; make room or set data.cache_folder"
        raise OSError(error.errno, what, str(file.parent)) from None


def _chunks(start: int, stop: int) -> Iterator[range]:
    for first in range(start, stop, CHUNK):
        yield range(first, min(first + CHUNK, stop))


def _write_atomically(path: Path, text: str) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(text)
    draft.replace(path)
