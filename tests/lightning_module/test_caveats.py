"""What a card and a page say against their own figures: where the truth comes from, and what the model had seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lightning_module.metrics import Interval, Scores
from lightning_module.report import Report, compose
from lightning_module.robustness import Robustness
from lightning_module.subgroups import age_band, by_diagnosis
from tests.lightning_module import evaluated
from tests.lightning_module.rendered import REACHED, rendered_card, rendered_page


@pytest.fixture(scope="module")
def report() -> Report:
    data = evaluated.fingerprint()
    return compose(evaluated.evaluation(data), data, "test", replicates=50)


def test_a_threshold_tells_what_it_reaches_on_validation_and_whether_that_falls_short(report: Report) -> None:
    text = rendered_card(report)
    assert "| **95 %** | 0.5 | 0.960 [0.900, 1.000] | 0.500 |" in text
    assert "falls short" not in text
    text = rendered_card(report, REACHED | {"sensitivity": Interval(value=0.94, low=0.9, high=0.98)})
    assert "| **95 %** | 0.5 | 0.940 [0.900, 0.980] | 0.500 |" in text
    assert "falls short" in text


def test_the_figures_of_histology_stand_beside_those_of_all(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proven, followed = (row for row in report.subgroups if row.kind == "Confirmed by")
    assert (proven.name, proven.images, proven.malignant) == ("histology", 60, 40)
    assert (followed.name, followed.images, followed.malignant) == ("follow-up", 20, 0)
    text = rendered_card(report)
    found = f"ROC AUC is {proven.auroc.text()} and specificity {proven.specificity.text()}"
    assert f"On the 60 images whose diagnosis histology confirmed (40 malignant), {found}**" in text
    assert "follow-up 20 (0 malignant)" in text
    assert "| histology | 60 | 40 |" in text
    assert f"(#reference-standard)) | **{proven.auroc.text()}** |" in text
    assert "Confirmed by: histology" not in text
    assert found in rendered_page(report, tmp_path, monkeypatch)


def test_where_nothing_tells_how_diagnoses_were_confirmed_the_card_says_so(report: Report) -> None:
    silent = [row for row in report.subgroups if row.kind != "Confirmed by"]
    text = rendered_card(report.model_copy(update={"subgroups": silent}))
    assert "How the diagnoses were confirmed is not told by the data." in text
    assert "| Confirmed by |" not in text


def test_where_every_diagnosis_was_confirmed_alike_the_card_says_so() -> None:
    data = evaluated.fingerprint()
    said = evaluated.evaluation(data)
    alike = replace(said, frame=said.frame.assign(confirmed_by="histology"))
    assert "Every diagnosis was confirmed by histology." in rendered_card(compose(alike, data, "test", replicates=2))


def test_a_subgroup_of_few_lesions_gets_no_figure_however_many_images_they_have() -> None:
    data = evaluated.fingerprint()
    said = evaluated.evaluation(data)
    # Four malignant lesions, of two images each, and twenty benign ones.
    few = np.where(np.arange(80) < 8, "face", np.where(np.arange(80) < 40, "hand", "face"))
    report = compose(replace(said, frame=said.frame.assign(site=few)), data, "test", replicates=5)
    face = next(row for row in report.subgroups if row.name == "face")
    assert face.malignant == 8
    assert face.auroc.value is None
    assert face.sensitivity.value is None
    assert face.specificity.value == 1.0
    assert "| Body site: face | 48 | 8 | n/a: fewer than 5 lesions | n/a: fewer than 5 lesions | 1.000" in (
        rendered_card(report)
    )


@pytest.mark.parametrize(
    ("trained_on", "told"), [(None, "was not checked"), (3, "3 of them under the name of a training image")]
)
def test_originals_that_were_trained_on_are_told(
    report: Report, trained_on: int | None, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Robustness(
        images=4,
        sizes=["600x450"],
        median=0.0,
        ninetieth=0.0,
        largest=0.0,
        below_005=1.0,
        same_label=1.0,
        trained_on=trained_on,
        spreads=[0.0] * 4,
    )
    changed = report.model_copy(update={"robustness": found})
    assert told in rendered_card(changed)
    assert told in rendered_page(changed, tmp_path, monkeypatch)


def test_predictive_values_tell_how_many_were_malignant(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Positive predictive value at the served threshold 0.5, at 50 % malignant |" in rendered_card(report)
    assert "Negative predictive value, at 50 % malignant<" in rendered_page(report, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("external", "split", "told"),
    [
        (False, "test", "No lesion of it was trained on."),
        (False, "train", "The model was trained on these images."),
        (False, "val", "thresholds and limits were chosen on these images."),
        (False, "all", "These include the images that the model was trained on."),
        (True, "all", "whether it shares images with the training data was not checked."),
    ],
)
def test_a_report_tells_what_the_model_had_seen_of_its_images(
    report: Report, external: bool, split: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = report.model_copy(update={"external": external, "split": split})
    page = rendered_page(of, tmp_path, monkeypatch)
    assert told in page
    assert ("No lesion of it was trained on" in page) == (split == "test")


@pytest.mark.parametrize(
    ("lesions", "patients", "card_says", "page_says"),
    [
        (80, 80, "split is by patient, stratified", "No patient of it was trained on"),
        (
            80,
            0,
            "No lesion lies in two parts. Where the data names no patient, several",
            "No lesion of it was trained on",
        ),
        (79, 0, "by lesion and patient where the data names them", "No lesion or patient that it names was trained on"),
        (
            0,
            0,
            "names neither lesions nor patients: images of one may lie in two parts",
            "others of the same lesions were",
        ),
    ],
)
def test_nothing_is_claimed_of_lesions_and_patients_that_the_data_does_not_name(
    lesions: int,
    patients: int,
    card_says: str,
    page_says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = evaluated.fingerprint()
    said = evaluated.evaluation(data)
    named = {
        column: pd.array([f"{number // 2}" if number < count else None for number in range(80)], "string")
        for column, count in (("lesion", lesions), ("patient", patients))
    }
    report = compose(replace(said, frame=said.frame.assign(**named)), data, "test", replicates=2)
    split = {"settings": {"seed": 0}, "images": {"train": 8, "val": 8, "test": 80}}
    text, page = rendered_card(report, split=split), rendered_page(report, tmp_path, monkeypatch)
    assert card_says in text
    assert page_says in page
    if not lesions and not patients:
        for claim in ("No image lies", "80 images of 80", "test images of"):
            assert claim not in text
            assert claim not in page


def test_an_age_at_the_edge_of_two_bands_belongs_to_the_older() -> None:
    ages = pd.Series([0, 29, 30, 44, 45, 59, 60, 74, 75, 120, None])
    younger = ["under 30"] * 2 + ["30 to 44"] * 2 + ["45 to 59"] * 2
    assert age_band(ages).fillna("?").tolist() == [*younger, "60 to 74", "60 to 74", "75 and over", "75 and over", "?"]


def test_a_diagnosis_scored_at_the_threshold_is_called_malignant() -> None:
    scores = Scores(np.array([True, False]), np.array([0.5, 0.4]), np.array(["1", "2"]))
    melanoma, naevus = by_diagnosis(pd.DataFrame({"diagnosis": ["mel", "nv"]}), scores, 0.5, replicates=5)
    assert (melanoma.called_malignant.value, naevus.called_malignant.value) == (1.0, 0.0)
