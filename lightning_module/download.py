"""Downloads images and metadata from the ISIC Archive with its own client, isic-cli (the optional extra `download`)."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ABSENT = (
    "The ISIC Archive's client is not installed: pip install 'dermserve[download]' brings the command `isic`. "
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
    command = [client, "image", "download", "--limit", str(options.limit)]
    for name in ("collections", "search"):
        if value := getattr(options, name):
            command += [f"--{name}", value]
    status = subprocess.run([*command, str(options.folder)], check=False).returncode
    if status:
        sys.exit(f"isic ended with status {status}; run the command again, what is already there is kept.")


if __name__ == "__main__":
    main()
