"""`python -m lightning_module`: which commands there are, and what is said where training is not installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_module.__main__ import COMMANDS, main

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("argv", "status"), [(["--help"], 0), ([], 2), (["nonsense"], 2)])
def test_every_command_is_offered(argv: list[str], status: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == status
    told = capsys.readouterr()
    text = told.err if status else told.out
    assert {"fit", "bundle", "evaluate", "archive", "synthesize", "download"} <= set(text.split())
    assert ("'nonsense'" in text) == (argv == ["nonsense"])


@pytest.mark.parametrize(
    ("words", "checkpoint"),
    [
        ([], "runs/lesion/best.ckpt"),
        (["CONFIG=ham10000_clear"], "runs/lesion_clear/best.ckpt"),
        (["CONFIG=ham10000_clear", "CKPT=mine.ckpt"], "mine.ckpt"),
    ],
)
def test_a_bundle_is_made_from_the_checkpoint_of_its_configuration(words: list[str], checkpoint: str) -> None:
    printed = subprocess.run(
        ["make", "--dry-run", "bundle", *words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert f"--ckpt '{checkpoint}' " in printed.stdout


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_offered_command_exists(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert "usage" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["synthesize", "fit", "bundle"])
def test_without_torch_one_line_says_what_to_install(command: str, tmp_path: Path) -> None:
    absent = "import sys\nfor name in ('torch', 'torchvision', 'pandas'):\n    sys.modules[name] = None\n"
    (tmp_path / "sitecustomize.py").write_text(absent)
    told = subprocess.run(
        [sys.executable, "-m", "lightning_module", command, str(tmp_path / "new")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 1
    [line] = told.stderr.splitlines()
    assert "is not installed" in line
    assert "pip install -e '.[train]'" in line


@pytest.mark.parametrize(
    "words",
    [
        ["bundle", "--ckpt", "missing.ckpt", "--data", "missing", "--output", "taken.jpg"],
        ["describe", "--bundle", "missing", "--data", "missing", "--output", "taken.jpg"],
        ["evaluate", "--bundle", "missing", "--data", "missing", "--output", "taken.jpg"],
        ["synthesize", "taken.jpg"],
    ],
)
def test_an_output_that_cannot_be_written_is_told_before_the_work(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("taken.jpg").touch()
    try:
        status = main(words)
    except SystemExit as ended:  # argparse's own way
        status = ended.code  # type: ignore[assignment]
    assert status in (1, 2)
    told = capsys.readouterr().err.splitlines()[-1]
    assert "taken.jpg" in told
    assert "missing" not in told
