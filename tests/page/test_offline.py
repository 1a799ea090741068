"""Bad connections, absent models and locked doors: what was added waits and is analysed without another click."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from gateway.keys import generate
from gateway.problems import Problem
from tests.page.conftest import SIZES, Lesions, Site, Visitor, heading
from tests.page.upstream import ArrangedTorchServe

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("size", list(SIZES))
def test_installed_page_opens_offline_and_analyses_what_waited(
    visit: Callable[..., Visitor], fragile: Site, lesion: Lesions, size: str
) -> None:
    visitor = visit(fragile, size, service_workers="allow")
    page = visitor.open()
    assert page.evaluate("navigator.serviceWorker.ready.then(({ active }) => active.scriptURL)").endswith("/sw.js")
    page.wait_for_function("() => navigator.serviceWorker.controller !== null")
    visitor.open()  # once more, now through the worker, which keeps the model card
    fragile.stop()

    page.reload()
    expect(page.get_by_role("heading", name="Look closer at a skin lesion")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("needs it to analyse an image")
    expect(page.locator("#status")).to_have_text("Offline")
    expect(page.locator("#notice")).to_be_in_viewport()
    visitor.drop(lesion("arm.jpg", 0.62))
    expect(page.get_by_role("heading", name="Waiting")).to_be_visible()
    page.get_by_role("link", name="Model card").click()
    expect(page.get_by_role("heading", name="Model card")).to_be_visible()
    page.go_back()

    fragile.start()
    expect(page.get_by_role("heading", name="Above the threshold")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.locator("#announcer")).to_contain_text("arm.jpg: Above the threshold")


def test_connection_lost_between_two_images(desk: Visitor, lesion: Lesions) -> None:
    page = desk.page
    desk.drop(lesion("one.jpg", 0.3))
    expect(page.get_by_role("heading", name="Above the threshold")).to_be_visible()
    page.context.set_offline(True)
    desk.drop(lesion("two.jpg", 0.04))
    expect(page.locator(".chip", has_text="Waiting")).to_be_visible()
    page.context.set_offline(False)
    expect(page.locator(".chip", has_text="Below threshold")).to_be_visible()


def test_a_finished_result_stays_as_it_is_while_the_connection_goes_and_comes(desk: Visitor, lesion: Lesions) -> None:
    page = desk.page
    desk.drop(lesion("one.jpg", 0.3))
    page.get_by_role("button", name="Show what raised the score").click()
    slider = page.get_by_label("Strength of the overlay")
    slider.fill("20")
    page.context.set_offline(True)
    expect(page.locator("#status")).to_have_text("Offline")
    desk.drop(lesion("two.jpg", 0.04))
    page.get_by_role("link", name="one.jpg").click()
    page.context.set_offline(False)
    expect(page.locator("#status")).to_have_text("Model 1.0 ready")
    expect(page.get_by_role("link", name="Next image")).to_be_visible()
    expect(page.locator(".heat")).to_have_css("opacity", "0.2")


def test_a_file_that_went_away_is_not_taken_for_a_lost_connection(
    desk: Visitor, lesion: Lesions, tmp_path: Path
) -> None:
    page = desk.page
    card = tmp_path / "card.jpg"
    card.write_bytes(lesion("card.jpg", 0.3)["buffer"])
    page.context.set_offline(True)
    page.locator("#choose").set_input_files(card)
    expect(page.get_by_role("heading", name="Waiting")).to_be_visible()
    card.unlink()
    page.context.set_offline(False)
    expect(page.get_by_role("heading", name="The file can no longer be read")).to_be_visible()
    desk.choose(lesion("two.jpg", 0.04))
    expect(page.locator(".chip", has_text="Below threshold")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_connection_too_slow_for_the_image_is_told_as_such(desk: Visitor, lesion: Lesions) -> None:
    refusal = Problem("slow_client")
    desk.page.route("**/v1/predict", lambda route: route.fulfill(status=refusal.status, json=refusal.document("slow")))
    desk.drop(lesion("arm.jpg", 0.3))
    expect(desk.page.get_by_role("heading", name="The connection is too slow for this image")).to_be_visible()
    expect(desk.page.get_by_role("button", name="Try again")).to_be_visible()


def never(_: Route) -> None:
    """Answers nothing."""


def cut(route: Route) -> None:
    """Closes the connection on cut.jpg."""
    if b"cut.jpg" in (route.request.post_data_buffer or b""):
        route.abort("connectionreset")
    else:
        route.fallback()


def hurry(page: Page) -> None:
    """The two minutes after which the page gives up a request become two seconds."""
    page.add_init_script(
        "const timeout = AbortSignal.timeout.bind(AbortSignal);"
        "AbortSignal.timeout = (milliseconds) => timeout(milliseconds === 120_000 ? 2000 : milliseconds);"
    )


def test_an_upload_that_is_not_done_in_time_fails_as_slow_while_the_server_answers(
    visit: Callable[..., Visitor], site: Site, lesion: Lesions
) -> None:
    visitor = visit(site)
    hurry(visitor.page)
    page = visitor.open()
    page.route("**/v1/predict", never)
    visitor.drop(lesion("arm.jpg", 0.3))
    heading(page, "The connection is too slow for this image")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    assert len([url for url in visitor.requested if url.endswith("predict")]) == 1


def test_an_upload_that_is_not_done_in_time_waits_while_the_server_is_gone(
    visit: Callable[..., Visitor], site: Site, lesion: Lesions
) -> None:
    visitor = visit(site)
    hurry(visitor.page)
    page = visitor.open()
    page.route("**/v1/predict", never)
    page.route("**/readyz", lambda route: route.abort("internetdisconnected"))
    visitor.drop(lesion("arm.jpg", 0.3))
    heading(page, "Waiting")
    page.unroute("**/v1/predict")
    page.unroute("**/readyz")
    heading(page, "Above the threshold")


def test_an_image_whose_upload_is_cut_off_each_time_fails_alone(desk: Visitor, lesion: Lesions) -> None:
    page = desk.page
    page.route("**/v1/predict", cut)
    page.evaluate(
        "seen = []; new MutationObserver(() => seen.push(document.querySelector('#status').dataset.state))"
        ".observe(document.querySelector('#status'), { attributes: true })"
    )
    desk.drop(lesion("cut.jpg", 0.3), *(lesion(f"{i}.jpg", 0.04) for i in range(5)))
    expect(page.locator(".chip", has_text="Below threshold")).to_have_count(5)
    expect(page.locator(".chip", has_text="The connection broke while this image was sent")).to_be_visible()
    assert "offline" not in page.evaluate("seen")
    assert len([url for url in desk.requested if url.endswith("predict")]) == 8
    page.unroute("**/v1/predict")
    page.get_by_role("link", name="cut.jpg").click()
    page.get_by_role("button", name="Try again").click()
    heading(page, "Above the threshold")


def test_large_images_are_sent_one_at_a_time(desk: Visitor, lesion: Lesions) -> None:
    page = desk.page
    held: list[Route] = []
    page.route("**/v1/predict", lambda route: held.extend([route]))
    padding = bytes(5 * 2**20)
    large = [lesion(f"large{i}.jpg", 0.3) for i in range(2)]
    desk.choose(*({**image, "buffer": image["buffer"] + padding} for image in large), lesion("small.jpg", 0.3))
    chips = page.locator(".lesions .chip")
    expect(chips).to_have_text(["Analysing …", "Queued", "Analysing …"])
    page.unroute("**/v1/predict")
    for route in held:
        route.fallback()
    heading(page, "3 images")


def test_model_away_is_waited_for(desk: Visitor, upstream: ArrangedTorchServe, lesion: Lesions) -> None:
    page = desk.page
    upstream.stop()
    desk.drop(lesion("one.jpg", 0.3))
    expect(page.get_by_role("alert")).to_contain_text("its model is not ready")
    upstream.start()
    expect(page.get_by_role("heading", name="Above the threshold")).to_be_visible()
    expect(page.locator("#status")).to_have_text("Model 1.0 ready")


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ({"status": 500, "json": Problem("internal").document("an-id")}, "unavailable"),
        ({"status": 403, "content_type": "text/html", "body": "Forbidden by the proxy"}, "offline"),
        ({"status": 200, "content_type": "text/html", "body": "<h1>Sign in to use this network</h1>"}, "offline"),
    ],
)
def test_what_asks_for_no_key_is_waited_for(
    visit: Callable[..., Visitor], site: Site, lesion: Lesions, answer: dict[str, Any], state: str
) -> None:
    visitor = visit(site)
    page = visitor.page
    page.route("**/v1/model", lambda route: route.fulfill(**answer))
    page.goto(site.url)
    expect(page.locator("#status")).to_have_attribute("data-state", state)
    visitor.drop(lesion("one.jpg", 0.3))
    heading(page, "Waiting")
    page.unroute("**/v1/model")
    heading(page, "Above the threshold")
    expect(page.locator("#status")).to_have_text("Model 1.0 ready")


def test_an_image_that_a_login_page_answered_is_sent_again(desk: Visitor, lesion: Lesions) -> None:
    page = desk.page
    page.route("**/v1/predict", lambda route: route.fulfill(status=200, content_type="text/html", body="Sign in"))
    with page.expect_response("**/v1/predict"):
        desk.drop(lesion("one.jpg", 0.3))
    with page.expect_response("**/v1/predict"):
        pass
    page.unroute("**/v1/predict")
    heading(page, "Above the threshold")


def test_busy_server_is_asked_again(desk: Visitor, upstream: ArrangedTorchServe, lesion: Lesions) -> None:
    upstream.queue_full = True
    with desk.page.expect_response(lambda answer: answer.status == 429):
        desk.drop(lesion("one.jpg", 0.3))
    upstream.queue_full = False
    expect(desk.page.get_by_role("heading", name="Above the threshold")).to_be_visible()


def test_locked_server_asks_for_a_key(
    visit: Callable[..., Visitor], upstream: ArrangedTorchServe, lesion: Lesions, tmp_path: Path
) -> None:
    key, line = generate("clinic")
    keys = tmp_path / "keys"
    keys.write_text(line)
    locked = Site(upstream, api_keys_file=keys)
    locked.start()
    try:
        visitor = visit(locked)
        page = visitor.page
        page.goto(locked.url)
        dialog = page.get_by_role("dialog")
        expect(dialog).to_be_visible()
        page.get_by_role("button", name="Cancel").click()
        expect(dialog).to_be_hidden()
        expect(page.locator("#status")).to_have_attribute("data-state", "locked")
        visitor.drop(lesion("one.jpg", 0.3))
        expect(dialog).to_be_visible()
        page.get_by_role("textbox", name="API key").fill("wrong")
        page.keyboard.press("Enter")
        expect(dialog).to_contain_text("not accepted")
        page.get_by_role("textbox", name="API key").fill(key)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Above the threshold")).to_be_visible()
        expect(page.locator("#status")).to_have_attribute("data-state", "ready")
    finally:
        locked.stop()
