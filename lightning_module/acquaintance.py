"""What the model had to do with the images of a report before."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from lightning_module.datasets import Table
from lightning_module.report import GROUPS, Report
from lightning_module.splits import Rows

STRANGE = "Another dataset than the model's; whether it shares images with the training data was not checked."
KNOWN = {
    "train": "The model was trained on these images.",
    "val": "Epoch, temperature, thresholds and limits were chosen on these images.",
    "all": "These include the images that the model was trained on.",
}
UNSEEN = {
    "patients": "No patient of it was trained on.",
    "lesions": "No lesion of it was trained on.",
    GROUPS: "No lesion or patient that it names was trained on.",
    "images": "None of these images was trained on; whether others of the same lesions were is not told by the data.",
}


@dataclass(frozen=True)
class Elsewhere:
    """The report on another dataset, how many of its images bear the name of a training image, and its one size."""

    report: Report
    namesakes: int
    size: tuple[int, int] | None


def told(report: Report) -> str:
    """What is known of it, in a sentence."""
    if report.external:
        return STRANGE
    return KNOWN.get(report.split) or UNSEEN[report.grouped_by]


def names(table: Table, rows: Rows) -> set[str]:
    """The names of the rows' images, without folder and suffix."""
    return {Path(path).stem for path in table.frame["path"].iloc[rows]}


def only_size(table: Table) -> tuple[int, int] | None:
    """Width and height, where all images share them."""
    found = set()
    for row in range(len(table)):
        with Image.open(io.BytesIO(table.image_bytes(row))) as image:
            found.add(image.size)
    return found.pop() if len(found) == 1 else None
