"""Evaluates a bundle on held-out images and writes what was found into it: its card and its headline figures.

python -m lightning_module describe --bundle bundles/lesion --data data/ham10000 --output bundles/described
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from handler.bundle import CARD, Bundle
from handler.errors import BackendError, BundleError
from handler.manifest import Manifest, Precision
from handler.notice import NOTICE
from handler.predictor import Predictor
from lightning_module import (
    acquaintance,
    assembly,
    card,
    document,
    evaluate,
    near_duplicates,
    options,
    packing,
    reliability,
    robustness,
)
from lightning_module.acquaintance import Elsewhere
from lightning_module.assembly import HeldOut
from lightning_module.checkpoint import CheckpointError
from lightning_module.datasets import Table
from lightning_module.evaluation import RefusedImages, chunks, probabilities
from lightning_module.evaluation import evaluate as evaluate_rows
from lightning_module.metrics import Interval, Scores
from lightning_module.options import PLAINLY, Reading
from lightning_module.quantise import Quantisation
from lightning_module.report import compose, headline
from lightning_module.splits import Rows, Split, group_ids
from lightning_module.thresholds import intervals

CARD_FIGURES = "../docs/model"


@dataclass(frozen=True)
class Wanted:
    """What the card shall tell besides the test split."""

    external: Sequence[Path] = ()
    originals: Path | None = None
    training_notes: Path | None = None
    figures: Path | None = None
    replicates: int = 1000


PLAIN = Wanted()


def main(argv: Sequence[str] | None = None) -> int:
    """The command `describe`; 0 when the described bundle is written."""
    chosen = _options(argv)
    try:
        manifest = again(
            chosen.bundle, chosen.data, chosen.output, wanted(chosen), options.reading(chosen), chosen.version
        )
    except (CheckpointError, BundleError, BackendError, RefusedImages, ValueError, OSError) as error:
        print(f"describe: {error}", file=sys.stderr)
        return 1
    print(f"{chosen.output}: {manifest.name} {manifest.version}\n{NOTICE}")
    return 0


def again(
    bundle: Path, data: Path, output: Path, told: Wanted, reading: Reading = PLAINLY, version: str | None = None
) -> Manifest:
    """A copy of the bundle, evaluated by the handler and on the processor of today; the network stays as it is."""
    packing.make_way(output)
    manifest = Bundle.load(bundle).manifest
    table = reading.completed(manifest.report.get("reading", {})).table(data)
    split = evaluate.made_with(manifest, table, table.fingerprint(), "test")
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as scratch:
        draft = Path(scratch) / "bundle"
        shutil.copytree(bundle, draft)
        cost = quantisation(draft, held_out(table, split.val))
        known = manifest.model_copy(
            update={"version": version or manifest.version, "code_version": packing.code_version()}
        )
        described = describe(draft, known, table, split, cost, told)
        packing.replace(output, draft)
    Bundle.load(output)
    return described


def describe(draft: Path, manifest: Manifest, table: Table, split: Split, cost: Quantisation, told: Wanted) -> Manifest:
    """Evaluate the bundle in the folder on the split's test images; add the card and the headline figures to it."""
    evaluation = evaluate_rows(draft, table, split.test)
    trained = acquaintance.names(table, split.train)
    originals = robustness.originals(told.originals) if told.originals else None
    resized = robustness.measure(draft, originals, trained=trained) if originals else None
    pairs = near_duplicates.find(table, split)
    report = compose(evaluation, manifest.data, "test", resized, told.replicates, pairs)
    elsewhere = [_elsewhere(draft, folder, trained, told.replicates) for folder in told.external]
    reports = [report, *(other.report for other in elsewhere)]
    print("\n".join(evaluate.summary(found) for found in reports), flush=True)
    if told.figures is not None:
        document.figures(evaluation, report, told.figures)
    text = card.render(
        report,
        manifest,
        validation=on_validation(draft, held_out(table, split.val), told.replicates),
        quantisation=str(cost),
        sizes=card.sizes(draft),
        split=manifest.report["split"],
        external=elsewhere,
        figures_folder=CARD_FIGURES if told.figures else None,
        training_notes=_text(told.training_notes),
    )
    (draft / CARD).write_text(text, encoding="utf-8")
    known = manifest.model_dump(exclude={"files", "created"})
    known["report"] |= {
        "test": headline(report) | {"reliability": reliability.kept(report.reliability)},
        "elsewhere": [headline(other.report) for other in elsewhere],
        "int8": {"split": "validation"} | asdict(cost),
    }
    return packing.write_manifest(draft, known)


def _elsewhere(draft: Path, folder: Path, trained: set[str], replicates: int) -> Elsewhere:
    evaluation, report = evaluate.run(draft, folder, split="all", replicates=replicates, served_only=True)
    namesakes = trained & acquaintance.names(evaluation.table, evaluation.rows)
    return Elsewhere(report, len(namesakes), acquaintance.only_size(evaluation.table))


def quantisation(folder: Path, unseen: HeldOut) -> Quantisation:
    """What int8 costs by the handler and on the processor of today; what was noted, if it was left out."""
    manifest = Bundle.load(folder).manifest
    noted = manifest.report["int8"]
    if "int8" not in manifest.backends:
        return Quantisation(**{name: noted[name] for name in ("auroc_lost", "allowed", "largest_change", "golden_gap")})
    full, int8 = (_logits(folder, name, unseen.items) for name in ("fp32", "int8"))
    golden = [(folder / one.file).read_bytes() for one in manifest.golden]
    gap = np.abs(_logits(folder, "int8", golden) - [one.logits for one in manifest.golden]).max()
    malignant = None if manifest.head == "sigmoid" else manifest.malignant_indices
    allowed = noted.get("allowed", assembly.MOST_AUROC_LOST)
    return assembly.compare(malignant, full, int8, unseen, float(gap), allowed)


def on_validation(folder: Path, unseen: HeldOut, replicates: int) -> list[dict[str, Interval]]:
    """What each threshold reaches on the validation split, by the handler and on the processor of today."""
    manifest = Bundle.load(folder).manifest
    probability = probabilities(manifest, _logits(folder, manifest.preferred or "fp32", unseen.items))
    scores = Scores(unseen.truth, probability, unseen.group)
    return [intervals(scores, point.value, replicates) for point in manifest.thresholds]


def held_out(table: Table, rows: Rows) -> HeldOut:
    """The rows' encoded images with truth and group."""
    frame = table.frame.iloc[rows]
    items = [table.image_bytes(int(row)) for row in rows]
    return HeldOut(items, frame["malignant"].to_numpy(dtype=bool), group_ids(frame).astype(str))


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options about the card."""
    parser.add_argument("--external", type=Path, action="append", default=[], help="other data, for the card")
    parser.add_argument("--notes", type=Path, help="markdown on what was tried, for the card")
    parser.add_argument("--figures", type=Path, help="folder for the card's figures")


def wanted(chosen: argparse.Namespace) -> Wanted:
    """What the parsed options want told."""
    return Wanted(chosen.external, chosen.originals, chosen.notes, chosen.figures, chosen.replicates)


def _logits(folder: Path, precision: Precision, items: Sequence[bytes]) -> np.ndarray:
    predictor = Predictor.load(folder, precision, assembly.THREADS)
    return np.concatenate([predictor.logits(chunk) for chunk in chunks(items)])


def _text(path: Path | None) -> str | None:
    """The notes as a part of the card: without their title, their headings one level lower."""
    if path is None:
        return None
    lines = [line for line in path.read_text(encoding="utf-8").strip().splitlines() if not line.startswith("# ")]
    return "\n".join(f"#{line}" if line.startswith("#") else line for line in lines).strip()


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    described = __doc__.splitlines()[0]
    parser = options.parser("describe", described, "the dataset folder that it was trained on", Path("bundles/lesion"))
    parser.add_argument("--bundle", type=Path, required=True, help="folder that holds bundle.json")
    parser.add_argument("--version", help="default: that of the bundle")
    add_options(parser)
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
