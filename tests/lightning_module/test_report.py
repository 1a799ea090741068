"""What a report claims: intervals that have a width, and the data that it really was."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image
from scipy.stats import binomtest

from lightning_module import abstention, datasets, document, plots
from lightning_module.datasets import synthetic
from lightning_module.evaluation import Evaluation
from lightning_module.metrics import Interval
from lightning_module.report import Report, compose, intervals
from tests.lightning_module import evaluated
from tests.lightning_module.rendered import rendered_card, rendered_page


@pytest.fixture(scope="module")
def report() -> Report:
    data = evaluated.fingerprint()
    return compose(evaluated.evaluation(data), data, "test", replicates=50)


@pytest.mark.parametrize(
    ("lesions", "patients", "groups"),
    [
        (80, 0, "lesions"),
        (80, 80, "patients"),
        (0, 80, "patients"),
        (0, 0, "images"),
        (1, 0, "groups"),
        (80, 1, "groups"),
        (79, 1, "groups"),
    ],
)
def test_groups_are_called_lesions_or_patients_only_where_every_image_has_one(
    lesions: int, patients: int, groups: str
) -> None:
    data = evaluated.fingerprint()
    found = evaluated.evaluation(data)
    named = {
        column: [f"{number // 2}" if number < count else None for number in range(80)]
        for column, count in (("lesion", lesions), ("patient", patients))
    }
    frame = found.frame.assign(**{name: pd.array(values, "string") for name, values in named.items()})
    told = compose(replace(found, frame=frame), data, "test", replicates=5)
    assert told.grouped_by == groups
    assert f"draw whole {groups}" in intervals(told)
    assert ("where the data names it" in intervals(told)) == (groups == "groups")


def with_images(evaluation: Evaluation, rows: range, folder: Path) -> Evaluation:
    """The evaluation with images of these rows, and of no other."""
    drawn = io.BytesIO()
    Image.new("RGB", (8, 6), "tan").save(drawn, "JPEG")
    for row in rows:
        (folder / evaluation.frame["path"].iat[row]).write_bytes(drawn.getvalue())
    return replace(evaluation, table=replace(evaluation.table, root=folder))


def assert_covers(interval: Interval, share: float, lesions: int) -> None:
    expected = binomtest(round(share * lesions), lesions).proportion_ci(method="exact")
    assert interval.value == share
    assert interval.low == pytest.approx(expected.low)
    assert interval.high == pytest.approx(expected.high)


def test_a_share_of_all_or_none_has_the_interval_of_its_lesions_not_of_its_images(report: Report) -> None:
    called = {row.name: row.called_malignant for row in report.diagnoses}
    assert_covers(called["bcc"], 1.0, lesions=10)
    assert_covers(called["nv"], 0.0, lesions=20)
    assert_covers(report.metrics["specificity"], 1.0, lesions=20)
    assert_covers(report.metrics["ppv"], 1.0, lesions=15)
    assert_covers(report.operating_points[0].metrics["specificity"], 1.0, lesions=20)
    assert_covers(report.abstention.share, 0.0, lesions=40)
    assert_covers(report.abstention.malignant_share, 0.0, lesions=20)
    women = next(row for row in report.subgroups if row.name == "female")
    assert_covers(women.specificity, 1.0, lesions=10)


def test_a_share_between_keeps_the_interval_of_the_bootstrap(report: Report) -> None:
    found = report.metrics["sensitivity"]
    exact = binomtest(15, 20).proportion_ci(method="exact")
    assert found.value == 0.75
    assert found.low is not None
    assert found.high is not None
    assert exact.low - 0.1 < found.low < 0.75 < found.high < exact.high + 0.1


def test_no_interval_without_a_width_is_printed(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in (rendered_card(report), rendered_page(report, tmp_path, monkeypatch)):
        assert "[1.000, 1.000]" not in text
        assert "[0.000, 0.000]" not in text
        assert "[0.0000, 0.0000]" not in text
        assert "of Clopper and Pearson, over the lesions" in text


@pytest.mark.parametrize("low", [0.02, 0.55, 0.973, 0.9999])
def test_the_axis_of_the_subgroups_ends_at_one_and_its_labels_do_not_overlap(report: Report, low: float) -> None:
    found = Interval(value=(low + 1) / 2, low=low, high=1.0)
    rows = [row.model_copy(update={"auroc": found}) for row in report.subgroups]
    changed = report.model_copy(update={"subgroups": rows, "metrics": report.metrics | {"auroc": found}})
    sheet = plots.subgroup_forest(evaluated.evaluation(report.data), changed)
    FigureCanvasAgg(sheet).draw()
    [axes] = sheet.axes
    labels = [label for label in axes.get_xticklabels() if axes.get_xlim()[0] <= label.get_position()[0]]
    boxes = [label.get_window_extent() for label in labels]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
    assert labels[-1].get_text() == "1.0"
    assert axes.get_xlim()[0] < low


def test_a_subgroup_without_an_interval_is_a_point(report: Report) -> None:
    rows = [row.model_copy(update={"auroc": Interval(value=1.0)}) for row in report.subgroups]
    changed = report.model_copy(update={"subgroups": rows})
    [axes] = plots.subgroup_forest(evaluated.evaluation(report.data), changed).axes
    assert axes.get_xlim()[0] > 0.5


def test_published_data_is_named_with_its_licence_citation_and_patients(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = rendered_card(report)
    assert "on ham10000 (80 images, CC BY-NC 4.0" in text
    assert "Tschandl" in text
    assert "dark skin" in text
    assert "images of patients" in rendered_page(report, tmp_path, monkeypatch)


def test_drawn_data_claims_neither_publisher_nor_patients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = datasets.load(synthetic.render(tmp_path / "drawn", 6, size=(20, 20))).fingerprint()
    data = evaluated.fingerprint(found.name, found.licence)
    report = compose(evaluated.evaluation(data), data, "test", replicates=2)
    text, page = rendered_card(report), rendered_page(report, tmp_path, monkeypatch)
    assert "on synthetic (80 images, drawn by this program" in text
    assert "nothing about the lesions of people" in text
    for claim in ("ham10000", "CC BY", "Tschandl", "of patients:", "patients' images", "dark skin"):
        assert claim not in text
        assert claim not in page


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("bkl|pipe", r"bkl\|pipe"),
        ("<b>atypical</b> & co", r"\<b\>atypical\</b\> \& co"),
        ("ak*i_ec*", r"ak\*i_ec\*"),
        ("_nv_ `x` [y](z)", r"\_nv\_ \`x\` \[y\](z)"),
        ("back\\", r"back\\"),
        ("basal_cell carcinoma", "basal_cell carcinoma"),
    ],
)
def test_a_class_is_printed_by_its_name_in_the_card(report: Report, name: str, printed: str) -> None:
    first, *others = report.diagnoses
    text = rendered_card(report.model_copy(update={"diagnoses": [first.model_copy(update={"name": name}), *others]}))
    assert f"| {printed} | malignant |" in text
    site = report.subgroups[0].model_copy(update={"kind": "Body site", "name": name})
    assert f"| Body site: {printed} |" in rendered_card(report.model_copy(update={"subgroups": [site]}))


def test_the_worst_errors_are_errors(report: Report, tmp_path: Path) -> None:
    # The missed melanomas are all that it gets wrong: opening any other image would fail.
    evaluation = with_images(evaluated.evaluation(report.data), range(20, 30), tmp_path)
    pictures = document.write(evaluation, report, tmp_path / "report")
    assert "worst_errors" in pictures
    page = (tmp_path / "report" / "report.html").read_text()
    assert "below the served threshold: 10. Benign images that reach it: 0." in page
    assert page.count("<img") == len(pictures)


def test_where_there_are_no_errors_the_report_says_so_and_shows_none(report: Report, tmp_path: Path) -> None:
    evaluation = evaluated.evaluation(report.data)
    right = (evaluation.frame["malignant"].to_numpy()[:, None] * 4.0 - 2.0).astype("float32")
    stale = tmp_path / "figures" / "worst_errors.png"
    stale.parent.mkdir()
    stale.touch()
    pictures = document.write(replace(evaluation, logits={"fp32": right}), report, tmp_path)
    assert "worst_errors" not in pictures
    assert not stale.exists()
    page = (tmp_path / "report.html").read_text()
    assert "no malignant image is missed and no benign one is called malignant" in page
    assert "of patients:" not in page


def test_what_the_labels_reach_counts_no_answer_as_a_miss() -> None:
    said = evaluated.evaluation(evaluated.fingerprint())
    # Ten carcinomas, all found, and ten moles, all let go, get no answer.
    silent = {*range(10), *range(40, 50)}
    predictions = [
        one.model_copy(update={"label": "abstain", "probability": None}) if number in silent else one
        for number, one in enumerate(said.predictions)
    ]
    found = abstention.measure(replace(said, predictions=predictions), evaluated.THRESHOLD, replicates=20)
    assert found.flagged.value == pytest.approx(20 / 40)
    assert found.sensitivity_answered.value == pytest.approx(20 / 30)
    assert found.specificity_answered.value == pytest.approx(1.0)
    assert found.malignant_share.value == pytest.approx(10 / 40)
