"""What the page says of a score: what became of such scores in the model's test, and no more than that."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from tests.page.conftest import Lesions, Visitor
from tests.page.upstream import manifest

pytestmark = pytest.mark.browser

FEW = "So few images leave room for chance."


def answer_with(visitor: Visitor, test: dict[str, Any] | None) -> None:
    """Let the model tell this of its test, or nothing."""
    told = manifest() | {"report": {"test": test} if test else {}}
    body = json.dumps({"manifest": told, "card": ""})
    model = "**/v1/model"

    def fulfill(route: Route) -> None:
        route.fulfill(body=body, content_type="application/json")

    visitor.page.route(model, fulfill)
    visitor.open()


@pytest.mark.parametrize(
    ("score", "words", "few"),
    [
        (0.003, "18 of the 902 images with a score below 10 % were malignant (about 2 in 100).", False),
        (0.299999, "31 of the 130 images with a score between 20 and 30 % were malignant (about 24 in 100).", False),
        (0.3, "12 of the 66 images with a score between 30 and 40 % were malignant (about 18 in 100).", True),
        (1.0, "70 of the 73 images with a score of 90 % or more were malignant (about 96 in 100).", True),
    ],
)
def test_a_score_is_told_by_the_images_of_the_test_that_had_such_a_score(
    desk: Visitor, lesion: Lesions, score: float, words: str, few: bool
) -> None:
    findings = desk.page.locator(".findings")
    desk.drop(lesion("arm.jpg", score))
    expect(findings).to_contain_text(f"In the model’s test, {words}")
    assert (FEW in findings.inner_text()) == few
    assert "would be malignant" not in findings.inner_text()


def test_ranges_of_few_images_are_told_as_one_and_named_by_what_they_span(visitor: Visitor, lesion: Lesions) -> None:
    findings = visitor.page.locator(".findings")
    visitor.drop(lesion("arm.jpg", 0.75))
    expect(findings).to_contain_text("14 of the 21 images with a score between 60 and 90 % were malignant")
    expect(findings).to_contain_text(FEW)


@pytest.mark.parametrize(
    ("malignant", "words"),
    [
        (0, "none of the 12 images with any score was malignant. So few"),
        (1, "1 of the 12 images with any score was malignant (about 8 in 100). So few"),
    ],
)
def test_a_test_of_few_images_is_told_whole(desk: Visitor, lesion: Lesions, malignant: int, words: str) -> None:
    low = {"lower": 0.0, "upper": 0.5, "images": 11, "malignant": malignant, "mean_score": 0.2}
    high = {"lower": 0.5, "upper": 1.0, "images": 1, "malignant": 0, "mean_score": 0.6}
    answer_with(desk, {"images": 12, "malignant": malignant, "reliability": [low, high]})
    desk.drop(lesion("arm.jpg", 0.75))
    expect(desk.page.locator(".findings")).to_contain_text(words)


@pytest.mark.parametrize(
    ("test", "words"),
    [
        (
            {"images": 100, "malignant": 19, "ece": {"value": 0.03}},
            "The scores were off by 3 in 100 there on average, in some ranges by more. "
            "Of all images in the test, about 19 in 100 were malignant. Where cancer is rarer",
        ),
        (None, "Where cancer is rarer"),
    ],
)
def test_where_a_model_does_not_tell_what_became_of_such_scores_nothing_is_promised(
    desk: Visitor, lesion: Lesions, test: dict[str, Any] | None, words: str
) -> None:
    answer_with(desk, test)
    desk.drop(lesion("arm.jpg", 0.35))
    said = f"How many images with such a score were malignant in the model’s test is not recorded. {words}"
    expect(desk.page.locator(".findings")).to_contain_text(said)
