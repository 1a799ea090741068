"""What is in the list lives in this tab alone, so the browser asks before it goes."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.page.conftest import Lesions, Visitor

pytestmark = pytest.mark.browser

LEAVING = {"reload": "location.reload()", "link": "document.querySelector('a[href=docs]').click()"}


def leave(page: Page, way: str) -> None:
    page.evaluate(f"setTimeout(() => {LEAVING[way]})")  # the question would hold up a click


@pytest.mark.parametrize("way", list(LEAVING))
def test_the_browser_asks_before_images_are_lost(desk: Visitor, lesion: Lesions, way: str) -> None:
    page = desk.page
    desk.choose(lesion("arm.jpg", 0.3), lesion("back.jpg", 0.04))
    page.get_by_role("button", name="Remove back.jpg").click()
    with page.expect_event("dialog") as asked:
        leave(page, way)
    assert asked.value.type == "beforeunload"
    asked.value.dismiss()
    expect(page.get_by_role("link", name="arm.jpg")).to_be_visible()
    with page.expect_event("dialog") as asked, page.expect_navigation():
        leave(page, way)
        asked.value.accept()
    expect(page.get_by_role("link", name="arm.jpg")).to_have_count(0)


def test_nothing_is_asked_of_those_who_leave_nothing_behind(desk: Visitor, lesion: Lesions) -> None:
    page = desk.page
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    desk.choose(lesion("arm.jpg", 0.3), lesion("back.jpg", 0.04))
    with page.expect_download():
        page.get_by_role("button", name="Export CSV").click()
    page.get_by_role("button", name="Remove all").click()
    expect(page.get_by_role("heading", name="Look closer at a skin lesion")).to_be_visible()
    page.reload()
    expect(page.locator("#status")).to_have_attribute("data-state", "ready")
    page.get_by_role("link", name="API").click()
    expect(page).to_have_title("Dermserve API")
    assert asked == []
