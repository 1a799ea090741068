"""The rows of PROOF.md from what a run of faults.sh left: python k8s/proof/table.py FOLDER."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def row(report: Path) -> str:
    """One fault: what load.py counted, and beside it what faults.sh saw (the .seen file)."""
    told = json.loads(report.read_text(encoding="utf-8"))
    times = f"{told.get('p50_ms', '-')} / {told.get('p99_ms', '-')} / {told['max_ms']} ms"
    others = {outcome: count for outcome, count in told["outcomes"].items() if outcome != "200"}
    seen = report.with_suffix(".seen")
    lines = seen.read_text(encoding="utf-8").splitlines() if seen.is_file() else []
    if len(told["models"]) > 1:
        lines.append("models that answered: " + ", ".join(f"{name} {count}" for name, count in told["models"].items()))
    if others:
        lines.append("failed with " + ", ".join(f"{outcome}: {count}" for outcome, count in others.items()))
    return f"| {report.stem} | {told['requests']} | {told['failed']} | {times} | {'; '.join(lines)} |"


def table(folder: Path) -> str:
    """All faults of a folder in the order in which they were made."""
    reports = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    head = "| fault | requests | failed | median / p99 / slowest | what else was seen |\n|---|---|---|---|---|"
    return "\n".join([head, *map(row, reports)])


if __name__ == "__main__":
    print(table(Path(sys.argv[1])))
