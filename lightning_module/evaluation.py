"""A bundle's answers to a table of images, given by the predictor that serves it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from handler.bundle import Bundle
from handler.decision import calibrate
from handler.manifest import Manifest, Precision
from handler.predictor import Prediction, Predictor
from lightning_module.datasets import Table
from lightning_module.datasets.errors import fault
from lightning_module.metrics import Scores
from lightning_module.splits import Rows, group_ids

CHUNK = 64


@dataclass(frozen=True)
class Evaluation:
    """What a bundle said about some rows of a table, in each precision; `predictions` are the served answers."""

    manifest: Manifest
    sha256: str
    frame: pd.DataFrame
    table: Table
    rows: Rows
    served: Precision
    logits: dict[Precision, NDArray[np.float32]]
    predictions: list[Prediction]
    images_per_second: dict[Precision, float]

    def scores(self, precision: Precision | None = None) -> Scores:
        """Truth, calibrated probability and group of every row, abstained or not."""
        probability = probabilities(self.manifest, self.logits[precision or self.served])
        truth = self.frame["malignant"].to_numpy(dtype=bool)
        return Scores(truth, probability, group_ids(self.frame).astype(str))

    @property
    def answered(self) -> NDArray[np.bool_]:
        """Which rows got a probability; the rest were abstained from."""
        return np.array([prediction.label != "abstain" for prediction in self.predictions])


class RefusedImages(ValueError):
    """Images that the predictor would not take, all of them at once."""

    def __init__(self, reasons: dict[int, str], names: Sequence[str] | None = None) -> None:
        self.reasons = reasons
        lines = "\n".join(f"  {names[row] if names else f'image {row}'}: {why}" for row, why in reasons.items())
        super().__init__(f"{len(reasons)} images are refused by the predictor:\n{lines}\nRepair or remove them.")


def evaluate(folder: str | Path, table: Table, rows: Rows, threads: int = 2, served_only: bool = False) -> Evaluation:
    """Run the served precision and, unless told not to, all others over the rows; RefusedImages if it refuses any."""
    bundle = Bundle.load(folder)
    served = bundle.manifest.preferred or "fp32"
    logits: dict[Precision, NDArray[np.float32]] = {}
    speed: dict[Precision, float] = {}
    predictions: list[Prediction] = []
    for precision in [served] if served_only else bundle.manifest.backends:
        predictor = Predictor.load(folder, backend=precision, threads=threads)
        if precision == served:
            try:
                predictions = answers(predictor, _chunks(table, rows))
            except RefusedImages as error:
                raise RefusedImages(error.reasons, [str(path) for path in table.frame["path"].iloc[rows]]) from None
        start = time.perf_counter()
        logits[precision] = np.concatenate([predictor.logits(items) for items in _chunks(table, rows)])
        speed[precision] = len(rows) / (time.perf_counter() - start)
    frame = table.frame.iloc[rows].reset_index(drop=True)
    return Evaluation(bundle.manifest, bundle.sha256, frame, table, rows, served, logits, predictions, speed)


def probabilities(manifest: Manifest, logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """The calibrated probability of malignancy, as served."""
    return calibrate(manifest, logits).malignant


def answers(predictor: Predictor, chunks: Iterable[list[bytes]]) -> list[Prediction]:
    """The served answer to every image; RefusedImages if there is none to some."""
    found = [answer for items in chunks for answer in predictor.predict(items)]
    refused = {row: fault(answer) for row, answer in enumerate(found) if not isinstance(answer, Prediction)}
    if refused:
        raise RefusedImages(refused)
    return [answer for answer in found if isinstance(answer, Prediction)]


def chunks(items: Sequence[bytes]) -> list[list[bytes]]:
    """The items in portions that the predictor takes at once."""
    return [list(items[start : start + CHUNK]) for start in range(0, len(items), CHUNK)]


def _chunks(table: Table, rows: Rows) -> Iterator[list[bytes]]:
    for start in range(0, len(rows), CHUNK):
        yield [table.image_bytes(int(row)) for row in rows[start : start + CHUNK]]
