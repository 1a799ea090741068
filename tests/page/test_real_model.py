"""From the dropped image to TorchServe, the handler and back: nothing between the page and a real bundle is made up."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import pytest
from PIL import Image
from playwright.sync_api import FilePayload, expect

from lightning_module.datasets.rendering import lesion_jpeg
from tests.page.conftest import Site, Visitor
from tests.torchserve import TorchServe

pytestmark = [pytest.mark.browser, pytest.mark.stack]


@pytest.fixture(scope="module")
def real(torchserve: TorchServe) -> Iterator[Site]:
    site = Site(torchserve)
    site.start()
    yield site
    site.stop()


def drawn(name: str, look: str, seed: int) -> FilePayload:
    return {"name": name, "mimeType": "image/jpeg", "buffer": lesion_jpeg(look, seed, seed, (600, 450))}


def blank() -> FilePayload:
    buffer = io.BytesIO()
    Image.new("RGB", (600, 450), (128, 128, 128)).save(buffer, "PNG")
    return {"name": "blank.png", "mimeType": "image/png", "buffer": buffer.getvalue()}


def test_answer_overlay_refusal_abstention_comparison_and_card(visit: Callable[..., Visitor], real: Site) -> None:
    visitor = visit(real, service_workers="allow")
    page = visitor.open()
    visitor.drop(drawn("arm.jpg", "mel", 1))
    expect(page.locator(".numeral")).to_contain_text("%")
    expect(page.locator(".figures")).to_contain_text("lesion 1.0")
    page.get_by_role("button", name="Show what raised the score").click()
    expect(page.locator(".heat")).to_be_visible()
    assert page.locator(".heat").evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    expect(page.locator(".overlay-panel")).to_contain_text("outline of the lesion")

    letter: FilePayload = {"name": "letter.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4 not an image"}
    visitor.choose(drawn("back.jpg", "nv", 2), drawn("leg.jpg", "nv", 3), blank(), letter)
    expect(page.get_by_role("heading", name="5 images")).to_contain_text("1 without an answer · 1 not readable")
    page.get_by_role("link", name="letter.pdf").click()
    expect(page.get_by_role("heading", name="This image format cannot be read")).to_be_visible()
    page.get_by_role("link", name="Previous image").click()
    expect(page.locator(".reasons li")).not_to_have_count(0)

    page.get_by_role("link", name="All images").click()
    page.get_by_role("link", name="Same patient: compare").click()
    expect(page.locator(".ranked")).to_have_count(4)
    expect(page.locator(".ranked .difference")).to_have_count(3)
    page.get_by_role("link", name="Model card").click()
    expect(page.get_by_role("row", name="served")).to_contain_text("%")
