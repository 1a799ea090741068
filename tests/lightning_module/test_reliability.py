"""In which ranges of the score the scores missed, and that card, page and figure say so alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lightning_module import plots, reliability
from lightning_module.metrics import Scores
from lightning_module.report import Report, compose
from tests.lightning_module import evaluated
from tests.lightning_module.rendered import rendered_card, rendered_page


def scores(probability: list[float], malignant: list[bool], images_a_lesion: int = 1) -> Scores:
    rows = np.arange(len(probability)) // images_a_lesion
    return Scores(np.array(malignant), np.array(probability), rows.astype(str))


def test_every_image_is_counted_in_the_range_of_the_score_that_is_served() -> None:
    probability = [0.0, 0.0999994, 0.0999996, 0.1, 0.3, 0.6, 0.7, 0.95, 1.0]
    found = reliability.by_range(scores(probability, [False, False, True, True, True, True, True, True, False]), 5)
    assert [one.images for one in found] == [2, 2, 0, 1, 0, 0, 1, 1, 0, 2]
    assert [one.malignant for one in found] == [0, 2, 0, 1, 0, 0, 1, 1, 0, 1]
    assert [(one.lower, one.upper) for one in found][2:4] == [(0.2, 0.3), (0.3, 0.4)]
    assert found[-1].mean_score == pytest.approx(0.975)
    assert found[2].mean_score is None
    assert found[2].share is None
    middle = reliability.middle(scores(probability, [True] * 9), 5)
    assert (middle.images, middle.lower, middle.upper) == (3, 0.2, 0.8)


def overconfident(images_a_lesion: int = 1) -> Scores:
    """Forty images scored 0.35, of which eight are malignant, and forty scored 0.65, of which twenty-eight."""
    truth = np.concatenate([np.arange(40) < 8, np.arange(40) < 28])
    return scores([0.35] * 40 + [0.65] * 40, list(truth), images_a_lesion)


def test_a_range_is_told_as_too_high_or_too_low_only_beyond_chance() -> None:
    found = reliability.by_range(overconfident(), 300)
    assert found[3].excess.value == pytest.approx(0.15)
    assert found[6].excess.value == pytest.approx(-0.05)
    assert [one.verdict for one in found] == [None] * 3 + ["too high"] + [None] * 6
    text = reliability.told(reliability.middle(overconfident(), 300), found, "images")
    assert "Between 20 and 80 % the scores did not miss by more than chance: of 80 images" in text
    assert "At 30 to 40 % they were too high: 8 of 40 images malignant, mean score 0.350." in text
    assert "60 to 70 %" not in text


def test_images_of_few_lesions_give_no_verdict() -> None:
    [found] = [one for one in reliability.by_range(overconfident(images_a_lesion=8), 300) if one.lower == 0.3]
    assert (found.images, found.malignant) == (40, 8)
    assert found.verdict is None
    assert found.excess.text() == "0.150"


def test_four_benign_images_are_too_few_for_a_verdict_however_many_are_malignant() -> None:
    found = reliability.by_range(scores([0.35] * 40, [True] * 36 + [False] * 4), 300)[3]
    assert found.excess.text() == "-0.550"
    assert found.verdict is None


@pytest.fixture(scope="module")
def missing_the_middle() -> tuple[Report, Report]:
    """A report on scores that are all 0.65, half of the images malignant; and one on scores as clear as the truth."""
    data = evaluated.fingerprint()
    said = evaluated.evaluation(data)
    truth = said.frame["malignant"].to_numpy()
    vague = replace(said, logits={"fp32": np.full((80, 1), np.log(0.65 / 0.35), dtype="float32")})
    clear = replace(said, logits={"fp32": np.where(truth, 4.0, -4.0)[:, None].astype("float32")})
    return compose(vague, data, "test", replicates=50), compose(clear, data, "test", replicates=50)


def test_card_and_page_say_which_scores_were_wrong_with_counts(
    missing_the_middle: tuple[Report, Report], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vague, clear = missing_the_middle
    said = (
        "Between 20 and 80 % the scores were too high: of 80 images with a mean score of 0.650, 40 (0.500) were malig"
    )
    card, page = rendered_card(vague), rendered_page(vague, tmp_path, monkeypatch)
    assert said in card
    assert said in page
    assert f"| 60 to 70 % | 80 | 40 | 0.650 | 0.500 | {vague.reliability[6].excess.text()} |" in card
    assert "| 0 to 10 % | 0 | 0 | n/a | n/a | n/a |" in card
    assert "Probabilities hold" not in card
    assert "the scores were" not in rendered_card(clear)


def test_the_figure_shows_the_ranges_of_the_table(missing_the_middle: tuple[Report, Report]) -> None:
    for report in missing_the_middle:
        [axes] = plots.reliability(evaluated.evaluation(report.data), report).axes
        [points] = axes.collections
        shown = np.asarray(points.get_offsets())
        filled = [one for one in report.reliability if one.images]
        assert shown == pytest.approx(np.array([(one.mean_score, one.share) for one in filled]))
