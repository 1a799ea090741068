"""Several images on the page: a row each, sorted, cancelled, removed and exported."""

from __future__ import annotations

import csv
import json
import threading
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Page, Route, expect

from gateway.problems import KINDS, Problem
from handler.notice import NOTICE
from tests.page.conftest import Lesions, Visitor, heading
from tests.page.upstream import ArrangedTorchServe

pytestmark = pytest.mark.browser
LETTER: FilePayload = {"name": "letter.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4 not an image"}


def export(page: Page, button: str) -> str:
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    return Path(download.value.path()).read_text(encoding="utf-8-sig")


def names(page: Page) -> list[str]:
    return page.locator(".lesions tbody th").all_inner_texts()


def test_a_bad_file_says_what_to_do_and_disturbs_no_other(visitor: Visitor, lesion: Lesions) -> None:
    page = visitor.page
    truncated: FilePayload = {"name": "half.jpg", "mimeType": "image/jpeg", "buffer": b"TRUNCATED"}
    empty: FilePayload = {"name": "empty.jpg", "mimeType": "image/jpeg", "buffer": b""}
    visitor.drop(LETTER, lesion("calf.jpg", 0.02), truncated, empty)
    heading(page, "4 images · 1 below · 3 not readable")
    for name, title, remedy in (
        ("letter.pdf", "This is not an image", "saved as JPEG"),
        ("half.jpg", "The image is incomplete", "Copy it again"),
        ("empty.jpg", "The file is empty", "Choose the image again"),
    ):
        page.get_by_role("link", name=name).click()
        heading(page, title)
        expect(page.locator(".verdict")).to_contain_text(remedy)
        expect(page.get_by_text("the square that the model sees")).to_have_count(0)
        page.get_by_role("link", name="All images").click()
    page.get_by_role("button", name="Remove letter.pdf").click()
    heading(page, "3 images · 1 below · 2 not readable")
    expect(page.get_by_role("button", name="Remove calf.jpg")).to_be_focused()


def test_every_refusal_that_the_page_can_meet_has_a_headline_of_its_own(desk: Visitor) -> None:
    never = {
        "too_few_files",
        "malformed_request",
        "head_too_large",
        "not_found",
        "method_not_allowed",
        "unknown_method",
    }
    known = desk.page.evaluate("import('/static/words.js').then(({ REFUSALS }) => Object.keys(REFUSALS))")
    assert set(KINDS) - never <= set(known)


def test_an_image_at_which_the_server_fails_is_not_called_unreadable(desk: Visitor, lesion: Lesions) -> None:
    page = desk.page
    failure = Problem("prediction_failed")
    page.route(
        "**/v1/predict", lambda route: route.fulfill(status=failure.status, json=failure.document("failed")), times=1
    )
    desk.drop(lesion("arm.jpg", 0.3), LETTER)
    heading(page, "2 images · 1 not readable · 1 not analysed")
    expect(page.locator(".chip", has_text="The model failed at this image")).to_be_visible()


def test_what_waits_can_be_cancelled_and_what_is_done_stays(
    visitor: Visitor, lesion: Lesions, upstream: ArrangedTorchServe
) -> None:
    page = visitor.page
    visitor.drop(lesion("done.jpg", 0.04), LETTER)
    heading(page, "2 images · 1 below · 1 not readable")
    upstream.hold = threading.Event()
    try:
        visitor.drop(*(lesion(f"{i}.jpg", 0.3) for i in range(5)))
        expect(page.locator(".lesions tbody tr")).to_have_count(7)
        page.get_by_role("button", name="Cancel the rest").click()
        heading(page, "2 images · 1 below · 1 not readable")
        assert names(page) == ["done.jpg", "letter.pdf"]
        expect(page.get_by_role("button", name="Cancel the rest")).to_be_hidden()
    finally:
        upstream.hold.set()
    visitor.drop(lesion("later.jpg", 0.3))
    heading(page, "3 images · 1 above the threshold · 1 below · 1 not readable")


def test_several_images_sort_by_result_and_probability(visitor: Visitor, lesion: Lesions) -> None:
    page = visitor.page
    visitor.choose(lesion("b.jpg", 0.04), lesion("c.jpg", 0.7), lesion("a.jpg", None, "blurred"), lesion("d.jpg", 0.2))
    heading(page, "4 images · 2 above the threshold · 1 below · 1 without an answer")
    assert names(page) == ["b.jpg", "c.jpg", "a.jpg", "d.jpg"]
    for column, order in (
        ("Probability", ["c.jpg", "d.jpg", "b.jpg", "a.jpg"]),
        ("Probability", ["a.jpg", "b.jpg", "d.jpg", "c.jpg"]),
        ("Result", ["c.jpg", "d.jpg", "a.jpg", "b.jpg"]),
        ("Image", ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]),
    ):
        page.get_by_role("button", name=column, exact=True).click()
        assert names(page) == order
    expect(page.get_by_role("columnheader", name="Image")).to_have_attribute("aria-sort", "ascending")
    assert page.locator(".lesions img").count() == 4
    page.get_by_role("button", name="Remove all").click()
    expect(page.get_by_role("heading", name="Look closer at a skin lesion")).to_be_focused()


def test_exports_hold_every_result(visitor: Visitor, lesion: Lesions) -> None:
    page = visitor.page
    shares = {"mel": 0.2, "nv": 0.8}
    visitor.choose(lesion('=evil(),"x".jpg', 0.2, classes=shares), lesion("scalp.jpg", None, "blurred"), LETTER)
    heading(page, "3 images · 1 above the threshold · 1 without an answer · 1 not readable")
    rows = list(csv.DictReader(export(page, "Export CSV").splitlines()))
    assert [row["file"] for row in rows] == ['\'=evil(),"x".jpg', "scalp.jpg", "letter.pdf"]
    assert [row["label"] for row in rows] == ["malignant", "abstain", ""]
    assert [row["probability"] for row in rows] == ["0.2", "", ""]
    assert [row["error"] for row in rows] == ["", "", "not_an_image"]
    assert (rows[0]["class_nv"], rows[0]["threshold"], rows[1]["reasons"]) == ("0.8", "0.142", "blurred")
    assert rows[0]["target_sensitivity"] == "0.95"
    assert [row["notice"] for row in rows] == [NOTICE] * 3
    document = json.loads(export(page, "Export JSON"))
    assert document["notice"] == NOTICE
    assert [row["file"] for row in document["results"]] == ['=evil(),"x".jpg', "scalp.jpg", "letter.pdf"]
    assert document["results"][0]["probability"] == 0.2
    assert document["results"][2]["error"]["reason"] == "not_an_image"


def test_what_is_not_analysed_yet_is_not_exported(desk: Visitor, lesion: Lesions, upstream: ArrangedTorchServe) -> None:
    page = desk.page
    desk.drop(lesion("10.jpg", 0.04), lesion("2.jpg", 0.05))
    heading(page, "2 images · 2 below")
    upstream.hold = threading.Event()
    try:
        desk.drop(lesion("waits.jpg", 0.3))
        expect(page.locator(".lesions tbody tr")).to_have_count(3)
        page.get_by_role("button", name="Image", exact=True).click()
        assert names(page) == ["2.jpg", "10.jpg", "waits.jpg"]
        rows = csv.DictReader(export(page, "Export CSV").splitlines())
        assert [row["file"] for row in rows] == ["2.jpg", "10.jpg"]
        told = json.loads(export(page, "Export JSON"))
        assert [result["file"] for result in told["results"]] == ["2.jpg", "10.jpg"]
    finally:
        upstream.hold.set()


def test_next_and_previous_follow_the_order_of_the_list(desk: Visitor, lesion: Lesions) -> None:
    page = desk.page
    desk.choose(lesion("b.jpg", 0.04), lesion("c.jpg", 0.7), lesion("a.jpg", 0.2))
    heading(page, "3 images · 2 above the threshold · 1 below")
    page.get_by_role("button", name="Probability", exact=True).click()
    page.get_by_role("link", name="c.jpg").click()
    expect(page.get_by_role("link", name="Previous image")).to_have_count(0)
    page.get_by_role("link", name="Next image").click()
    heading(page, "a.jpg")
    page.get_by_role("link", name="Next image").click()
    heading(page, "b.jpg")
    expect(page.get_by_role("link", name="Next image")).to_have_count(0)


def test_of_many_images_only_the_total_is_announced(desk: Visitor, lesion: Lesions) -> None:
    page = desk.page
    page.evaluate(
        "said = []; new MutationObserver(() => said.push(document.querySelector('#announcer').textContent))"
        ".observe(document.querySelector('#announcer'), { childList: true })"
    )
    desk.choose(*(lesion(f"{i}.jpg", 0.04 + i / 10) for i in range(6)))
    expect(page.locator("#announcer")).to_have_text("6 images · 4 above the threshold · 2 below")
    desk.choose(lesion("later.jpg", 0.3))
    expect(page.locator("#announcer")).to_have_text("later.jpg: Above the threshold, 30 %")
    assert page.evaluate("said") == [
        "6 images added",
        "6 images · 4 above the threshold · 2 below",
        "later.jpg added",
        "later.jpg: Above the threshold, 30 %",
    ]


@pytest.mark.parametrize("order", ["as added", "sorted"])
def test_the_focus_stays_in_its_row_when_the_answer_comes(desk: Visitor, lesion: Lesions, order: str) -> None:
    page = desk.page
    desk.choose(lesion("b.jpg", 0.04), lesion("c.jpg", 0.2))
    heading(page, "2 images · 1 above the threshold · 1 below")
    if order == "sorted":
        page.get_by_role("button", name="Probability", exact=True).click()
    held: list[Route] = []
    page.route("**/v1/predict", lambda route: held.extend([route]))
    with page.expect_request("**/v1/predict"):
        desk.choose(lesion("a.jpg", 0.7))
    page.get_by_role("link", name="a.jpg").focus()
    page.unroute("**/v1/predict")
    for route in held:
        route.fallback()
    heading(page, "3 images · 2 above the threshold · 1 below")
    assert names(page).index("a.jpg") == (0 if order == "sorted" else 2)
    expect(page.get_by_role("link", name="a.jpg")).to_be_focused()


def test_the_focus_goes_to_the_total_when_nothing_is_left_to_cancel(desk: Visitor, lesion: Lesions) -> None:
    page = desk.page
    held: list[Route] = []
    page.route("**/v1/predict", lambda route: held.extend([route]))
    with page.expect_request("**/v1/predict"):
        desk.choose(lesion("a.jpg", 0.7), LETTER)
    page.get_by_role("button", name="Cancel the rest").focus()
    page.unroute("**/v1/predict")
    for route in held:
        route.fallback()
    expect(page.get_by_role("heading", name="2 images · 1 above the threshold · 1 not readable")).to_be_focused()


def test_remove_all_leaves_nothing_in_the_views_that_are_hidden(desk: Visitor, lesion: Lesions) -> None:
    page = desk.page
    desk.choose(lesion("a.jpg", 0.7), lesion("b.jpg", 0.04))
    heading(page, "2 images")
    page.get_by_role("link", name="Same patient: compare").click()
    expect(page.locator(".ranked")).to_have_count(2)
    page.get_by_role("link", name="a.jpg").click()
    heading(page, "Above the threshold")
    page.get_by_role("link", name="All images").click()
    page.get_by_role("button", name="Remove all").click()
    heading(page, "Look closer at a skin lesion")
    assert "a.jpg" not in page.content()


def test_of_an_image_that_was_removed_while_it_was_sent_nothing_is_told(desk: Visitor, lesion: Lesions) -> None:
    page = desk.page
    desk.choose(lesion("kept.jpg", 0.04))
    heading(page, "Below the threshold")
    held: list[Route] = []
    page.route("**/v1/predict", lambda route: held.extend([route]), times=1)
    desk.drop(lesion("gone.jpg", 0.3))
    page.get_by_role("button", name="Remove gone.jpg").click()
    page.evaluate(
        "said = []; new MutationObserver(() => said.push(document.querySelector('#announcer').textContent))"
        ".observe(document.querySelector('#announcer'), { childList: true })"
    )
    with page.expect_response("**/v1/predict") as answered:
        held[0].fallback()
    answered.value.finished()
    desk.drop(lesion("later.jpg", 0.3))
    expect(page.locator("#announcer")).to_have_text("later.jpg: Above the threshold, 30 %")
    assert page.evaluate("said") == ["later.jpg added", "later.jpg: Above the threshold, 30 %"]
