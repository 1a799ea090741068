"""Evaluates a bundle on a dataset, through the predictor that serves it, and writes a report that opens from disk.

python -m lightning_module evaluate --bundle bundles/lesion --data data/ham10000 --output reports/lesion
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from handler.bundle import Bundle
from handler.errors import BackendError, BundleError
from handler.manifest import DataFingerprint, Manifest
from handler.notice import NOTICE
from lightning_module import acquaintance, datasets, document, near_duplicates, options, robustness
from lightning_module.checkpoint import CheckpointError, again
from lightning_module.evaluation import Evaluation, RefusedImages, evaluate
from lightning_module.metrics import NAMES
from lightning_module.options import PLAINLY, Reading
from lightning_module.report import Report, compose
from lightning_module.splits import Split

PARTS = ("test", "val", "train", "all")
SHOWN = 5


def main(argv: Sequence[str] | None = None) -> int:
    """The command `evaluate`; 0 when the report is written."""
    chosen = _options(argv)
    try:
        chosen.output.mkdir(parents=True, exist_ok=True)
        evaluation, report = run(
            chosen.bundle,
            chosen.data,
            split=chosen.split,
            reading=options.reading(chosen),
            originals=chosen.originals,
            replicates=chosen.replicates,
            threads=chosen.threads,
        )
    except (BundleError, BackendError, CheckpointError, RefusedImages, ValueError, OSError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 1
    document.write(evaluation, report, chosen.output)
    print(summary(report))
    print(f"report: {chosen.output / 'report.html'}")
    return 0


def run(
    bundle: Path,
    data: Path,
    *,
    split: str = "test",
    reading: Reading = PLAINLY,
    originals: Path | None = None,
    replicates: int = 1000,
    threads: int = 2,
    served_only: bool = False,
) -> tuple[Evaluation, Report]:
    """Evaluate one part of a dataset; `originals` is a folder of full-size images for the resolution test."""
    manifest = Bundle.load(bundle).manifest
    if split != "all":
        reading = reading.completed(manifest.report.get("reading", {}))
    table = reading.table(data)
    fingerprint = table.fingerprint()
    made = None if split == "all" else made_with(manifest, table, fingerprint, split)
    rows = made.parts()[split] if made else np.arange(len(table))
    malignant = int(table.frame["malignant"].iloc[rows].sum())
    if malignant in (0, len(rows)):
        raise ValueError(
            f"of the {len(rows)} images that --split {split} chooses, {malignant} are malignant: a report needs benign "
            "and malignant ones, so give other data or another split"
        )
    evaluation = evaluate(bundle, table, rows, threads=threads, served_only=served_only)
    trained = acquaintance.names(table, made.train) if made else None
    resized = robustness.measure(bundle, robustness.originals(originals), threads, trained) if originals else None
    pairs = near_duplicates.find(table, made) if made else None
    return evaluation, compose(evaluation, fingerprint, split, resized, replicates, pairs)


def made_with(manifest: Manifest, table: datasets.Table, found: DataFingerprint, split: str) -> Split:
    """The split that the bundle was made with; ValueError where this data has none."""
    if found.sha256 != manifest.data.sha256:
        raise ValueError(
            f"{table.root} ({found.name}, {found.rows} rows) is not the data that the bundle was trained on "
            f"({manifest.data.name}, {manifest.data.rows} rows), so it has no {split} split: give --split all"
        )
    made = manifest.report.get("split")
    if not made:
        raise ValueError("the bundle does not tell how its data was split: give --split all")
    return again(table, made["settings"], made["images"], made.get("digests", {}))


def summary(report: Report) -> str:
    """The report in a few lines."""
    lines = [
        f"{report.data.name}, {report.split}: {report.images} images{report.of_groups}, "
        f"{report.malignant} malignant; {report.served}, threshold {report.threshold}",
        *(f"  {label:38} {report.metrics[name].text()}" for name, label in NAMES.items()),
        f"  {'Abstained':38} {document.percent(report.abstention.share)}",
    ]
    for row in report.precisions:
        lines.append(
            f"  {row.precision:5} AUC {row.metrics['auroc'].text(4)}, change from fp32 {row.auroc_change.text(4)}, "
            f"largest change of a probability {row.largest_change:.4f}, {row.images_per_second:.0f} images/s"
        )
    if report.robustness:
        lines.append(f"  resized to {', '.join(report.robustness.sizes)}: median change {report.robustness.median:.4f}")
    if report.near_duplicates is not None:
        lines.append(near_duplicates.report(report.near_duplicates, SHOWN))
    return "\n".join([*lines, NOTICE])


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    described = __doc__.splitlines()[0]
    parser = options.parser("evaluate", described, "dataset folder as published", Path("reports/lesion"))
    parser.add_argument("--bundle", type=Path, required=True, help="folder that holds bundle.json, or an archive of it")
    parser.add_argument("--split", choices=PARTS, default="test", help="all: for data that was not trained on")
    parser.add_argument("--threads", type=int, default=2, help="threads of the predictor (default: %(default)s)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
