"""`throughput` states both rates and their ratio, or why it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lightning_module import throughput
from lightning_module.datasets import synthetic


def test_both_rates_and_their_ratio_are_written(tmp_path: Path) -> None:
    folder = synthetic.render(tmp_path / "data", 60, size=(80, 60))
    shared = ["--data", str(folder), "--architecture", "small_cnn", "--size", "32", "--accelerator", "cpu"]
    shared += ["--cache-folder", str(tmp_path / "cache")]
    throughput.main([*shared, "--batch-size", "4", "--steps", "3", "--output", str(tmp_path / "figures.json")])
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["images_per_second"] > 0
    ratio = figures["images_per_second"] / figures["random_tensors_per_second"]
    assert figures["ratio"] == pytest.approx(ratio, rel=0.05)
    with pytest.raises(SystemExit, match="Lower --batch-size"):
        throughput.main([*shared, "--batch-size", "32"])


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--data", "nowhere"], "nowhere: no such folder"),
        (["--data", "nowhere", "--architecture", "resnet19"], "Unknown architecture 'resnet19'"),
        (["--data", "nowhere", "--size", "3"], "data.size is 3"),
    ],
)
def test_what_cannot_be_measured_ends_in_one_line(words: list[str], complaint: str) -> None:
    with pytest.raises(SystemExit, match=f"throughput: {complaint}"):
        throughput.main([*words, "--accelerator", "cpu"])
