"""What single modules of the page make of a number, a manifest or a file name: words, widths, marks and columns."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from handler.notice import NOTICE
from tests.page.conftest import Site
from tests.page.upstream import answer, manifest

pytestmark = pytest.mark.browser
Ask = Callable[..., Any]
CALL = """async ([module, name, given]) => {
    const result = (await import(`/static/${module}`))[name](...given);
    const nodes = [result].flat(Infinity);
    if (!nodes.some((node) => node instanceof Node)) return result;
    const host = document.createElement("div");
    host.append(...nodes.filter(Boolean));
    const seen = [...host.querySelectorAll("*")];
    return seen.map(({ tagName, className, style, attributes, textContent }) => ({
        tag: tagName.toLowerCase(),
        class: className.baseVal ?? className,
        style: Object.fromEntries([...style].map((key) => [key, style.getPropertyValue(key)])),
        attributes: Object.fromEntries([...attributes].map(({ name, value }) => [name, value])),
        text: textContent,
    }));
}"""


@pytest.fixture(scope="module")
def page(browser: Browser, site: Site) -> Iterator[Page]:
    context = browser.new_context(service_workers="block")
    page = context.new_page()
    page.goto(site.url)
    yield page
    context.close()


@pytest.fixture
def ask(page: Page) -> Ask:
    """ask("words.js", "chance", 0.5): what a function says, or every element that it makes."""
    return lambda module, name, *given: page.evaluate(CALL, [module, name, list(given)])


def of(elements: list[dict[str, Any]], wanted: str) -> list[dict[str, Any]]:
    return [element for element in elements if wanted in element["class"].split()]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "under 1 %"),
        (0.0049, "under 1 %"),
        (0.005, "0.5 %"),
        (0.031, "3.1 %"),
        (0.1, "10.0 %"),
        (0.614, "61 %"),
        (0.994, "99 %"),
        (0.995, "over 99 %"),
        (1, "over 99 %"),
    ],
)
def test_a_probability_is_neither_nothing_nor_certain(ask: Ask, value: float, words: str) -> None:
    assert ask("words.js", "chance", {"probability": value, "threshold": 0.3}) == words


@pytest.mark.parametrize(("score", "share"), [(0, 0), (0.1, 0.3), (0.2, 0.6), (0.6, 0.8), (1, 1)])
def test_within_a_bin_reference_scores_count_as_evenly_spread(ask: Ask, score: float, share: float) -> None:
    found = ask("gauge.js", "shareBelow", score, {"edges": [0, 0.2, 1], "counts": [60, 40]})
    assert found == pytest.approx(share)


def test_bars_show_density_and_those_from_the_threshold_on_are_marked(ask: Ask) -> None:
    drawn = ask("gauge.js", "distribution", 0.5, {"edges": [0, 0.1, 0.5, 1], "counts": [10, 40, 200]})
    bars = [element["attributes"] for element in drawn if element["tag"] == "rect"]
    assert [float(bar["height"]) for bar in bars] == pytest.approx([20, 20, 40])
    assert [bar.get("class") for bar in bars] == [None, None, "beyond"]


def test_marks_stand_at_their_share_of_the_width(ask: Ask) -> None:
    scored = {"probability": 0.25, "threshold": 0.5, "label": "benign"}
    small = ask("gauge.js", "minibar", scored)
    assert of(small, "minibar-fill")[0]["style"]["width"] == "25%"
    assert of(small, "minibar-threshold")[0]["style"]["left"] == "50%"
    assert of(ask("gauge.js", "gauge", scored, None), "gauge-fill")[0]["style"]["width"] == "25%"


def result(ask: Ask, crop: float = 1.0, **changes: Any) -> list[dict[str, Any]]:
    """The elements of one image's view."""
    said = answer(0.3) | changes
    lesion = {"id": 1, "name": "a.jpg", "url": "data:,", "state": "done", "answer": said, "problem": None}
    known = manifest()
    known["geometry"]["crop"] = crop
    options = {"model": {"manifest": known}, "away": None, "around": [None, None], "actions": {}}
    found: list[dict[str, Any]] = ask("result.js", "resultView", lesion, options)
    return found


@pytest.mark.parametrize(("sensitivity", "told"), [(0.95, True), (0.9, False)])
def test_figures_of_the_held_out_images_belong_to_the_served_threshold(
    ask: Ask, sensitivity: float, told: bool
) -> None:
    terms = [element["text"] for element in result(ask, sensitivity=sensitivity) if element["tag"] == "dt"]
    assert ("Sensitivity on held-out images" in terms) is told
    assert ("Specificity on held-out images" in terms) is told


@pytest.mark.parametrize(("sharpness", "low"), [(0.2, 0), (0.1999, 1)])
def test_a_quality_at_its_limit_is_enough(ask: Ask, sharpness: float, low: int) -> None:
    quality = {"sharpness": sharpness, "exposure": 0.9, "familiarity": 0.7}
    assert len(of(result(ask, quality=quality), "low")) == low


def test_the_frame_is_the_part_that_the_model_sees(ask: Ask) -> None:
    [frame] = of(result(ask, crop=0.6), "crop")
    assert frame["style"]["--crop"] == "0.6"


def test_a_table_runs_no_formula_and_has_quality_messages_and_notice(ask: Ask) -> None:
    names = ["=1", "+1", "-1", "@a", "a=1"]
    lesions = [{"name": name, "answer": answer(0.3), "problem": None} for name in names]
    problem = {"reason": "too_small", "message": "Send a larger one."}
    text = ask("export.js", "csv", [*lesions, {"name": "b.jpg", "answer": None, "problem": problem}])
    *rows, refused = csv.DictReader(text.splitlines())
    assert [row["file"] for row in rows] == ["'=1", "'+1", "'-1", "'@a", "a=1"]
    told = [rows[0][column] for column in ("sharpness", "exposure", "familiarity", "version")]
    assert told == ["0.82", "0.91", "0.64", "1.0"]
    assert (refused["error"], refused["message"]) == ("too_small", "Send a larger one.")
    assert {row["notice"] for row in (*rows, refused)} == {NOTICE}


def test_a_card_links_nowhere_that_runs_code(ask: Ask) -> None:
    text = "[a](https://example.org) [b](javascript:alert%281%29) [c](data:text/html,x) ![d](https://example.org/d.png)"
    drawn = ask("markdown.js", "markdown", text)
    assert [element["attributes"]["href"] for element in drawn if element["tag"] == "a"] == ["https://example.org"]
    assert not [element for element in drawn if element["tag"] == "img"]


def test_a_threshold_on_the_card_has_the_interval_of_each_of_its_figures(ask: Ask) -> None:
    drawn = ask("card.js", "cardView", {"manifest": manifest(), "card": ""}, None)
    [served] = [element["text"] for element in drawn if element["tag"] == "tr" and "served" in element["text"]]
    assert served == "95 % sensitivityserved0.14292.1 % to 97.2 %69.4 %66.8 % to 71.9 %"
