"""Makes a bundle from a checkpoint: calibrated, quantised, tested on held-out lesions and described by its card.

python -m lightning_module bundle --ckpt runs/lesion/best.ckpt --data data/ham10000 --output bundles/lesion
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from handler.bundle import CARD, Bundle
from handler.errors import BackendError, BundleError
from handler.manifest import Manifest
from handler.notice import NOTICE
from lightning_module import assembly, card, datasets, document, evaluate, near_duplicates, options, packing, robustness
from lightning_module.assembly import HeldOut
from lightning_module.checkpoint import Checkpoint, CheckpointError
from lightning_module.datasets.rendering import LOOKS, lesion_jpeg
from lightning_module.evaluation import RefusedImages
from lightning_module.evaluation import evaluate as evaluate_rows
from lightning_module.options import PLAINLY, Reading
from lightning_module.quantise import Quantisation
from lightning_module.report import Report, compose, headline
from lightning_module.splits import Rows, group_ids

FITTING_IMAGES = 1500
# Larger drawings are so smooth that a trained model calls them blurred.
GOLDEN_SIZE = (200, 150)
CARD_FIGURES = "../docs/model"


def main(argv: Sequence[str] | None = None) -> int:
    """The command `bundle`; 0 when the bundle is written."""
    chosen = _options(argv)
    try:
        manifest = make(
            chosen.ckpt,
            chosen.data,
            chosen.output,
            external=chosen.external,
            originals=chosen.originals,
            training_notes=chosen.notes,
            figures=chosen.figures,
            reading=options.reading(chosen),
            version=chosen.version,
            replicates=chosen.replicates,
        )
    except (CheckpointError, BundleError, BackendError, RefusedImages, ValueError, OSError) as error:
        print(f"bundle: {error}", file=sys.stderr)
        return 1
    print(f"{chosen.output}: {manifest.name} {manifest.version}, {manifest.preferred}, {card.sizes(chosen.output)}")
    print(NOTICE)
    return 0


def make(
    checkpoint: Path,
    data: Path,
    output: Path,
    *,
    external: Sequence[Path] = (),
    originals: Path | None = None,
    training_notes: Path | None = None,
    figures: Path | None = None,
    reading: Reading = PLAINLY,
    version: str = "1.0",
    replicates: int = 1000,
    most_auroc_lost: float = assembly.MOST_AUROC_LOST,
) -> Manifest:
    """Write the bundle of a checkpoint, in place of what lay at `output`; CheckpointError where they do not match."""
    source = Checkpoint.load(checkpoint)
    reading = reading.completed(source.reading)
    table = reading.table(data)
    source.check(table)
    split = source.parts(table)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as scratch:
        draft = Path(scratch) / "bundle"
        draft.mkdir()
        described = {"settings": source.split, "images": source.rows}
        known = {
            "version": version,
            "data": source.data,
            "licence": _licence(source.data.licence),
            "report": {"split": described, "reading": reading.record()},
        }
        print(f"calibrating and quantising {source.trained.architecture} on {table.root}", flush=True)
        manifest, quantisation = assembly.assemble(
            draft,
            source.trained,
            _bytes(table, _sample(split.train, FITTING_IMAGES)),
            _held_out(table, split.val),
            golden_images(),
            known,
            replicates,
            most_auroc_lost,
        )
        print(quantisation, flush=True)
        evaluation = evaluate_rows(draft, table, split.test)
        resized = robustness.measure(draft, robustness.originals(originals)) if originals else None
        pairs = near_duplicates.find(table, split)
        report = compose(evaluation, source.data, "test", resized, replicates, pairs)
        elsewhere = [
            evaluate.run(draft, folder, split="all", replicates=replicates, served_only=True)[1] for folder in external
        ]
        print("\n".join(evaluate.summary(found) for found in [report, *elsewhere]), flush=True)
        if figures is not None:
            document.figures(evaluation, report, figures)
        text = card.render(
            report,
            manifest,
            quantisation=str(quantisation),
            sizes=card.sizes(draft),
            split=described,
            external=elsewhere,
            figures_folder=CARD_FIGURES if figures else None,
            training_notes=_text(training_notes),
        )
        finished = finish(draft, manifest, text, report, quantisation)
        packing.replace(output, draft)
    Bundle.load(output)
    return finished


def finish(draft: Path, manifest: Manifest, text: str, report: Report, quantisation: Quantisation) -> Manifest:
    """Add the card and the headline figures to an assembled bundle."""
    (draft / CARD).write_text(text, encoding="utf-8")
    known = manifest.model_dump(exclude={"files", "created"})
    known["report"] |= {
        "test": headline(report),
        "int8": {
            "split": "validation",
            "auroc_lost": quantisation.auroc_lost,
            "largest_change": quantisation.largest_change,
        },
    }
    return packing.write_manifest(draft, known)


def golden_images() -> list[bytes]:
    """Drawn lesions, one of each look: a bundle carries no patient's image."""
    return [lesion_jpeg(look, 7, 7, GOLDEN_SIZE) for look in LOOKS]


def _held_out(table: datasets.Table, rows: Rows) -> HeldOut:
    frame = table.frame.iloc[rows]
    return HeldOut(_bytes(table, rows), frame["malignant"].to_numpy(dtype=bool), group_ids(frame).astype(str))


def _sample(rows: Rows, count: int) -> Rows:
    return np.random.default_rng(0).permutation(rows)[:count]


def _bytes(table: datasets.Table, rows: Rows) -> list[bytes]:
    return [table.image_bytes(int(row)) for row in rows]


def _licence(of_data: str) -> str:
    if "NC" in of_data:
        return f"{of_data}, as the images they were trained on: research only, no commercial use"
    return f"that of the training data: {of_data}"


def _text(path: Path | None) -> str | None:
    """The notes as a part of the card: without their title, their headings one level lower."""
    if path is None:
        return None
    lines = [line for line in path.read_text(encoding="utf-8").strip().splitlines() if not line.startswith("# ")]
    return "\n".join(f"#{line}" if line.startswith("#") else line for line in lines).strip()


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    described = __doc__.splitlines()[0]
    parser = options.parser("bundle", described, "the dataset folder that it was trained on", Path("bundles/lesion"))
    parser.add_argument("--ckpt", type=Path, required=True, help="checkpoint of `fit`")
    parser.add_argument("--external", type=Path, action="append", default=[], help="other data, for the card")
    parser.add_argument("--notes", type=Path, help="markdown on what was tried, for the card")
    parser.add_argument("--figures", type=Path, help="folder for the card's figures")
    parser.add_argument("--version", default="1.0", help="default: %(default)s")
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
