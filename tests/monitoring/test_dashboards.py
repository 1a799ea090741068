"""The dashboards are complete: units, thresholds, runbooks that exist, variables that filter, no overlaps."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from k8s.monitoring import monitor
from k8s.monitoring.dashboards import DASHBOARDS
from tests.monitoring.panels import committed, filled, panels, queries
from tests.monitoring.promql import metrics

RUNBOOKS = Path(__file__).resolve().parents[2] / "k8s" / "monitoring" / "runbooks.md"
ANCHORS = {title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", RUNBOOKS.read_text(), re.MULTILINE)}

RULES = [rule for group in yaml.safe_load(monitor.RULES.read_text())["groups"] for rule in group["rules"]]
JOIN = r"\band on \(namespace, pod\) \w+(\([^()]*\))?"
# Another series than the alert's, and its runbook is the right one all the same.
RELATED = {
    ("Problems", "dermserveerrors"),  # every error, where the alert has those of images
    ("Time in the queue", "dermservequeuefull"),
    ("Requests asked twice", "dermserveworkersdie"),  # what the deaths cost
}

each = pytest.mark.parametrize("name", DASHBOARDS)


def series(expression: str) -> set[str]:
    """What an expression is about: recordings resolved, no joins that only pick pods, metrics without their parts."""
    found = set()
    for name in metrics(re.sub(JOIN, " ", expression)):
        recorded = [rule["expr"] for rule in RULES if rule.get("record") == name]
        found |= set().union(*map(series, recorded)) if recorded else {re.sub("_(sum|count|bucket|total)$", "", name)}
    return found


@each
def test_a_panel_has_title_description_query_and_unit(name: str) -> None:
    seen = list(panels(name))
    assert len(seen) >= 10
    assert len({panel["id"] for panel in seen}) == len(seen)
    for panel in seen:
        assert panel["title"]
        assert panel["description"].endswith(".")
        letters = [target["refId"] for target in panel["targets"]]
        assert letters == list("ABCDEFGHIJ")[: len(letters)]
        assert letters
        assert panel["datasource"] == {"type": "prometheus", "uid": "$datasource"}
        if panel["type"] == "heatmap":
            assert panel["options"]["yAxis"]["unit"]
        elif panel["type"] != "table":
            assert panel["fieldConfig"]["defaults"]["unit"]
        if panel["type"] == "stat":
            assert len(panel["fieldConfig"]["defaults"]["thresholds"]["steps"]) >= 2


@each
def test_runbook_links_lead_somewhere(name: str) -> None:
    links = [link["url"] for panel in panels(name) for link in panel.get("links") or []]
    assert links
    for link in links:
        variable, anchor = link.split("#")
        assert variable == "${runbooks}"
        assert anchor in ANCHORS


def test_a_panel_links_to_an_alert_about_what_it_shows() -> None:
    alerts = {rule["alert"].lower(): series(rule["expr"]) for rule in RULES if "alert" in rule}
    strangers = set()
    for panel in (panel for name in DASHBOARDS for panel in panels(name)):
        shown = set().union(*(series(target["expr"]) for target in panel["targets"]))
        anchors = {link["url"].partition("#")[2] for link in panel.get("links") or []}
        strangers |= {(panel["title"], anchor) for anchor in anchors & alerts.keys() if not shown & alerts[anchor]}
    assert strangers == RELATED


@each
def test_model_and_version_can_be_chosen_and_matter(name: str) -> None:
    variables = {variable["name"] for variable in committed(name)["templating"]["list"]}
    assert variables == {"datasource", "namespace", "model", "version", "runbooks"}
    text = [query for _, query in queries(name)]
    assert any('name=~"$model"' in query and 'version=~"$version"' in query for query in text)
    for query in text:
        filled(query)


@each
def test_panels_lie_beside_each_other(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in committed(name)["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_what_the_three_show() -> None:
    titles = {name: {panel["title"] for panel in panels(name)} for name in DASHBOARDS}
    assert {"Requests", "Problems", "Latency of /v1/predict", "Queue", "Batch fill", "Time of a stage"} <= titles[
        "service"
    ]
    assert {"Scores against the reference", "Drift (PSI)", "Abstention", "Rejections", "Outcomes"} <= titles["model"]
    assert {"Ready", "Workers", "Versions", "Memory of the limit", "Restarts"} <= titles["pods"]
    assert {committed(name)["uid"] for name in DASHBOARDS} == {f"dermserve-{name}" for name in DASHBOARDS}


def test_a_number_carries_its_notice() -> None:
    assert all("Not a medical device" in committed(name)["description"] for name in DASHBOARDS)
