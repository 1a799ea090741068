"""The page compares lesions of one patient, or says why it does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Route, expect

from tests.page.conftest import Lesions, Site, Visitor, heading
from tests.page.upstream import ArrangedTorchServe

pytestmark = pytest.mark.browser


def test_three_lesions_of_one_patient_are_ranked_and_the_ugly_duckling_marked(
    visitor: Visitor, lesion: Lesions
) -> None:
    page = visitor.page
    visitor.choose(
        lesion("back.jpg", 0.05),
        lesion("arm.jpg", 0.62, look="mel", angle=1.3),
        leg := lesion("leg.jpg", 0.08, angle=0.1),
        lesion("scalp.jpg", None, "blurred"),
        {**leg, "name": "again.jpg"},
    )
    page.get_by_role("link", name="Same patient: compare").click()
    heading(page, "Same patient")
    ranked = page.locator(".ranked")
    expect(ranked).to_have_count(5)
    order = ranked.locator("h2 a").all_inner_texts()
    assert order == ["arm.jpg", "leg.jpg", "again.jpg", "back.jpg", "scalp.jpg"]
    expect(page.locator(".ranked.odd")).to_contain_text("arm.jpg")
    expect(ranked.filter(has_text="Same file as leg.jpg")).to_contain_text("again.jpg")
    expect(page.get_by_text("Ugly duckling", exact=True)).to_have_count(1)
    expect(page.locator(".lede", has_text="arm.jpg differs most")).to_contain_text("in appearance and score together")
    page.get_by_role("link", name="leg.jpg").click()
    heading(page, "Below the threshold")


def test_lesions_that_are_alike_are_not_told_to_be_harmless(desk: Visitor, lesion: Lesions) -> None:
    desk.choose(*(lesion(f"{name}.jpg", 0.05) for name in "abc"))
    desk.page.get_by_role("link", name="Same patient: compare").click()
    lede = desk.page.locator("#view-compare .lede")
    expect(lede).to_have_text("No lesion differs clearly from the others. That alone does not clear any of them.")
    expect(desk.page.locator(".ranked.odd")).to_have_count(0)


def test_the_difference_that_is_shown_is_the_one_that_decides(desk: Visitor, lesion: Lesions) -> None:
    page = desk.page
    desk.choose(
        lesion("far.jpg", 0.05, angle=1.0), lesion("mid.jpg", 0.05), lesion("odd.jpg", 0.95), lesion("low.jpg", 0.05)
    )
    page.get_by_role("link", name="Same patient: compare").click()
    odd = page.locator(".ranked", has_text="odd.jpg")
    far = page.locator(".ranked", has_text="far.jpg")
    expect(odd).to_contain_text("Ugly duckling")
    expect(odd.locator(".difference")).to_contain_text("1.050.15 in appearance, 0.90 in score")
    expect(far.locator(".difference")).to_contain_text("0.460.46 in appearance, 0.00 in score")
    for found, share in ((odd, 1.05 / 2), (far, 0.46 / 2)):
        scale = found.locator(".parts").bounding_box()
        assert scale
        parts = [part.bounding_box() for part in found.locator(".parts > *").all()]
        assert sum(part["width"] for part in parts if part) / scale["width"] == pytest.approx(share, abs=0.02)


def test_the_focus_stays_in_the_view_when_a_comparison_fails_and_when_it_comes(desk: Visitor, lesion: Lesions) -> None:
    page = desk.page
    desk.choose(lesion("a.jpg", 0.1), lesion("b.jpg", 0.2))
    page.route("**/v1/compare", lambda route: route.abort("connectionreset"), times=1)
    page.get_by_role("link", name="Same patient: compare").press("Enter")
    again = page.get_by_role("button", name="Try again")
    expect(again).to_be_visible()
    expect(page.get_by_role("heading", name="Same patient")).to_be_focused()
    again.press("Enter")
    expect(page.locator(".ranked")).to_have_count(2)
    expect(page.get_by_role("heading", name="Same patient")).to_be_focused()


def test_more_images_than_a_comparison_takes_are_told_before_asking(
    visit: Callable[..., Visitor], upstream: ArrangedTorchServe, lesion: Lesions
) -> None:
    small = Site(upstream, max_files=3)
    small.start()
    try:
        visitor = visit(small)
        page = visitor.open()
        visitor.choose(*(lesion(f"{i}.jpg", 0.1 + i / 10) for i in range(5)))
        heading(page, "5 images · 4 above the threshold · 1 below")
        page.get_by_role("link", name="Same patient: compare").click()
        expect(page.get_by_role("alert").filter(visible=True)).to_have_text(
            "Comparing takes at most 3 images; remove 2."
        )
        expect(page.get_by_role("button", name="Try again")).to_have_count(0)
        assert not [url for url in visitor.requested if url.endswith("compare")]
        page.get_by_role("link", name="Back to the images").click()
        for name in ("0.jpg", "1.jpg"):
            page.get_by_role("button", name=f"Remove {name}").click()
        page.get_by_role("link", name="Same patient: compare").click()
        expect(page.locator(".ranked")).to_have_count(3)
    finally:
        small.stop()


def test_images_too_large_to_compare_lead_back_to_the_list(
    visit: Callable[..., Visitor], upstream: ArrangedTorchServe, lesion: Lesions
) -> None:
    images = [lesion("a.jpg", 0.1), lesion("b.jpg", 0.2)]
    small = Site(upstream, max_request_bytes=4096 + max(len(image["buffer"]) for image in images))
    small.start()
    try:
        visitor = visit(small)
        page = visitor.open()
        visitor.choose(*images)
        page.get_by_role("link", name="Same patient: compare").click()
        expect(page.get_by_text("These images could not be compared.")).to_be_visible()
        expect(page.get_by_role("button", name="Try again")).to_have_count(0)
        expect(page.get_by_role("link", name="Back to the images")).to_have_attribute("href", "#/")
    finally:
        small.stop()


def test_a_late_answer_about_fewer_images_does_not_replace_that_about_all(desk: Visitor, lesion: Lesions) -> None:
    page = desk.page
    held: list[Route] = []
    page.route("**/v1/compare", lambda route: held.extend([route]), times=1)
    desk.choose(lesion("a.jpg", 0.1), lesion("b.jpg", 0.2))
    compare = page.get_by_role("link", name="Same patient: compare")
    compare.click()
    expect(page.get_by_text("Comparing …")).to_be_visible()
    page.get_by_role("link", name="All images").click()
    desk.choose(lesion("c.jpg", 0.3))
    heading(page, "3 images · 2 above the threshold · 1 below")
    compare.click()
    ranked = page.locator(".ranked")
    expect(ranked).to_have_count(3)
    page.evaluate(
        "redrawn = 0; new MutationObserver(() => redrawn++)"
        ".observe(document.querySelector('#view-compare'), { childList: true })"
    )
    with page.expect_response("**/v1/compare") as late:
        held[0].fallback()
    late.value.finished()
    desk.drop(lesion("d.jpg", 0.04))
    heading(page, "4 images")
    assert page.evaluate("redrawn") == 0
