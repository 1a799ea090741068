"""Every word at the gauge stands over its mark, and none beyond the ends of the scale."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import FloatRect, Locator, expect

from tests.page.conftest import Lesions, Site, Visitor
from tests.page.upstream import THRESHOLD

pytestmark = pytest.mark.browser


def box(found: Locator) -> FloatRect:
    measured = found.bounding_box()
    assert measured
    return measured


def stands_right(label: Locator, share: float, scale: FloatRect) -> None:
    """Centred on the mark, or else against the end of the scale that is nearer."""
    found = box(label)
    furthest = scale["width"] - found["width"]
    start = min(max(share * scale["width"] - found["width"] / 2, 0), furthest)
    assert found["x"] - scale["x"] == pytest.approx(start, abs=1), label


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("score", [0.0, 0.13, 1.0])
def test_words_stand_at_their_marks(
    visit: Callable[..., Visitor], site: Site, lesion: Lesions, width: int, score: float
) -> None:
    visitor = visit(site, viewport={"width": width, "height": 860})
    page = visitor.open()
    visitor.choose(lesion("arm.jpg", score))
    expect(page.locator(".gauge-bars")).to_be_visible()
    scale = box(page.locator(".gauge-track"))
    for tick in (0, 25, 50, 75, 100):
        stands_right(page.locator(".gauge-axis").get_by_text(f"{tick} %", exact=True), tick / 100, scale)
    for words, share in (("this image", score), ("threshold 14.2 %", THRESHOLD)):
        stands_right(page.locator(".gauge").get_by_text(words, exact=True), share, scale)
    for mark, share in ((".score", score), (".threshold", THRESHOLD)):
        line = box(page.locator(f".gauge-line{mark}"))
        assert line["x"] + line["width"] / 2 - scale["x"] == pytest.approx(share * scale["width"], abs=1)
    status, brand = box(page.locator("#status")), box(page.locator(".brand"))
    assert status["y"] < brand["y"] + brand["height"]
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow == 0
