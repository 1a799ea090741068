"""What is seen of a result before anybody scrolls."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.page.conftest import Lesions, Site, Visitor

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("probability", [0.0001, 0.614])
def test_a_small_phone_shows_verdict_and_probability_without_scrolling(
    visit: Callable[..., Visitor], site: Site, lesion: Lesions, probability: float
) -> None:
    visitor = visit(site, "phone", viewport={"width": 360, "height": 640})
    page = visitor.open()
    visitor.choose(lesion("a-photograph-with-a-long-name-IMG_20261121.jpg", probability))
    expect(page.locator(".numeral")).to_be_visible()
    assert page.evaluate("scrollY") == 0
    covered = page.locator(".notice").bounding_box()
    assert covered
    for part in (".verdict", "p.score"):
        box = page.locator(part).bounding_box()
        assert box
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= covered["y"]


def test_a_page_whose_program_did_not_arrive_says_so(visit: Callable[..., Visitor], site: Site) -> None:
    visitor = visit(site)
    visitor.page.route("**/result.js", lambda route: route.abort("connectionreset"))
    visitor.page.goto(site.url)
    expect(visitor.page.get_by_text("Part of this page did not arrive")).to_be_visible()
    visitor.page.unroute("**/result.js")
    visitor.open()
    expect(visitor.page.locator("#incomplete")).to_have_count(0)
