"""Each verb hands its words on to the command that it stands for."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WORDS = ["DATA=d", "CONFIG=synthetic", "CKPT=c.ckpt", "BUNDLE=b", "REPORT=r", "ARGS=--more"]
MODULE = ".venv/bin/python -m lightning_module"


@pytest.mark.parametrize(
    ("verb", "lines"),
    [
        ("train", [f"{MODULE} fit --config lightning_module/configs/synthetic.yaml --data.folder d --more"]),
        ("bundle", [f"{MODULE} bundle --ckpt c.ckpt --data d --output b --more"]),
        ("evaluate", [f"{MODULE} evaluate --bundle b --data d --output r --more"]),
        ("archive", [f"{MODULE} archive --bundle b --output model_store/lesion.mar --more"]),
        ("lint", [".venv/bin/ruff check .", ".venv/bin/ruff format --check .", ".venv/bin/mypy"]),
        ("k8s-validate", [".venv/bin/python -m k8s.validate --more"]),
    ],
)
def test_a_verb_is_its_command(verb: str, lines: list[str]) -> None:
    told = subprocess.run(["make", "--dry-run", verb, *WORDS], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-len(lines) :] == lines
