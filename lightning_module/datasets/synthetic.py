"""A drawn dataset in any published layout, for tests and for people without data."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lightning_module.datasets.provenance import MARK, MARKER
from lightning_module.datasets.publishing import PUBLISHERS, Record
from lightning_module.datasets.rendering import lesion_jpeg
from lightning_module.settings import positive

SITES = ("back", "trunk", "lower extremity", "upper extremity", "face")
SIZE = (200, 150)


def render(
    folder: str | Path, count: int, seed: int = 0, layout: str = "ham10000", size: tuple[int, int] = SIZE
) -> Path:
    """Writes `count` images of `size` (width, height) and their table; the same seed gives the same bytes.

    About a quarter of the images repeat a lesion, a patient has two lesions on average, classes come equally often.
    """
    if layout not in PUBLISHERS:
        raise ValueError(f"Unknown layout {layout!r}. Known: {', '.join(PUBLISHERS)}.")
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; give a new folder.")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).write_text(MARK, encoding="utf-8")
    publisher = PUBLISHERS[layout]
    publisher.write(folder, _records(publisher.looks, count, seed, size))
    return folder


def main(argv: Sequence[str] | None = None) -> None:
    """The command `synthesize`."""
    parser = argparse.ArgumentParser(prog="python -m lightning_module synthesize", description=__doc__)
    parser.add_argument("folder", type=Path, help="a new or empty folder")
    parser.add_argument("--count", type=positive, default=500, help="images (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--layout", choices=list(PUBLISHERS), default="ham10000")
    parser.add_argument("--size", type=int, nargs=2, default=SIZE, metavar=("WIDTH", "HEIGHT"))
    options = parser.parse_args(argv)
    try:
        render(options.folder, options.count, options.seed, options.layout, tuple(options.size))
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print(f"Wrote {options.count} drawn images to {options.folder} in the layout {options.layout}.")


def _records(looks: dict[str, str], count: int, seed: int, size: tuple[int, int]) -> list[Record]:
    rng = np.random.default_rng(seed)
    labels = list(looks)
    lesions = _repeats(count, 0.25, rng)
    patients = _repeats(lesions[-1] + 1 if count else 0, 0.5, rng)
    people = [(int(rng.integers(4, 17)) * 5, ("female", "male")[int(rng.integers(2))]) for _ in range(count)]
    records = []
    for number, lesion in enumerate(lesions):
        label = labels[lesion % len(labels)]
        patient = patients[lesion]
        age, sex = people[patient]
        site = SITES[int(np.random.default_rng((seed, lesion, 1)).integers(len(SITES)))]
        lesion_seed = int(np.random.default_rng((seed, lesion)).integers(2**31))
        view_seed = int(np.random.default_rng((seed, number, 2)).integers(2**31))
        jpeg = lesion_jpeg(looks[label], lesion_seed, view_seed, size)
        records.append(Record(number, label, lesion, patient, age, sex, site, jpeg))
    return records


def _repeats(count: int, share: float, rng: np.random.Generator) -> list[int]:
    """Owners 0, 1, 2, ... of `count` things; by this share a thing has the same owner as the one before it."""
    return np.cumsum(np.r_[0, rng.random(max(count - 1, 0)) >= share])[:count].tolist() if count else []
