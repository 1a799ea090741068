"""What the commands `bundle`, `describe` and `evaluate` all ask for: which data, how it is read and measured."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_module import datasets
from lightning_module.settings import positive


@dataclass(frozen=True)
class Reading:
    """How a dataset folder is read, where its files alone do not tell."""

    layout: str = "auto"
    metadata: Path | None = None
    malignant: Sequence[str] | None = None
    allow_missing: bool = False

    def table(self, folder: Path) -> datasets.Table:
        """The table of the folder."""
        return datasets.load(folder, self.layout, self.allow_missing, self.metadata, self.malignant)

    def record(self) -> dict[str, Any]:
        """What a checkpoint and a bundle tell of it: all but where the files of one machine lie."""
        malignant = None if self.malignant is None else list(self.malignant)
        return {"malignant": malignant, "allow_missing": self.allow_missing}

    def completed(self, record: Mapping[str, Any]) -> Reading:
        """What is not given here is as recorded at the training."""
        malignant = record.get("malignant") if self.malignant is None else self.malignant
        allow_missing = self.allow_missing or bool(record.get("allow_missing"))
        return Reading(self.layout, self.metadata, malignant, allow_missing)


PLAINLY = Reading()
"""As it lies there."""


def parser(command: str, summary: str, data: str, output: Path) -> argparse.ArgumentParser:
    """The parser of a command, with the options that all of them have; `data` says which folder is meant."""
    made = argparse.ArgumentParser(prog=f"python -m lightning_module {command}", description=summary)
    made.add_argument("--data", type=Path, required=True, help=data)
    made.add_argument("--layout", default="auto", help="default: recognised by its files")
    made.add_argument("--metadata", type=Path, help="the data's table, where it lies apart from the images")
    made.add_argument(
        "--malignant", nargs="+", metavar="CLASS", help="malignant classes of plain folders (default: as trained)"
    )
    made.add_argument("--allow-missing", action="store_true", help="drop rows whose image is missing, and count them")
    made.add_argument("--output", type=Path, default=output, help="default: %(default)s")
    made.add_argument("--originals", type=Path, help="folder of images of 600x450 or more, for the resolution test")
    made.add_argument("--replicates", type=positive, default=1000, help="bootstrap replicates (default: %(default)s)")
    return made


def reading(chosen: argparse.Namespace) -> Reading:
    """How the parsed options want the data read."""
    return Reading(chosen.layout, chosen.metadata, chosen.malignant, chosen.allow_missing)
