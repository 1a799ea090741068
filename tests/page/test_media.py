"""On paper, in forced colours and at four times the size, nothing that carries meaning is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest
from playwright.sync_api import Locator, expect

from tests.page.conftest import Lesions, Site, Visitor, heading
from tests.page.upstream import ArrangedTorchServe, answer

pytestmark = pytest.mark.browser


def style(found: Locator, prop: str) -> str:
    return str(found.evaluate("(node, prop) => getComputedStyle(node)[prop]", prop))


def marks_differ(visitor: Visitor) -> None:
    for mark, ground in ((".gauge-fill", ".gauge-track"), (".meter-fill", ".meter"), (".gauge-line.score", "html")):
        colours = [style(visitor.page.locator(part).first, "backgroundColor") for part in (mark, ground)]
        assert colours[0] != colours[1], mark
    label = visitor.page.locator(".gauge-label.score")
    assert style(label, "color") != style(label, "backgroundColor")


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_forced_colours_keep_the_marks_and_the_status(
    visit: Callable[..., Visitor], site: Site, lesion: Lesions, size: str
) -> None:
    visitor = visit(site, size, forced_colors="active")
    page = visitor.open()
    visitor.choose(lesion("arm.jpg", 0.62))
    expect(page.locator(".gauge-fill")).to_be_visible()
    marks_differ(visitor)
    assert style(page.locator("#status"), "fontSize") != "0px"
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


def test_print_of_a_dark_page_is_light_and_keeps_its_marks(
    visit: Callable[..., Visitor], site: Site, lesion: Lesions
) -> None:
    visitor = visit(site, color_scheme="dark")
    page = visitor.open()
    visitor.choose(lesion("arm.jpg", 0.62))
    expect(page.locator(".gauge-fill")).to_be_visible()
    page.emulate_media(media="print")
    assert style(page.locator("html"), "backgroundColor") == "rgb(255, 255, 255)"
    assert style(page.locator(".gauge-fill"), "printColorAdjust") == "exact"
    assert style(page.locator(".verdict"), "borderTopStyle") == "solid"
    marks_differ(visitor)


@pytest.mark.parametrize(("media", "width"), [("screen", 1280), ("print", 720)])
def test_the_tables_of_the_model_card_are_seen_whole(
    visit: Callable[..., Visitor], site: Site, media: Literal["screen", "print"], width: int
) -> None:
    visitor = visit(site, viewport={"width": width, "height": 860})
    page = visitor.open("/#/model")
    expect(page.locator(".prose .scroller")).to_have_count(3)
    page.emulate_media(media=media)
    for table in page.locator(".prose .scroller").all():
        assert table.evaluate("node => node.scrollWidth - node.clientWidth") == 0


def test_at_400_per_cent_the_notice_does_not_cover_what_is_read(
    visit: Callable[..., Visitor], site: Site, lesion: Lesions
) -> None:
    visitor = visit(site, viewport={"width": 320, "height": 256})
    page = visitor.open()
    visitor.choose(lesion("arm.jpg", 0.62))
    heading(page, "Above the threshold")
    expect(page.locator("#notice")).not_to_be_in_viewport()
    page.locator("#notice").scroll_into_view_if_needed()
    expect(page.locator("#notice")).to_be_in_viewport()


def test_bars_leave_their_names_room_on_the_narrowest_phone(
    visit: Callable[..., Visitor], site: Site, lesion: Lesions
) -> None:
    visitor = visit(site, viewport={"width": 320, "height": 568})
    page = visitor.open()
    names = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc", "scc")
    visitor.choose(lesion("arm.jpg", 0.62, classes=dict.fromkeys(names, 0.125)))
    rows = page.locator(".meters li")
    expect(rows).to_have_count(11)
    for row in rows.all():
        end = row.locator(".meter-name").evaluate(
            "node => { const range = document.createRange(); range.selectNodeContents(node);"
            " return range.getBoundingClientRect().right }"
        )
        bar = row.locator(".meter").bounding_box()
        assert bar
        assert end < bar["x"], row.inner_text()


def test_a_score_leaves_its_image_room_on_the_narrowest_phone(
    visit: Callable[..., Visitor], site: Site, lesion: Lesions
) -> None:
    visitor = visit(site, viewport={"width": 320, "height": 568})
    page = visitor.open()
    visitor.choose(lesion("back.jpg", 0.1418), lesion("arm.jpg", 0.3))
    heading(page, "2 images · 1 above the threshold · 1 below")
    chip = page.locator(".lesions .chip").first.bounding_box()
    score = page.locator(".lesions .figure", has_text="14.18 %").bounding_box()
    assert chip
    assert score
    assert chip["x"] + chip["width"] < score["x"]


def test_what_the_browser_cannot_show_has_no_broken_picture_and_no_overlay(
    desk: Visitor, upstream: ArrangedTorchServe, lesion: Lesions
) -> None:
    page = desk.page
    unseen = upstream.arrange(b"\xff\xd8 as a TIFF would be", answer(0.62), 0.5)
    desk.choose({"name": "unseen.tif", "mimeType": "image/tiff", "buffer": unseen})
    expect(page.get_by_text("Your browser cannot show this file")).to_be_visible()
    heading(page, "Above the threshold")
    expect(page.get_by_role("button", name="Show what raised the score")).to_have_count(0)
    desk.choose(lesion("back.jpg", 0.04))
    heading(page, "2 images")
    page.get_by_role("link", name="Same patient: compare").click()
    expect(page.locator(".ranked")).to_have_count(2)
    expect(page.locator("#view-compare img")).to_have_count(1)
    expect(page.locator(".ranked").first).to_contain_text("?")
