"""MODEL_CARD.md, generated from the evaluation of the bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from handler.manifest import Manifest
from lightning_module import reliability
from lightning_module.acquaintance import Elsewhere
from lightning_module.datasets import provenance
from lightning_module.document import TEMPLATES, number, percent
from lightning_module.metrics import NAMES, Interval
from lightning_module.near_duplicates import REACH
from lightning_module.reference_standard import limitation
from lightning_module.report import GROUPS, Report, intervals, malignant_share
from lightning_module.subgroups import CONFIRMED, FEWEST, too_few

FIGURES = (
    ("roc", "precision_recall"),
    ("reliability", "scores"),
    ("confusion", "decision_curve"),
    ("coverage_risk", "precisions"),
)
SPLITS = {
    "patients": ("by patient", "No patient lies in two parts."),
    "lesions": (
        "by lesion",
        "No lesion lies in two parts. Where the data names no patient, several lesions of one may lie apart.",
    ),
    GROUPS: (
        "by lesion and patient where the data names them",
        "None that it names lies in two parts; where it names none, images of one lesion or patient may.",
    ),
    "images": (
        "by image",
        "The data names neither lesions nor patients: images of one may lie in two parts, and so flatter the figures.",
    ),
}
"""How the split was made, and what that keeps apart, by what the report's groups are."""
CITATIONS = {
    "ham10000": (
        "Tschandl, Rosendahl and Kittler, *The HAM10000 dataset*, Scientific Data 5, 180161 (2018), "
        "doi:10.1038/sdata.2018.161."
    ),
}


def render(
    report: Report,
    manifest: Manifest,
    *,
    quantisation: str,
    sizes: str,
    validation: Sequence[Mapping[str, Interval]],
    split: dict[str, Any] | None = None,
    external: Sequence[Elsewhere] = (),
    figures_folder: str | None = None,
    training_notes: str | None = None,
) -> str:
    """The card as markdown; `figures_folder` is where its pictures lie, as seen from the card."""
    text = TEMPLATES.get_template("card.md.j2").render(
        report=report,
        manifest=manifest,
        classes=_classes(manifest),
        names=NAMES,
        fewest=FEWEST,
        share=malignant_share(report),
        reach=REACH,
        too_few=too_few(report.grouped_by),
        percent=percent,
        number=number,
        intervals=intervals(report),
        reference_standard=limitation(report),
        reliability=reliability.told(report.reliability_in_the_middle, report.reliability, report.grouped_by),
        confirmed=[group for group in report.subgroups if group.kind == CONFIRMED],
        drawn=manifest.data.name == provenance.DRAWN,
        published=manifest.data.name in provenance.PUBLISHED,
        citation=CITATIONS.get(manifest.data.name),
        quantisation=quantisation,
        sizes=sizes,
        thresholds=list(zip(report.operating_points, validation, strict=True)),
        short=_short(report, validation),
        split=split,
        split_rule=SPLITS[report.grouped_by],
        external=external,
        plots=FIGURES if figures_folder else (),
        figures_folder=figures_folder,
        training_notes=training_notes,
    )
    return text.rstrip() + "\n"


def sizes(folder: Path) -> str:
    """The weight of a bundle's parts in words."""
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in (".bin", ".safetensors")]
    return ", ".join(f"{path.relative_to(folder).as_posix()} {path.stat().st_size / 1e6:.1f} MB" for path in files)


def _short(report: Report, validation: Sequence[Mapping[str, Interval]]) -> bool:
    """Whether a threshold misses on today's processor the sensitivity that it was chosen for."""
    reached = [found["sensitivity"].value or 0.0 for found in validation]
    wanted = [point.chosen.sensitivity for point in report.operating_points]
    return any(found < least for found, least in zip(reached, wanted, strict=True))


def _classes(manifest: Manifest) -> str:
    if manifest.head == "sigmoid":
        return ""
    benign = [name for name in manifest.classes if name not in manifest.malignant]
    return f"malignant: {', '.join(manifest.malignant)}; benign: {', '.join(benign)}"
