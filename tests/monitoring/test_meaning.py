"""Panels show what their queries give in its own unit, and nobody's page is kept from them by another namespace."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from k8s.monitoring import monitor
from k8s.monitoring.dashboards import DASHBOARDS
from tests.monitoring.panels import panels, queries

RULES = monitor.RULES.read_text(encoding="utf-8")
ALERTMANAGER: dict[str, Any] = yaml.safe_load(monitor.ALERTMANAGER.read_text(encoding="utf-8"))
QUANTILE = re.compile(r"histogram_quantile\([\d.]+, sum by \(le\) .*?(\w+)_bucket")
OF_METRICS = {"lesion_score": "percentunit", "gateway_answer_seconds": "s"}
# With none ready these only say the same again.
WITHIN_DOWN = {"DermserveFewPodsReady", "DermserveFlaps"}
SHARE = re.compile(r"^(1 - )?max\(namespace:\w+:ratio_rate\w+\{[^}]*\}\)$|^namespace\w*:\w+:ratio\w*\{[^}]*\}$")


def unit(query: str) -> str | None:
    """In what a query's values are; None where it does not tell."""
    if found := QUANTILE.search(query):
        return OF_METRICS[found[1]]
    if SHARE.match(query) or "lesion_batch_fill_sum" in query or "lesion_queue_remaining" in query:
        return "percentunit"
    if "_microseconds" in query:
        return "s" if query.endswith(" / 1e6") else "µs"
    if "_seconds_sum" in query:
        return "s"
    if re.search(r"_bytes\{[^}]*\}$", query):
        return "bytes"
    if re.match(r"(sum by \(\w+\) )?\(?rate\((gateway|lesion)_\w+_total", query):
        return "reqps"
    return None


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_panel_has_the_unit_of_its_queries(name: str) -> None:
    known = 0
    for panel in panels(name):
        if panel["type"] not in ("timeseries", "stat"):
            continue
        units = {unit(target["expr"]) for target in panel["targets"]} - {None}
        known += len(units)
        assert units <= {panel["fieldConfig"]["defaults"]["unit"]}, panel["title"]
    assert known >= 4


@pytest.mark.parametrize("name", DASHBOARDS)
def test_shares_of_several_namespaces_are_not_added(name: str) -> None:
    shares = [query for _, query in queries(name) if re.search(r"namespace\w*:\w+:(ratio|share)", query)]
    assert shares
    assert [query for query in shares if re.search(r"\bsum\b", query)] == []


def budget(record: str) -> float:
    """The share that the objective allows, from the alerts themselves."""
    found = {float(share) for share in re.findall(rf"{record}\w* > (?:[\d.]+ \* )?(0\.\d+)\n", RULES)}
    assert len(found) == 1
    return found.pop()


def test_a_burn_rate_is_in_budgets_of_its_own_objective() -> None:
    burning = [query for title, query in queries("service") if title == "Burn rate"]
    assert len(burning) == 6
    for query in burning:
        found = re.fullmatch(r"max\((namespace:\w+:ratio_rate)\w+\{.*\}\) / ([\d.]+)", query)
        assert found
        assert float(found[2]) == budget(found[1])


def test_an_objective_is_green_where_it_is_met() -> None:
    seen = 0
    for panel in panels("service"):
        if found := re.match(r"1 - max\((namespace:\w+:ratio_rate)", panel["targets"][0]["expr"]):
            missed, met = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
            assert (missed["color"], met["color"]) == ("red", "green")
            assert met["value"] == pytest.approx(1 - budget(found[1]))
            seen += 1
    assert seen == 2


def test_an_alert_silences_its_own_namespace_alone_and_no_page_but_the_slower_of_its_kind() -> None:
    pages = {rule["alert"] for group in yaml.safe_load(RULES)["groups"] for rule in group["rules"] if "alert" in rule}
    for rule in ALERTMANAGER["inhibit_rules"]:
        assert rule["equal"] == ["namespace"]
        [source], [target] = rule["source_matchers"], rule["target_matchers"]
        if target != 'severity="ticket"':
            loud = re.fullmatch(r'alertname="Dermserve(\w+?)(BurnsFast)?"', source)
            assert loud
            quiet = re.fullmatch(r'alertname=~"(.+)"', target)
            assert quiet
            kind = f"Dermserve{loud[1]}"
            slower = {f"{kind}BurnsSteadily", f"{kind}BudgetShrinks"}
            assert set(quiet[1].split("|")) == (slower if loud[2] else WITHIN_DOWN) <= pages
            assert loud[2] or loud[1] == "Down"


def test_a_page_is_told_at_once_and_more_often_than_a_ticket() -> None:
    route = ALERTMANAGER["route"]
    [pages] = [inner for inner in route["routes"] if inner["matchers"] == ['severity="page"']]
    assert pages["group_wait"] == "0s"
    assert (pages["repeat_interval"], route["repeat_interval"]) == ("30m", "4h")
