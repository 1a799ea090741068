"""What can be wrong with a dataset folder; each message says what was found, how often, and what was expected."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from handler.errors import Rejection

SHOWN = 5
ALLOW_MISSING = "--data.allow_missing true (fit) or --allow-missing (bundle, evaluate)"


class DatasetError(ValueError):
    """A dataset folder that cannot be trained on as it is."""


class UnknownLayout(DatasetError):
    """The folder looks like none of the published layouts."""


class MissingFiles(DatasetError):
    """Files that the layout promises are not there."""


class MissingColumns(DatasetError):
    """A table lacks columns that its publisher gives it."""


class UnknownValues(DatasetError):
    """A column holds classes or values that its publisher does not define."""


class UnreadableImages(DatasetError):
    """Images that do not decode, all of them at once."""

    def __init__(self, reasons: dict[str, str], total: int) -> None:
        self.reasons = reasons
        lines = "\n".join(f"  {path}: {reason}" for path, reason in reasons.items())
        super().__init__(
            f"{len(reasons)} of {total} images cannot be read:\n{lines}\n"
            "Download them again, or remove their rows from the metadata."
        )


def fault(rejection: Rejection) -> str:
    """What is wrong with a file, for somebody who has it on disk and sends it to nobody."""
    plain = {
        "empty_body": "the file is empty",
        "not_an_image": "no JPEG, PNG, BMP, TIFF or WebP file",
        "truncated_image": "the file is damaged or incomplete",
    }
    return plain.get(rejection.reason) or rejection.message.partition(". ")[0]


def shortened(values: Iterable[object]) -> str:
    """The first few values, and how many more there are."""
    names = [str(value) for value in values]
    rest = f", ... and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + rest


def require_file(folder: Path, names: Sequence[str]) -> Path:
    """The first of these names that the folder holds; MissingFiles when it holds none."""
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise MissingFiles(f"{folder}: expected {' or '.join(names)}, found {contents(folder)}.")


def contents(folder: Path) -> str:
    """What a folder holds, in a few words."""
    if not folder.is_dir():
        return "no such folder"
    return shortened(sorted(entry.name for entry in folder.iterdir())) or "an empty folder"
