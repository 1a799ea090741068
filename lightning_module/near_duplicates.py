"""Images that look the same and yet lie in different parts of a split: the leak that no id betrays.

python -m lightning_module near_duplicates data/ham10000
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn

from handler.decode import decode
from handler.errors import Rejection
from lightning_module.cache import LIMITS
from lightning_module.datasets import DatasetError, Table, UnreadableImages, load
from lightning_module.datasets.errors import fault
from lightning_module.settings import UnfitSetting
from lightning_module.splits import Split, grouped

Array = NDArray[np.float32]
SIDE = 32
CORNER = 16
BITS = CORNER * CORNER - 1
MOST_BITS = 48
LEAST_CORRELATION = 0.97
"""Hashes within these bits propose a pair and the thumbnails' correlation confirms it: dark corners alone look alike.
Of HAM10000's 50 million pairs of different lesions 1 passes, of its 3,207 pairs of one lesion, mostly retakes, 118."""
REACH = "This finds copies, not retakes: of HAM10000's 3,207 pairs of images of one lesion it finds 118."
CHUNK = 2048


@dataclass(frozen=True)
class Pair:
    """Two images, by row and path, in two parts of a split, whose hashes differ in `bits` of 255."""

    parts: tuple[str, str]
    rows: tuple[int, int]
    paths: tuple[str, str]
    bits: int


def find(table: Table, split: Split) -> list[Pair]:
    """Every pair of images in different parts that look alike, mirrored or turned ones too; the closest first."""
    parts = {name: rows for name, rows in split.parts().items() if len(rows)}
    grey = {name: _thumbnails(table, rows) for name, rows in parts.items()}
    paths = table.frame["path"].tolist()
    closest: dict[tuple[int, int], Pair] = {}
    for first, second in combinations(parts, 2):
        upright = _signs(grey[first])
        for turned in _orientations(grey[second]):
            for i, j, bits in _alike(upright, _signs(turned), MOST_BITS):
                if _correlation(grey[first][i], turned[j]) < LEAST_CORRELATION:
                    continue
                rows = int(parts[first][i]), int(parts[second][j])
                if rows not in closest or bits < closest[rows].bits:
                    closest[rows] = Pair((first, second), rows, (paths[rows[0]], paths[rows[1]]), bits)
    return sorted(closest.values(), key=lambda pair: (pair.bits, pair.rows))


def report(pairs: Sequence[Pair], limit: int = 20) -> str:
    """The findings as text: a count, and the closest pairs."""
    if not pairs:
        return "No near-duplicates across the parts of the split."
    lines = [f"{len(pairs)} near-duplicates across the parts of the split; differing bits of {BITS}, then the images:"]
    lines += [
        f"  {pair.bits:3d}  {pair.parts[0]} {pair.paths[0]}  {pair.parts[1]} {pair.paths[1]}" for pair in pairs[:limit]
    ]
    if len(pairs) > limit:
        lines.append(f"  ... and {len(pairs) - limit} more")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Reports the near-duplicates across the default split of a dataset folder."""
    parser = argparse.ArgumentParser(prog="python -m lightning_module near_duplicates", description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--layout", default="auto")
    parser.add_argument("--allow-missing", action="store_true")
    parser.add_argument("--seed", type=int, default=0, help="of the split")
    options = parser.parse_args(argv)
    try:
        table = load(options.folder, options.layout, options.allow_missing)
        print(report(find(table, grouped(table, seed=options.seed))))
    except (DatasetError, UnfitSetting) as error:
        sys.exit(str(error))


def _thumbnails(table: Table, rows: NDArray[np.int64]) -> Array:
    thumbnails: list[Array] = []
    unreadable: dict[str, str] = {}
    for row in rows:
        try:
            thumbnails.append(_grey(decode(table.image_bytes(int(row)), LIMITS, target=2 * SIDE)))
        except Rejection as error:
            unreadable[str(table.frame["path"].iat[row])] = fault(error)
    if unreadable:
        raise UnreadableImages(unreadable, len(rows))
    return np.stack(thumbnails)


def _grey(image: Image.Image) -> Array:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    return np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX, box=box), dtype=np.float32)


def _signs(grey: Array) -> Array:
    """Of each image 255, 1 or -1, of its lowest frequencies: stable under resizing and re-encoding."""
    # The first coefficient is the mean brightness, which says nothing about the picture.
    waves = dctn(grey, axes=(-2, -1))[:, :CORNER, :CORNER].reshape(len(grey), -1)[:, 1:]
    return np.where(waves > np.median(waves, axis=1, keepdims=True), 1, -1).astype(np.float32)


def _orientations(grey: Array) -> Iterator[Array]:
    for turns in range(4):
        turned = np.rot90(grey, turns, axes=(1, 2))
        yield turned
        yield turned[:, :, ::-1]


def _alike(first: Array, second: Array, most_bits: int) -> Iterator[tuple[int, int, int]]:
    for start in range(0, len(first), CHUNK):
        agreement = first[start : start + CHUNK] @ second.T
        for i, j in np.argwhere(agreement >= BITS - 2 * most_bits):
            yield start + int(i), int(j), round((BITS - float(agreement[i, j])) / 2)


def _correlation(first: Array, second: Array) -> float:
    first, second = first - first.mean(), second - second.mean()
    norms = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float((first * second).sum()) / norms if norms else 1.0
