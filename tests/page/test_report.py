"""The report of an evaluation, opened from disk: on a phone, and on paper."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from lightning_module.report import compose
from tests.lightning_module import evaluated
from tests.lightning_module.rendered import rendered_page

pytestmark = pytest.mark.browser

TOO_WIDE = "box => box.scrollWidth - box.clientWidth"


@pytest.fixture
def report(browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """A report on a model that serves int8 and has fp32 beside it, as narrow as the smallest phone."""
    data = evaluated.fingerprint()
    said = evaluated.evaluation(data)
    [full] = said.logits.values()
    both = replace(
        said, served="int8", logits={"fp32": full, "int8": full}, images_per_second={"fp32": 1.0, "int8": 2.0}
    )
    rendered_page(compose(both, data, "test", replicates=20), tmp_path, monkeypatch, both)
    page = browser.new_page(viewport={"width": 320, "height": 640})
    page.goto((tmp_path / "report.html").as_uri())
    yield page
    page.close()


def test_on_a_phone_nothing_but_tables_and_sheets_moves_sideways(report: Page) -> None:
    assert report.locator("html").evaluate(TOO_WIDE) == 0
    sheet = report.locator(".errors .sheet")
    assert sheet.evaluate(TOO_WIDE) > 0
    # Drawn 1740 points wide with letters of 15: these are to be of nine or more on the screen.
    assert sheet.locator("img").evaluate("image => image.width") * 15 / 1740 >= 8.9


def test_the_first_figures_beside_a_metric_are_those_served_and_a_phone_shows_them_whole(report: Page) -> None:
    table = report.locator("table").first
    assert table.locator("thead th").all_inner_texts() == ["Metric", "int8 (served)", "fp32"]
    box = table.locator("tbody td").first.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= 320


def test_every_heading_of_a_table_says_what_it_heads(report: Page) -> None:
    assert report.locator("th").count() > 30
    assert report.locator("th:not([scope])").count() == 0
    assert report.locator("tbody tr > :first-child:not(th)").count() == 0


def test_on_paper_no_column_is_cut_off(report: Page) -> None:
    report.set_viewport_size({"width": 718, "height": 1000})
    report.emulate_media(media="print")
    assert report.locator("html").evaluate(TOO_WIDE) == 0
    tables = report.locator(".scroll").all()
    assert len(tables) >= 5
    assert [table.evaluate(TOO_WIDE) for table in tables] == [0] * len(tables)
