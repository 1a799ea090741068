"""Downloads images and metadata from the ISIC Archive with its own client, isic-cli (the optional extra `download`)."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx

ARCHIVE = "https://api.isic-archive.com/api/v2/"
ABSENT = (
    "The ISIC Archive's client is not installed: pip install -e '.[download]' in a checkout brings the command `isic`. "
    "It needs a network; without one, draw a dataset with `python -m lightning_module synthesize`."
)


def main(argv: Sequence[str] | None = None) -> None:
    """The command `download`: what it fetches, `--data.folder` reads as it is (layout isic_archive)."""
    parser = argparse.ArgumentParser(prog="python -m lightning_module download", description=__doc__)
    parser.add_argument("folder", type=Path, help="where images and metadata.csv go")
    parser.add_argument(
        "--collections", default="", help="comma-separated ids, 70 is ISIC 2020; see `isic collection list`"
    )
    parser.add_argument(
        "--search", default="", help="""a query of the archive, such as 'diagnosis_3:"Melanoma Invasive"'"""
    )
    parser.add_argument("--limit", type=int, default=0, help="at most so many images (default: all)")
    options = parser.parse_args(argv)
    if not options.collections and not options.search:
        parser.error("give --collections or --search; the whole archive holds hundreds of thousands of images.")
    client = shutil.which("isic", path=str(Path(sys.executable).parent)) or shutil.which("isic")
    if client is None:
        sys.exit(ABSENT)
    _reach()
    command = [client, "image", "download", "--limit", str(options.limit)]
    for name in ("collections", "search"):
        if value := getattr(options, name):
            command += [f"--{name}", value]
    before = _written(options.folder)
    status = subprocess.run([*command, str(options.folder)], check=False).returncode
    # The client ends with 0 where it has shown an error of its own; the table is the last thing that it writes.
    if status or _written(options.folder) == before:
        sys.exit(
            f"isic ended with status {status} before all was there; "
            "run the command again, what is already there is kept."
        )


def _reach() -> None:
    """Without a network the client tries again for half an hour and says nothing."""
    try:
        httpx.head(ARCHIVE, timeout=15)
    except httpx.TransportError as error:
        sys.exit(
            f"{httpx.URL(ARCHIVE).host} cannot be reached ({error}). A download needs a network; "
            "without one, draw a dataset with `python -m lightning_module synthesize`."
        )


def _written(folder: Path) -> int | None:
    table = folder / "metadata.csv"
    return table.stat().st_mtime_ns if table.exists() else None


if __name__ == "__main__":
    main()
