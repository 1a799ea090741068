"""Fetch MODEL_URL into the folder given, and keep it only if its SHA-256 is MODEL_SHA256."""

from __future__ import annotations

import hashlib
import os
import sys
import urllib.request
from http.client import HTTPException
from pathlib import Path

CHUNK = 1 << 20


def fetch(url: str, wanted: str, folder: Path) -> str:
    """Write lesion.mar and its .sha256, and return the hash; a wrong archive never gets its final name."""
    target = folder / "lesion.mar"
    partial = folder / "lesion.mar.partial"
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(url, timeout=60) as source, partial.open("wb") as sink:
            while chunk := source.read(CHUNK):
                digest.update(chunk)
                sink.write(chunk)
    except (OSError, HTTPException, ValueError) as error:
        partial.unlink(missing_ok=True)
        sys.exit(f"{url} cannot be fetched: {error}")
    found = digest.hexdigest()
    if found != wanted.lower():
        size = partial.stat().st_size
        partial.unlink()
        sys.exit(f"{url} has the SHA-256 {found} ({size} bytes), not {wanted}: check MODEL_URL and MODEL_SHA256")
    partial.replace(target)
    target.with_name("lesion.mar.sha256").write_text(f"{found}  {target.name}\n", encoding="utf-8")
    return found


if __name__ == "__main__":
    print(fetch(os.environ["MODEL_URL"], os.environ["MODEL_SHA256"], Path(sys.argv[1])))
