"""The page in a real Chromium, at desktop and phone size, before the real gateway."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from handler.notice import NOTICE
from tests.page.conftest import Lesions, Site, Visitor, heading
from tests.page.upstream import ArrangedTorchServe, answer, heatmap

pytestmark = pytest.mark.browser


def test_a_dropped_image_gets_its_answer_in_words_and_figures(visitor: Visitor, lesion: Lesions) -> None:
    visitor.drop(lesion("shoulder.jpg", 0.614))
    page = visitor.page
    heading(page, "Above the threshold")
    expect(page.locator(".numeral")).to_have_text("61 %")
    expect(page.locator(".gauge")).to_contain_text("threshold 14.2 %")
    findings = page.locator(".findings")
    expect(findings).to_contain_text(
        "In the model’s test, 28 of the 56 images with a score between 50 and 80 % were malig"
    )
    expect(findings).to_contain_text("So few images leave room for chance.")
    expect(findings).to_contain_text("Of all images in the test, about 20 in 100 were malignant.")
    expect(findings).to_contain_text("Where cancer is rarer, as in most practices, fewer images with such a score are")
    expect(page.locator(".gauge")).to_contain_text("Higher than 91 % of the 1,523 reference images")
    assert page.locator(".gauge-bars rect").count() == 20
    expect(page.get_by_text("on another collection, OTHER 2020, the model did no better than chance")).to_be_visible()
    figures = page.locator(".figures")
    for words in (
        "Calibrated probability0.614",
        "Threshold0.142",
        "Threshold chosen for95 % sensitivity on validation data",
        "Sensitivity on held-out images93.1 % (95 % interval 88.4 % to 96.4 %)",
        "The same, no answer counted as a miss90.2 % (95 % interval 85.1 % to 94.3 %)",
        "Specificity on held-out images68.8 % (95 % interval 66.0 % to 71.5 %)",
        "lesion 1.0",
    ):
        expect(figures).to_contain_text(words)
    expect(page.locator("#notice")).to_have_text(NOTICE)
    expect(page.locator("#notice")).to_be_in_viewport()
    expect(page).to_have_title("Image 1 – Dermserve")  # the browser's history keeps titles, and so no file names
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow == 0


def test_a_low_score_is_not_told_as_an_all_clear(desk: Visitor, lesion: Lesions) -> None:
    desk.drop(lesion("back.jpg", 0.0001))
    heading(desk.page, "Below the threshold")
    expect(desk.page.locator(".numeral")).to_have_text("under 1 %")
    expect(desk.page.locator(".verdict")).to_contain_text("does not rule out cancer")


@pytest.mark.parametrize(
    ("score", "told", "threshold"),
    [
        (0.1378, "13.8 %", "14.2 %"),
        (0.1418, "14.18 %", "14.20 %"),
        (0.14199, "14.199 %", "14.200 %"),
        (0.142, "14.2 %", "14.2 %"),
        (0.204, "20 %", "14.2 %"),
    ],
)
def test_score_and_threshold_do_not_read_the_same_unless_they_are(
    desk: Visitor, lesion: Lesions, score: float, told: str, threshold: str
) -> None:
    page = desk.page
    desk.choose(lesion("arm.jpg", score))
    expect(page.locator(".numeral")).to_have_text(told)
    expect(page.locator(".gauge-label.threshold")).to_have_text(f"threshold {threshold}")
    expect(page.locator(".gauge-plot")).to_have_attribute(
        "aria-label", re.compile(f"^Score {told}, threshold {threshold}\\.")
    )
    digits = threshold.removesuffix(" %").replace(".", "")
    expect(page.locator(".figures dd").nth(1)).to_have_text(f"0.{digits}")
    page.get_by_role("link", name="All images").click()
    expect(page.locator("td.probability .figure")).to_have_text(told)


@pytest.mark.parametrize(("score", "told"), [(0.6141, "61.4 %"), (0.6129, "61.29 %"), (0.65, "65 %")])
def test_a_score_near_a_high_threshold_stands_on_its_own_side(
    desk: Visitor, lesion: Lesions, upstream: ArrangedTorchServe, score: float, told: str
) -> None:
    image = lesion("arm.jpg", score)
    upstream.arrange(image["buffer"], {**answer(score), "threshold": 0.6132})
    desk.choose(image)
    expect(desk.page.locator(".numeral")).to_have_text(told)


def test_a_pasted_image_is_analysed(desk: Visitor, lesion: Lesions) -> None:
    desk.paste(lesion("image.png", 0.3))
    heading(desk.page, "Above the threshold")


def test_overlay_lies_on_the_square_that_the_model_sees(visitor: Visitor, lesion: Lesions) -> None:
    page = visitor.page
    visitor.choose(lesion("shoulder.jpg", 0.614))
    page.get_by_role("button", name="Show what raised the score").click()
    overlay = page.locator(".heat")
    expect(overlay).to_be_visible()
    expect(page.locator(".overlay-panel")).to_contain_text("does not outline the lesion")
    photo, heat = page.locator(".photo").bounding_box(), overlay.bounding_box()
    assert photo
    assert heat
    side = min(photo["width"], photo["height"])
    assert heat["width"] == pytest.approx(side, abs=1)
    assert heat["height"] == pytest.approx(side, abs=1)
    assert heat["x"] + heat["width"] / 2 == pytest.approx(photo["x"] + photo["width"] / 2, abs=1)
    assert photo["width"] / photo["height"] == pytest.approx(240 / 180, abs=0.02)
    slider = page.get_by_label("Strength of the overlay")
    slider.fill("20")
    expect(overlay).to_have_css("opacity", "0.2")
    page.get_by_role("button", name="Hide the overlay").click()
    expect(overlay).to_be_hidden()


def test_an_empty_map_is_said_to_be_empty(visitor: Visitor, upstream: ArrangedTorchServe, lesion: Lesions) -> None:
    page = visitor.page
    image = lesion("forearm.jpg", 0.19)
    upstream.arrange(image["buffer"], answer(0.19) | {"heatmap": heatmap(peak=0)})
    visitor.choose(image)
    page.get_by_role("button", name="Show what raised the score").click()
    expect(page.locator(".overlay-panel")).to_contain_text("The overlay is empty")
    expect(page.get_by_label("Strength of the overlay")).to_be_hidden()
    expect(page.locator(".scale")).to_be_hidden()
    expect(page.locator("#announcer")).to_contain_text("The overlay is empty")


def test_the_map_that_could_not_be_made_is_asked_for_again_from_where_the_focus_is(
    desk: Visitor, lesion: Lesions
) -> None:
    page = desk.page
    desk.choose(lesion("shoulder.jpg", 0.614))
    toggle = page.locator(".viewer > .button")
    page.route("**/v1/explain", lambda route: route.abort("connectionreset"))
    toggle.press("Enter")
    expect(page.get_by_text("The connection was closed before an answer came")).to_be_visible()
    expect(toggle).to_be_focused()
    page.unroute("**/v1/explain")
    page.keyboard.press("Enter")
    expect(page.locator(".heat")).to_be_visible()
    expect(toggle).to_be_focused()
    expect(toggle).to_have_text("Hide the overlay")
    expect(toggle).not_to_have_attribute("aria-pressed", re.compile(""))


def test_classes_of_other_data_go_by_their_own_names(desk: Visitor, lesion: Lesions) -> None:
    desk.drop(lesion("leg.jpg", 0.3, classes={"mel": 0.6, "constructor": 0.3, "toString": 0.1}))
    expect(desk.page.locator(".meters .meter-name")).to_contain_text(["constructor", "toString"])


def test_abstention_says_why_and_what_to_do(desk: Visitor, lesion: Lesions) -> None:
    desk.drop(lesion("scalp.jpg", None, "blurred", "unfamiliar", "badly_exposed"))
    page = desk.page
    heading(page, "The model gives no answer")
    expect(page.locator(".reasons li")).to_have_count(3)
    expect(page.locator(".reasons")).to_contain_text("focus, and hold still")
    expect(page.locator(".numeral")).to_have_count(0)
    expect(page.locator(".meters .low")).to_have_count(2)
    expect(page.get_by_role("button", name="Show what raised the score")).to_have_count(0)


def test_a_file_beyond_the_limit_is_not_even_sent(visit: Callable[..., Visitor], upstream: ArrangedTorchServe) -> None:
    small = Site(upstream, max_image_bytes=1000)
    small.start()
    try:
        visitor = visit(small)
        page = visitor.open()
        visitor.drop({"name": "huge.jpg", "mimeType": "image/jpeg", "buffer": b"\xff\xd8\xff" * 1000})
        heading(page, "The file is too large")
        assert not [url for url in visitor.requested if url.endswith("predict")]
    finally:
        small.stop()


def test_model_card_shows_intervals_and_subgroups_and_runs_no_markup(desk: Visitor) -> None:
    page = desk.page
    page.get_by_role("link", name="Model card").click()
    expect(page.locator("#view-model")).to_contain_text("Not for diagnosis or screening")
    served = page.get_by_role("row", name="95 % sensitivity served")
    expect(served).to_contain_text("92.1 % to 97.2 %")
    women = page.get_by_role("row", name="female")
    expect(women).to_contain_text("0.921 [0.894, 0.944]")
    assert women.locator(".forest-line").first.evaluate("line => line.style.left") == "89.4%"
    expect(page.locator("#view-model")).to_contain_text("reference images")
    expect(page.get_by_role("heading", name="Figures")).to_have_count(0)
    expect(page.get_by_role("heading", name="Provenance")).to_be_visible()
    expect(page.get_by_role("rowheader", name="<script>alert(1)</script>")).to_be_visible()
    expect(page.get_by_role("row", name="*one|two* <i> 77 0", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="the data")).to_have_attribute("href", re.compile("^https://doi.org"))


def test_everything_is_reached_by_keyboard(desk: Visitor, lesion: Lesions) -> None:
    page = desk.page
    with page.expect_file_chooser() as chooser:  # before the keys: it takes a moment to listen
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
        for _ in range(10):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == "choose":
                break
        expect(page.locator("#choose")).to_be_focused()
        page.keyboard.press("Space")
    chooser.value.set_files([lesion("one.jpg", 0.5)])
    expect(page.get_by_role("heading", name="one.jpg")).to_be_focused()
    expect(page.locator("#announcer")).to_have_text("one.jpg: Above the threshold, 50 %")
    page.get_by_role("button", name="Show what raised the score").press("Enter")
    slider = page.get_by_label("Strength of the overlay")
    expect(slider).to_be_visible()
    before = slider.input_value()
    slider.press("ArrowLeft")
    assert int(slider.input_value()) == int(before) - 1


def test_the_skip_link_leads_to_the_content_of_the_view_that_is_open(desk: Visitor, lesion: Lesions) -> None:
    page = desk.page
    desk.drop(lesion("arm.jpg", 0.3))
    heading(page, "Above the threshold")
    page.get_by_role("link", name="Skip to content").press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    heading(page, "Above the threshold")
    expect(page).to_have_url(re.compile("#/image/1$"))


def test_a_link_within_the_model_card_leads_to_its_heading(desk: Visitor) -> None:
    page = desk.page
    page.get_by_role("link", name="Model card").click()
    page.get_by_role("link", name="below", exact=True).click()
    found = page.get_by_role("heading", name="Provenance and code")
    expect(found).to_be_focused()
    expect(found).to_be_in_viewport()
    expect(page).to_have_url(re.compile("#/model$"))


def test_the_link_to_the_api_leads_to_its_documentation(desk: Visitor) -> None:
    desk.page.get_by_role("link", name="API").click()
    expect(desk.page.get_by_role("heading", level=1)).to_be_visible()
    expect(desk.page).to_have_url(re.compile("/docs$"))


def test_first_visit_with_an_answer_costs_less_than_the_budget(desk: Visitor, lesion: Lesions) -> None:
    image = lesion("one.jpg", 0.5)
    desk.drop(image)
    desk.page.get_by_role("button", name="Show what raised the score").click()
    expect(desk.page.locator(".heat")).to_be_visible()
    desk.page.wait_for_load_state("networkidle")
    sizes = [got.request.sizes() for got in desk.answers if got.url.startswith("http")]
    assert 10_000 < sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes) < 150_000
