"""The in-process limit is what the others are measured against: it must not be more than the cores did."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench import limit

PROGRAM = f"#!{sys.executable}\nprint('ready', flush=True)\ninput()\nprint([0.8, 0.8, 0.8])\n"


def test_a_batch_that_ends_late_counts_with_the_time_that_it_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text(PROGRAM)
    program.chmod(0o700)
    monkeypatch.setattr(limit, "sys", SimpleNamespace(executable=str(program)))
    monkeypatch.setattr(limit, "pinned_to", lambda _: None)
    sample = limit.measure(tmp_path, tmp_path, cores=[0, 1], batch=4, seconds=2.0)
    assert len(sample.latencies) == 2 * 3 * 4
    assert sample.rate == pytest.approx(2 * 4 / 0.8)
