"""Targets, breakdown and the page are computed from rows, whoever measured them."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

from bench import report, systems, targets
from bench.comparison import Comparison, Row, probability
from bench.cores import Cores
from bench.stages import Breakdown

ROW = Row(
    model="resnet18",
    payload="600x450",
    system=systems.OURS,
    concurrency=32,
    turn=0,
    rate=450.0,
    p50_ms=70.0,
    p95_ms=80.0,
    p99_ms=90.0,
    errors=0,
    seconds=4.0,
    memory_mb=700.0,
)
CORES = Cores(frozenset({0, 1}), frozenset({2, 3}))


def rows() -> list[Row]:
    others = {systems.LIMIT: 500.0, systems.STOCK_ONE: 40.0, systems.FLASK: 340.0}
    return [
        ROW,
        *(replace(ROW, system=name, rate=rate) for name, rate in others.items()),
        replace(ROW, concurrency=1, p50_ms=7.0),
        replace(ROW, concurrency=1, p50_ms=6.5, system=systems.FLASK),
        replace(ROW, rate=360.0, system=systems.GATEWAY),
        replace(ROW, concurrency=1, p50_ms=8.2, system=systems.GATEWAY),
    ]


def test_ratios_are_judged_by_the_targets() -> None:
    verdicts = targets.judge(rows(), None, None)
    assert [verdict.met for verdict in verdicts] == [True, True, True, True, None, None, None, False, True]
    assert verdicts[0].found == pytest.approx(0.9)
    assert verdicts[3].found == pytest.approx(7.0 / 6.5)
    assert "not measured" in str(verdicts[4])
    assert verdicts[7].found == pytest.approx(0.8)
    assert verdicts[8].found == pytest.approx(1.2)


def test_a_missed_target_is_said() -> None:
    slow = [replace(row, rate=400.0) if row.system == systems.OURS else row for row in rows()]
    assert str(targets.judge(slow, None, None)[0]).endswith("0.80 MISSED")


def test_other_models_are_not_judged() -> None:
    shipped = [replace(row, model="shipped") for row in rows()]
    assert {verdict.met for verdict in targets.judge(shipped, None, None)} == {None}


def test_the_breakdown_adds_up() -> None:
    before = {"decode": 1.0, "inference": 2.0, "requests": 100.0}
    after = {"decode": 1.3, "inference": 2.2, "quality": 0.05, "requests": 200.0}
    told = Breakdown.between(before, after, 0.007)
    assert told.stages == pytest.approx({"decode": 3.0, "inference": 2.0, "quality": 0.5})
    assert told.rest == pytest.approx(1.5)
    assert told.share("quality") == pytest.approx(0.5 / 7)
    crowded = Breakdown.between(before, after, 0.005)
    assert [verdict.met for verdict in targets.judge([], told, crowded)[5:7]] == [True, False]


def test_the_page_the_table_and_the_plot(tmp_path: Path) -> None:
    comparison: Any = SimpleNamespace(
        rows=rows(),
        materials=SimpleNamespace(name="resnet18", manifest=SimpleNamespace(geometry=SimpleNamespace(size=224))),
        differences={"Flask + gunicorn, 600x450": 0.0},
        alone=Breakdown({"decode": 3.0}, 7.0),
        crowded=Breakdown({"decode": 2.0}, 5.0),
        memory={"java 1": 220.0, "python 2": 150.0},
    )
    page = report.write(tmp_path, [cast(Comparison, comparison)], CORES, "0123abc").read_text()
    assert "| 600x450 | dermserve | 32 | 450 | 70.0 | 90.0 | 0 | 700 |" in page
    assert "together 370 MiB" in page
    assert "commit 0123abc." in page
    assert "With 32 at once the cores spend 5.00 ms on each: decode 2.00 ms, HTTP, Java" in page
    assert "2 cores serve, the load generator has 2 others" in page
    with (tmp_path / "measurements.csv").open() as stream:
        told = list(csv.DictReader(stream))
    assert len(told) == len(rows())
    assert told[0]["rate"] == "450.0"
    assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")


def test_the_plot_shows_the_image_that_is_sent_at_every_concurrency(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Figure] = []
    monkeypatch.setattr(pyplot, "close", kept.append)
    several = [replace(ROW, concurrency=at_once, rate=100.0 * at_once) for at_once in (1, 8, 32)]
    comparison: Any = SimpleNamespace(
        rows=[replace(ROW, payload="1024x768", concurrency=8), *several],
        materials=SimpleNamespace(name="resnet18", manifest=SimpleNamespace(geometry=SimpleNamespace(size=224))),
        differences={},
        alone=None,
        crowded=None,
        memory={},
    )
    report.write(tmp_path, [cast(Comparison, comparison)], CORES, "0123abc")
    [axes] = kept[0].axes
    assert axes.get_title() == "resnet18, 600x450"
    [line] = axes.get_lines()
    assert list(line.get_ydata()) == [100.0, 800.0, 3200.0]


def test_probabilities_of_both_kinds_of_answer() -> None:
    assert probability({"label": "benign", "probability": 0.25}) == 0.25
    assert probability({"label": "abstain", "probability": None}) is None
    assert probability({"benign": 0.75, "malignant": 0.25, "-": 0.0}) == 0.25
