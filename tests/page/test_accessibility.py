"""axe, on every view, at both sizes and in both colour schemes: nothing serious, nothing critical."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import FilePayload, Page, expect

from tests.page.conftest import Lesions, Site, Visitor

pytestmark = pytest.mark.browser
GRAVE = ("serious", "critical")


def judge(page: Page, view: str) -> None:
    findings = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    grave = [
        f"{view}: {finding['id']} ({finding['impact']}) at {finding['nodes'][0]['target']}: {finding['help']}"
        for finding in findings
        if finding["impact"] in GRAVE
    ]
    assert grave == []


@pytest.mark.parametrize(("size", "scheme"), [("desktop", "light"), ("phone", "dark")])
def test_axe_finds_nothing_grave(
    visit: Callable[..., Visitor], site: Site, lesion: Lesions, size: str, scheme: str
) -> None:
    visitor = visit(site, size, color_scheme=scheme, reduced_motion="reduce")
    page = visitor.open()
    judge(page, "start")
    visitor.choose(lesion("arm.jpg", 0.62, look="mel", angle=1.3, classes={"mel": 0.62, "nv": 0.38}))
    page.get_by_role("button", name="Show what raised the score").click()
    expect(page.locator(".heat")).to_be_visible()
    judge(page, "result with overlay")
    letter: FilePayload = {"name": "letter.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4"}
    visitor.choose(lesion("back.jpg", 0.05), lesion("leg.jpg", 0.08), lesion("scalp.jpg", None, "blurred"), letter)
    expect(page.get_by_role("heading", name="5 images")).to_be_visible()
    expect(page.locator(".lesions [data-label=pending]")).to_have_count(0)
    judge(page, "list")
    page.get_by_role("link", name="scalp.jpg").click()
    judge(page, "abstention")
    page.get_by_role("link", name="Next image").click()
    expect(page.get_by_role("heading", name="This is not an image")).to_be_visible()
    judge(page, "error")
    page.get_by_role("link", name="All images").click()
    page.get_by_role("link", name="Same patient: compare").click()
    expect(page.locator(".ranked")).to_have_count(4)
    judge(page, "same patient")
    page.get_by_role("link", name="Model card").click()
    expect(page.get_by_role("heading", name="Thresholds")).to_be_visible()
    judge(page, "model card")
