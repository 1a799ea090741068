"""The contract between training and serving: a folder that holds all that a worker needs, and vouches for it."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import weakref
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from handler.errors import BundleError
from handler.manifest import Manifest
from handler.seal import FIELD, sealed
from handler.unpacking import unpack

MANIFEST = "bundle.json"
WEIGHTS = "weights.safetensors"
GRAPH_CONSTANTS = "openvino.constants"
"""The one tensor in it that is no weight: what a graph needs besides, such as its normalisation."""
CARD = "MODEL_CARD.md"


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk whose manifest has been validated."""

    manifest: Manifest
    folder: Path

    @classmethod
    def load(cls, source: str | Path, verify: bool = True) -> Bundle:
        """Reads the manifest and, unless told not to, compares the sha256 of every file with it.

        `source` is the bundle's folder, or an archive (.mar) that holds one, unpacked for as long as it is used.
        """
        source = Path(source)
        if not source.exists():
            raise BundleError(f"{source} does not exist: name a bundle's folder or an archive of one (.mar)")
        if not source.is_file():
            return cls._read(source, verify)
        folder = Path(tempfile.mkdtemp(prefix="bundle-"))
        try:
            unpack(source, folder, MANIFEST)
            bundle = cls._read(folder, verify)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        weakref.finalize(bundle, shutil.rmtree, folder, ignore_errors=True)
        return bundle

    @classmethod
    def _read(cls, folder: Path, verify: bool) -> Bundle:
        try:
            content = (folder / MANIFEST).read_bytes()
            manifest = Manifest.model_validate_json(content)
        except OSError as error:
            raise BundleError(f"{folder / MANIFEST} cannot be read ({error.strerror}): make the bundle again") from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "manifest"
            raise BundleError(
                f"{folder / MANIFEST} is not valid: {where}: {first['msg']}; make the bundle again"
            ) from None
        if sealed(json.loads(content))[FIELD] != manifest.seal:
            raise BundleError(
                f"{folder / MANIFEST} was edited since it was made (its seal differs): restore the bundle"
            )
        bundle = cls(manifest, folder)
        if verify:
            bundle.verify()
        return bundle

    @cached_property
    def sha256(self) -> str:
        """The bundle's identity: the manifest's hash, which covers the hash of every other file."""
        return digest(self.folder / MANIFEST)

    def path(self, name: str) -> Path:
        """A file of the bundle; one that the manifest does not vouch for is refused."""
        if name not in self.manifest.files:
            raise BundleError(f"{self.folder / name} is not listed in {MANIFEST}: make the bundle again")
        return self.folder / name

    def verify(self) -> None:
        """Raises BundleError at the first file that is missing or is not the one the manifest describes."""
        for name, expected in self.manifest.files.items():
            path = self.folder / name
            try:
                found = digest(path)
            except OSError as error:
                raise BundleError(f"{path} cannot be read ({error.strerror}): restore the file or the bundle") from None
            if found != expected:
                raise BundleError(
                    f"{path} is not the file that {MANIFEST} describes (sha256 differs): restore the bundle"
                )


def digest(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
