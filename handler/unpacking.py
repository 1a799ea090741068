"""Takes the bundle out of a TorchServe archive: its manifest and the files that the manifest names, nothing else."""

from __future__ import annotations

import json
import shutil
import zipfile
import zlib
from pathlib import Path

from handler.errors import BundleError

FOLDER = "bundle"
MOST_BYTES = 4 * 2**30
# It is parsed whole. One with a thousand golden images has a tenth of this.
LARGEST_MANIFEST = 4 * 2**20


def unpack(archive: Path, folder: Path, manifest: str) -> None:
    """Writes the bundle of `archive` into `folder`; BundleError where it holds none. Its files are not yet verified."""
    try:
        with zipfile.ZipFile(archive) as opened:
            if opened.getinfo(f"{FOLDER}/{manifest}").file_size > LARGEST_MANIFEST:
                raise BundleError(
                    f"{archive} holds more than {LARGEST_MANIFEST // 2**20} MiB of {manifest}: make it again"
                )
            named = json.loads(opened.read(f"{FOLDER}/{manifest}"))["files"]
            entries = [opened.getinfo(f"{FOLDER}/{name}") for name in (manifest, *named)]
            if sum(entry.file_size for entry in entries) > MOST_BYTES:
                raise BundleError(f"{archive} holds more than {MOST_BYTES // 2**30} GiB: no bundle is so large")
            for entry in entries:
                _write(opened, entry, folder)
    except OSError as error:
        raise BundleError(f"{archive} cannot be unpacked ({error.strerror}): free the disk, or unpack it") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, TypeError, ValueError, RuntimeError):
        raise BundleError(f"{archive} is no archive of a bundle, or is damaged: make it again") from None


def _write(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path) -> None:
    target = (folder / entry.filename.removeprefix(f"{FOLDER}/")).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise ValueError(f"{entry.filename} lies outside")
    target.parent.mkdir(parents=True, exist_ok=True)
    with opened.open(entry) as source, target.open("wb") as stream:
        shutil.copyfileobj(source, stream)
