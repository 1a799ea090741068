from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics as reference

from lightning_module.metrics import (
    Interval,
    Scores,
    bootstrap,
    bootstrap_samples,
    calibration,
    decisions,
    denominators,
    ece_if_calibrated,
    everything,
    ranking,
)


@pytest.fixture(scope="module")
def scores() -> Scores:
    random = np.random.default_rng(3)
    truth = random.random(400) < 0.25
    probability = 1 / (1 + np.exp(-(random.normal(size=400) + 2 * truth - 1.5)))
    return Scores(truth, probability, np.arange(400).astype(str))


def test_agrees_with_scikit_learn(scores: Scores) -> None:
    found = everything(scores, threshold=0.4)
    called = scores.probability >= 0.4
    assert found["auroc"] == pytest.approx(reference.roc_auc_score(scores.truth, scores.probability))
    assert found["average_precision"] == pytest.approx(
        reference.average_precision_score(scores.truth, scores.probability)
    )
    assert found["sensitivity"] == pytest.approx(reference.recall_score(scores.truth, called))
    assert found["specificity"] == pytest.approx(reference.recall_score(~scores.truth, ~called))
    assert found["ppv"] == pytest.approx(reference.precision_score(scores.truth, called))
    assert found["npv"] == pytest.approx(reference.precision_score(~scores.truth, ~called))
    assert found["balanced_accuracy"] == pytest.approx(reference.balanced_accuracy_score(scores.truth, called))
    assert found["brier"] == pytest.approx(np.mean((scores.probability - scores.truth) ** 2))


def test_calibration_error_is_the_mean_gap_weighted_by_bin() -> None:
    probability = np.repeat([0.1, 0.5, 0.9], [50, 30, 20])
    truth = np.concatenate([np.arange(50) < 10, np.arange(30) < 15, np.arange(20) < 12])
    found = everything(Scores(truth, probability, np.arange(100).astype(str)), 0.5)
    assert found["ece"] == pytest.approx(0.5 * 0.1 + 0.3 * 0.0 + 0.2 * 0.3, abs=1e-6)


def test_partial_auc_is_the_area_above_80_percent_sensitivity(scores: Scores) -> None:
    fpr, tpr, _ = reference.roc_curve(scores.truth, scores.probability, drop_intermediate=False)
    fine = np.linspace(0, 1, 400_001)
    area = np.trapezoid(np.clip(np.interp(fine, fpr, tpr) - 0.8, 0, None), fine)
    assert ranking(scores)["pauc_above_80_tpr"] == pytest.approx(area, abs=1e-3)
    perfect = Scores(scores.truth, scores.truth.astype(float), scores.group)
    assert ranking(perfect)["pauc_above_80_tpr"] == pytest.approx(0.2)


def test_a_single_class_leaves_the_ranking_undefined() -> None:
    alone = Scores(np.ones(4, dtype=bool), np.linspace(0, 1, 4), np.arange(4).astype(str))
    found = bootstrap(alone, ranking, replicates=5)
    assert found["auroc"] == Interval(value=None)
    assert found["auroc"].text() == "n/a"


def test_bootstrap_draws_whole_groups() -> None:
    group = np.array(["a", "b", "a", "c", "b", "a"])
    for rows in bootstrap_samples(group, replicates=50):
        drawn = group[rows]
        for name, size in (("a", 3), ("b", 2), ("c", 1)):
            assert (drawn == name).sum() % size == 0


def test_repeated_images_of_a_lesion_do_not_narrow_the_interval(scores: Scores) -> None:
    """Ten copies of each image, grouped by lesion, know no more than one copy does; as images they seem to."""
    once = scores.take(np.arange(120))
    repeated = once.take(np.repeat(np.arange(120), 10))
    ungrouped = Scores(repeated.truth, repeated.probability, np.arange(1200).astype(str))

    def width(sample: Scores) -> float:
        interval = bootstrap(sample, ranking, replicates=200)["auroc"]
        assert interval.high is not None
        assert interval.low is not None
        return interval.high - interval.low

    assert width(repeated) == pytest.approx(width(once), rel=1e-6)
    assert width(ungrouped) < 0.6 * width(once)


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        truth = random.random(150) < 0.5
        probability = random.random(150)
        found = bootstrap(Scores(truth, probability, np.arange(150).astype(str)), ranking, 80, seed)["auroc"]
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.5 <= found.high
    assert covered >= 34


def test_an_interval_is_of_95_percent_and_of_no_other_share() -> None:
    values = np.random.default_rng(4).normal(0.5, 0.1, 400)
    sample = Scores(values > 0.5, values, np.arange(400).astype(str))
    found = bootstrap(sample, lambda drawn: {"mean": float(drawn.probability.mean())}, replicates=4000)["mean"]
    assert found.low is not None
    assert found.high is not None
    # 90 % would be 1.64, 99 % 2.58.
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.04)


def test_what_chance_does_to_the_calibration_error_is_an_interval_of_95_percent() -> None:
    probability = np.linspace(0.02, 0.98, 120)
    images = Scores(probability > 0.5, probability, np.arange(120).astype(str))
    expected = ece_if_calibrated(images, replicates=800)
    assert expected.low is not None
    assert expected.high is not None
    random = np.random.default_rng(11)
    drawn = [Scores(random.random(120) < probability, probability, images.group) for _ in range(800)]
    errors = np.array([calibration(one)["ece"] for one in drawn])
    assert np.mean((expected.low <= errors) & (errors <= expected.high)) == pytest.approx(0.95, abs=0.02)


def test_a_calibrated_model_shows_the_calibration_error_that_its_scores_lead_to_expect() -> None:
    random = np.random.default_rng(5)
    probability = random.random(300)
    truth = random.random(300) < probability
    calibrated = Scores(truth, probability, np.arange(300).astype(str))
    expected = ece_if_calibrated(calibrated, replicates=200)
    assert expected.low is not None
    assert expected.high is not None
    assert 0 < expected.low < everything(calibrated, 0.5)["ece"] < expected.high
    overconfident = Scores(truth, np.where(probability > 0.5, 0.99, 0.01), calibrated.group)
    assert everything(overconfident, 0.5)["ece"] > (ece_if_calibrated(overconfident, replicates=200).high or 1)


def test_lesions_of_many_images_leave_more_of_the_calibration_error_to_chance() -> None:
    probability = np.repeat(np.linspace(0.05, 0.95, 30), 10)
    truth = probability > 0.5
    lesions = ece_if_calibrated(Scores(truth, probability, np.repeat(np.arange(30), 10).astype(str)), 100)
    images = ece_if_calibrated(Scores(truth, probability, np.arange(300).astype(str)), 100)
    assert (lesions.value or 0) > (images.value or 1)


def test_what_is_rounded_to_zero_has_no_minus() -> None:
    assert Interval(value=-0.0001, low=-0.0123, high=0.0).text() == "0.000 [-0.012, 0.000]"


def calls(malignant: list[float], benign: list[float], images_a_lesion: int) -> Scores:
    """Lesions with so many images each, scored so."""
    probability = np.repeat([*malignant, *benign], images_a_lesion)
    truth = np.arange(len(probability)) < len(malignant) * images_a_lesion
    return Scores(truth, probability, (np.arange(len(probability)) // images_a_lesion).astype(str))


def assert_exact(interval: Interval, found: int, lesions: int) -> None:
    low, high = binomtest(found, lesions).proportion_ci(method="exact")
    assert (interval.value, interval.low, interval.high) == pytest.approx((found / lesions, low, high))


def test_a_share_of_none_or_all_has_the_exact_interval_of_the_lesions_it_is_a_share_of() -> None:
    sure = calls([0.9] * 10 + [0.1] * 2, [0.1] * 6, images_a_lesion=3)
    found = bootstrap(sure, lambda drawn: decisions(drawn, 0.5), 50, shares=denominators(sure, 0.5))
    assert_exact(found["ppv"], 10, 10)
    assert_exact(found["specificity"], 6, 6)
    wrong = calls([0.1] * 10, [0.9] * 6 + [0.1], images_a_lesion=3)
    found = bootstrap(wrong, lambda drawn: decisions(drawn, 0.5), 50, shares=denominators(wrong, 0.5))
    assert_exact(found["sensitivity"], 0, 10)
    assert_exact(found["ppv"], 0, 6)


def test_a_replicate_in_which_a_number_is_not_defined_counts_for_nothing() -> None:
    few = calls([0.9, 0.7], [0.2] * 6, images_a_lesion=1)

    def of_the_malignant(drawn: Scores) -> dict[str, float]:
        return {"mean": float(drawn.probability[drawn.truth].mean()) if drawn.truth.any() else float("nan")}

    found = bootstrap(few, of_the_malignant, 200)["mean"]
    assert (found.low, found.high) == (pytest.approx(0.7), pytest.approx(0.9))


def test_what_is_the_same_in_every_replicate_has_no_interval_that_would_look_certain() -> None:
    told_apart = calls([0.9, 0.8, 0.7], [0.1, 0.2, 0.3], images_a_lesion=1)
    assert bootstrap(told_apart, ranking, 50)["auroc"] == Interval(value=1.0)
