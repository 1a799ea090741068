"""The rules do what they say: promtool's unit tests pass, none is untested, each alert is explained."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8s.monitoring import generate, monitor

ROOT = Path(__file__).resolve().parents[2]
TESTS = sorted(Path(__file__).with_name("rules").glob("*.yaml"))
GROUPS: list[dict[str, Any]] = yaml.safe_load(monitor.RULES.read_text())["groups"]
RULES: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDS = {rule["record"] for rule in RULES if "record" in rule}
CASES: list[dict[str, Any]] = [case for path in TESTS for case in yaml.safe_load(path.read_text())["tests"]]


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_promtool(path: Path) -> None:
    done = subprocess.run(["promtool", "test", "rules", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_is_shown_to_fire_and_to_keep_silent(alert: str) -> None:
    checks = [check for case in CASES for check in case.get("alert_rule_test", []) if check["alertname"] == alert]
    assert any(check["exp_alerts"] for check in checks)
    assert any(not check["exp_alerts"] for check in checks)


@pytest.mark.parametrize("record", sorted(RECORDS))
def test_every_recording_has_an_expected_value(record: str) -> None:
    expressions = [check["expr"] for case in CASES for check in case.get("promql_expr_test", [])]
    assert any(expression.startswith(f"round({record}, ") for expression in expressions)


def test_a_broken_rule_fails_its_test(tmp_path: Path) -> None:
    rules = monitor.RULES.read_text().replace("sum by (namespace) (gateway_ready) == 0", "sum(gateway_ready) == 0")
    (tmp_path / "rules.yaml").write_text(rules)
    case = Path(__file__).with_name("rules") / "state.yaml"
    broken = tmp_path / "state.yaml"
    broken.write_text(case.read_text().replace("../../../k8s/monitoring/rules.yaml", "rules.yaml"))
    done = subprocess.run(["promtool", "test", "rules", str(broken)], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "DermserveDown" in done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_severity_summary_and_runbook(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert "$labels." in rule["annotations"]["summary"]
    assert rule["annotations"]["description"]
    page, anchor = rule["annotations"]["runbook"].split("#")
    assert anchor == alert.lower()
    text = (ROOT / page).read_text()
    section = re.search(rf"^## {alert}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section is not None, f"{page} has no section {alert}"
    assert f"**{rule['labels']['severity'].title()}.**" in section[1]
    assert re.search(r"```(sh|promql)\n|`(kubectl|curl|promtool) ", section[1]), f"{alert}: nothing to type"


def test_the_runbooks_explain_no_alert_that_is_gone() -> None:
    text = (ROOT / "k8s/monitoring/runbooks.md").read_text()
    assert set(re.findall(r"^## (Dermserve\w+)$", text, re.MULTILINE)) == set(ALERTS)
    anchors = {
        re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", text, re.M)
    }
    assert set(re.findall(r"\]\(#([\w-]+)\)", text)) <= anchors


def test_the_generated_files_are_fresh() -> None:
    assert generate.stale() == []


def test_a_changed_rule_is_noticed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = tmp_path / "rules.yaml"
    changed.write_text(generate.RULES.read_text().replace("> 0.25", "> 0.5"))
    monkeypatch.setattr(generate, "RULES", changed)
    assert generate.main(["--check"]) == 1
    assert "prometheus-rule.yaml is stale" in capsys.readouterr().out


def test_a_drill_changes_durations_only() -> None:
    original = monitor.RULES.read_text()
    drill = yaml.safe_load(monitor.hurried(original, "2s"))
    for before, after in zip(yaml.safe_load(original)["groups"], drill["groups"], strict=True):
        for rule, hurried in zip(before["rules"], after["rules"], strict=True):
            if "for" in rule:
                assert hurried["for"] == "2s"
            assert {**hurried, "for": None} == {**rule, "for": None}


def test_alertmanager_accepts_its_configuration() -> None:
    done = subprocess.run(
        ["amtool", "check-config", str(monitor.ALERTMANAGER)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    inhibited = re.findall(r"Dermserve\w+", monitor.ALERTMANAGER.read_text())
    assert set(inhibited) <= set(ALERTS)
