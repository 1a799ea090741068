"""What the proof makes and prints: two archives that behave as they are named, and a row for each fault."""

from __future__ import annotations

import json
import subprocess
import zipfile
from pathlib import Path

import pytest

from handler.errors import BundleError
from handler.predictor import Predictor
from k8s.proof import table, variants
from k8s.validate.build import ROOT
from stack import archive


def unpacked(path: Path, folder: Path) -> Path:
    with zipfile.ZipFile(path) as packed:
        packed.extractall(folder)
    return folder / "bundle"


def test_the_next_model_serves_and_the_bad_one_refuses(tmp_path: Path) -> None:
    shipped = ROOT / "model_store" / "lesion.mar"
    made = {name: variants.write(shipped, tmp_path / name, change) for name, change in variants.VARIANTS.items()}
    assert len({archive.verify(path) for path in [shipped, *made.values()]}) == 3
    version = archive.manifest(shipped)["version"]
    following = Predictor.load(unpacked(made["next"], tmp_path / "a"))
    assert following.manifest.version == f"{version}-next"
    with pytest.raises(BundleError, match="logits"):
        Predictor.load(unpacked(made["bad"], tmp_path / "b"))


def test_a_row_holds_counts_times_and_what_was_seen(tmp_path: Path) -> None:
    told = {"requests": 9, "failed": 1, "outcomes": {"200": 8, "503": 1}, "models": {"1.0 aa": 5, "1.1 bb": 3}}
    times = {"p50_ms": 20, "p99_ms": 70, "max_ms": 90}
    (tmp_path / "delete-1.json").write_text(json.dumps(told | times))
    (tmp_path / "delete-1.seen").write_text("containers ended after 12 s\npod gone after 13 s\n")
    *_, row = table.table(tmp_path).splitlines()
    assert row == (
        "| delete-1 | 9 | 1 | 20 / 70 / 90 ms | containers ended after 12 s; pod gone after 13 s; "
        "models that answered: 1.0 aa 5, 1.1 bb 3; failed with 503: 1 |"
    )


@pytest.mark.parametrize("script", ["faults.sh", "images.sh", "prove.sh"])
def test_a_script_without_words_says_how_it_is_used_and_does_nothing(script: str) -> None:
    done = subprocess.run(
        [ROOT / "k8s/proof" / script], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert f"k8s/proof/{script}" in done.stderr
    assert "PYTHON" in done.stderr
