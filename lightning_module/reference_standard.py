"""How the diagnoses were confirmed, and what the headline figures owe to it."""

from __future__ import annotations

from lightning_module.report import Report
from lightning_module.subgroups import CONFIRMED, HISTOLOGY

UNTOLD = "How the diagnoses were confirmed is not told by the data."
ALIKE = "Every diagnosis was confirmed by {}."
TOO_FEW = "Too few lesions were confirmed by histology to give figures for them alone."


def limitation(report: Report) -> str:
    """What the figures are on the images confirmed by histology, against those on all images."""
    kinds = [group for group in report.subgroups if group.kind == CONFIRMED]
    if not kinds:
        return UNTOLD
    if len(kinds) == 1:
        return ALIKE.format(kinds[0].name)
    proven = next((group for group in kinds if group.name == HISTOLOGY), None)
    if proven is None or proven.auroc.value is None:
        return TOO_FEW
    others = ", ".join(
        f"{group.name} {group.images:,} ({group.malignant:,} malignant)" for group in kinds if group is not proven
    )
    return (
        f"**On the {proven.images:,} images whose diagnosis histology confirmed ({proven.malignant:,} malignant), "
        f"ROC AUC is {proven.auroc.text()} and specificity {proven.specificity.text()}**, against "
        f"{report.metrics['auroc'].text()} and {report.metrics['specificity'].text()} on all images. The others were "
        f"confirmed in other ways: {others}. Much of the difference may be the source of the images, not the lesions: "
        f"a network can learn to tell the camera or clinic that images of one kind come from. Among lesions suspicious "
        f"enough to be excised, expect the figures of histology."
    )
