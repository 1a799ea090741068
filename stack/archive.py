"""The model archive as the stack sees it: a zip file with a checksum beside it and golden images inside."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

from stack.problem import BadArchive

BUNDLE = "bundle"


def verify(path: Path) -> str:
    """Compares the archive with the .sha256 file beside it and returns the hash; raises BadArchive."""
    checksum = path.with_name(path.name + ".sha256")
    if not path.is_file():
        raise BadArchive(f"{path} is missing: make archive, or set DERMSERVE_MODEL_STORE to the folder that has it")
    if not checksum.is_file():
        raise BadArchive(f"{checksum} is missing, so the archive cannot be trusted: get both again, or make archive")
    expected = (checksum.read_text(encoding="utf-8", errors="replace").split() or [""])[0].lower()
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != expected:
        raise BadArchive(f"{path} is not the file that {checksum.name} describes (sha256 differs): get both again")
    return found


def manifest(path: Path) -> dict[str, Any]:
    """The bundle's manifest; raises BadArchive where there is none that can be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            told: dict[str, Any] = json.loads(archive.read(f"{BUNDLE}/bundle.json"))
            return told
    except (OSError, zipfile.BadZipFile, KeyError, ValueError):
        raise BadArchive(f"{path} is no archive of this project: make archive") from None


def golden_image(path: Path) -> bytes:
    """An image that the archive brings along, to ask a real question with."""
    images = [golden["file"] for golden in manifest(path).get("golden", [])]
    if not images:
        raise BadArchive(f"{path} brings no golden image: make bundle, then make archive")
    with zipfile.ZipFile(path) as archive:
        return archive.read(f"{BUNDLE}/{images[0]}")
