"""The results on disk: a CSV file of every measurement, a table and a plot."""

from __future__ import annotations

import csv
import math
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path

from bench.comparison import CONCURRENCY, CROWD, Comparison, Row, medians
from bench.cores import Cores
from bench.payloads import SIZES
from bench.systems import ROOT
from bench.targets import MODEL, judge
from handler.backends import processor


def write(folder: Path, comparisons: Sequence[Comparison], cores: Cores, commit: str) -> Path:
    """measurements.csv, README.md and speed.png about the code of a commit; returns the page."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [row for comparison in comparisons for row in comparison.rows]
    with (folder / "measurements.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    page = folder / "README.md"
    page.write_text("\n".join(_page(comparisons, cores, commit)) + "\n", encoding="utf-8")
    _plot(folder / "speed.png", medians(rows))
    return page


def checked_out() -> str:
    """The commit of this checkout, marked when files differ from it."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _page(comparisons: Sequence[Comparison], cores: Cores, commit: str) -> list[str]:
    lines = [
        "# Speed",
        "",
        f"Written by `make bench` on {datetime.now(UTC):%d %B %Y}, commit {commit}. {processor.name()}; {cores}.",
        "Closed loop: every connection asks again as soon as",
        "it is answered. All systems are up and asked in turn, in several rounds; a figure is the median over rounds,",
        "the ratio of a target the median of the ratios within a round. Compare figures within one run only.",
        "A rate of 0 means that nothing was answered while it was measured.",
    ]
    for comparison in comparisons:
        lines += ["", f"## Model `{comparison.materials.name}`, {comparison.materials.manifest.geometry.size} px", ""]
        lines += _table(medians(comparison.rows))
        lines += ["", *_checks(comparison)]
        if comparison.materials.name == MODEL:
            lines += ["", "Targets:", ""]
            lines += [f"- {verdict}" for verdict in judge(comparison.rows, comparison.alone, comparison.crowded)]
    return [*lines, "", "![answers a second](speed.png)"]


def _table(rows: Sequence[Row]) -> list[str]:
    lines = [
        "| image | system | at once | answers/s | median ms | p99 ms | errors | memory MiB |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in sorted(rows, key=lambda row: (int(row.payload.split("x")[0]), row.concurrency, -row.rate)):
        memory = f"{row.memory_mb:.0f}" if not math.isnan(row.memory_mb) else ""
        cells = [row.payload, row.system, row.concurrency, f"{row.rate:.0f}", f"{row.p50_ms:.1f}", f"{row.p99_ms:.1f}"]
        lines.append("| " + " | ".join(map(str, [*cells, row.errors, memory])) + " |")
    return lines


def _checks(comparison: Comparison) -> list[str]:
    lines = ["Largest difference between a system's probabilities and ours:", ""]
    lines += [f"- {where}: {worst:.4f}" for where, worst in comparison.differences.items()]
    for told, whose in (
        (comparison.alone, "One request alone takes {:.2f} ms: "),
        (comparison.crowded, f"With {CROWD} at once the cores spend {{:.2f}} ms on each: "),
    ):
        if told:
            parts = [f"{name} {spent:.2f} ms" for name, spent in told.stages.items()]
            parts.append(f"HTTP, Java and the way to the worker {told.rest:.2f} ms")
            lines += ["", whose.format(told.whole) + ", ".join(parts) + "."]
    if comparison.memory:
        each = ", ".join(f"{name} {size:.0f} MiB" for name, size in comparison.memory.items())
        lines += ["", f"Resident memory after the load: {each}; together {sum(comparison.memory.values()):.0f} MiB."]
    return lines


def _plot(path: Path, rows: Sequence[Row]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    models = list(dict.fromkeys(row.model for row in rows))
    # The smallest image is the one that is sent at every number of requests at once.
    payload = min((row.payload for row in rows), key=list(SIZES).index)
    figure, axes = pyplot.subplots(1, len(models), figsize=(6 * len(models), 4), squeeze=False, layout="constrained")
    for axis, model in zip(axes[0], models, strict=True):
        mine = [row for row in rows if row.model == model and row.payload == payload]
        for system in dict.fromkeys(row.system for row in mine):
            points = sorted((row.concurrency, row.rate) for row in mine if row.system == system)
            axis.plot(*zip(*points, strict=True), marker="o", label=system)
        axis.set(title=f"{model}, {payload}", xlabel="requests at once", ylabel="answers a second")
        axis.set_xscale("log", base=2)
        axis.set_xticks(CONCURRENCY, map(str, CONCURRENCY))
        axis.set_ylim(bottom=0)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
