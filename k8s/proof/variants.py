"""Two more archives for the proof: python -m k8s.proof.variants model_store/lesion.mar FOLDER.

`next` is the same model under another version, so that an update to it can be told from the answers; `bad` names golden
logits that its weights do not give, so that its own workers refuse to serve it.
"""

from __future__ import annotations

import argparse
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from handler.bundle import digest
from handler.seal import FIELD, sealed

MANIFEST = "bundle/bundle.json"


def make_next(manifest: dict[str, Any]) -> None:
    """Another version of it."""
    manifest["version"] += "-next"


def make_bad(manifest: dict[str, Any]) -> None:
    """One that does not compute what it says."""
    for golden in manifest["golden"]:
        golden["logits"] = [value + 100 for value in golden["logits"]]


VARIANTS: dict[str, Callable[[dict[str, Any]], None]] = {"next": make_next, "bad": make_bad}


def write(archive: Path, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of the archive with its manifest changed, and the .sha256 file that belongs beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / archive.name
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(copy, "w") as target:
        for entry in source.infolist():
            content = source.read(entry)
            if entry.filename == MANIFEST:
                manifest = json.loads(content)
                change(manifest)
                content = json.dumps(sealed(manifest) if FIELD in manifest else manifest).encode()
            target.writestr(entry, content)
    copy.with_name(copy.name + ".sha256").write_text(f"{digest(copy)}  {copy.name}\n", encoding="utf-8")
    return copy


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    for name, change in VARIANTS.items():
        print(write(arguments.archive, arguments.folder / name, change))
