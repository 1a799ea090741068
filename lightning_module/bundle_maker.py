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

from handler.bundle import Bundle
from handler.errors import BackendError, BundleError
from handler.manifest import Manifest
from handler.notice import NOTICE
from lightning_module import assembly, card, datasets, options, packing
from lightning_module.checkpoint import Checkpoint, CheckpointError
from lightning_module.datasets.rendering import LOOKS, lesion_jpeg
from lightning_module.description import PLAIN, Wanted, add_options, describe, held_out, wanted
from lightning_module.evaluation import RefusedImages
from lightning_module.options import PLAINLY, Reading
from lightning_module.splits import Rows, digests

FITTING_IMAGES = 1500
# Larger drawings are so smooth that a trained model calls them blurred.
GOLDEN_SIZE = (200, 150)


def main(argv: Sequence[str] | None = None) -> int:
    """The command `bundle`; 0 when the bundle is written."""
    chosen = _options(argv)
    try:
        manifest = make(
            chosen.ckpt,
            chosen.data,
            chosen.output,
            told=wanted(chosen),
            reading=options.reading(chosen),
            version=chosen.version,
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
    told: Wanted = PLAIN,
    reading: Reading = PLAINLY,
    version: str = "1.0",
    most_auroc_lost: float = assembly.MOST_AUROC_LOST,
) -> Manifest:
    """Write the bundle of a checkpoint, in place of what lay at `output`; CheckpointError where they do not match."""
    packing.make_way(output)
    source = Checkpoint.load(checkpoint)
    reading = reading.completed(source.reading)
    table = reading.table(data)
    source.check(table)
    split = source.parts(table)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as scratch:
        draft = Path(scratch) / "bundle"
        draft.mkdir()
        made = {"settings": source.split, "images": source.rows, "digests": digests(table, split)}
        known = {
            "version": version,
            "data": source.data,
            "licence": _licence(source.data.licence),
            "report": {"split": made, "reading": reading.record()},
        }
        print(f"calibrating and quantising {source.trained.architecture} on {table.root}", flush=True)
        manifest, quantisation = assembly.assemble(
            draft,
            source.trained,
            _bytes(table, _sample(split.train, FITTING_IMAGES)),
            held_out(table, split.val),
            golden_images(),
            known,
            told.replicates,
            most_auroc_lost,
        )
        print(quantisation, flush=True)
        finished = describe(draft, manifest, table, split, quantisation, told)
        packing.replace(output, draft)
    Bundle.load(output)
    return finished


def golden_images() -> list[bytes]:
    """Drawn lesions, one of each look: a bundle carries no patient's image."""
    return [lesion_jpeg(look, 7, 7, GOLDEN_SIZE) for look in LOOKS]


def _sample(rows: Rows, count: int) -> Rows:
    return np.random.default_rng(0).permutation(rows)[:count]


def _bytes(table: datasets.Table, rows: Rows) -> list[bytes]:
    return [table.image_bytes(int(row)) for row in rows]


def _licence(of_data: str) -> str:
    if "NC" in of_data:
        return f"{of_data}, as the images they were trained on: research only, no commercial use"
    return f"that of the training data: {of_data}"


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    described = __doc__.splitlines()[0]
    parser = options.parser("bundle", described, "the dataset folder that it was trained on", Path("bundles/lesion"))
    parser.add_argument("--ckpt", type=Path, required=True, help="checkpoint of `fit`")
    parser.add_argument("--version", default="1.0", help="default: %(default)s")
    add_options(parser)
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
