"""Each verb hands its words on to its program as they were told, and no shell takes them for commands."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parents[1] / "Makefile"
NAMES = ["sp ace", "it's", 'a "quoted" one', "$$HOME; touch PWN", "`touch PWN`", "two  spaces", "~", "a~/b"]
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
    command = ["make", "--no-print-directory", "--dry-run", verb, *WORDS]
    told = subprocess.run(command, cwd=MAKEFILE.parent, capture_output=True, text=True, check=True)
    assert [" ".join(shlex.split(line)) for line in told.stdout.splitlines()[-len(lines) :]] == lines


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout whose environment is made, and whose Python prints its arguments."""
    configs = tmp_path / "lightning_module" / "configs"
    configs.mkdir(parents=True)
    (configs / "ham10000.yaml").write_text("trainer:\n  default_root_dir: runs/it's here\n")
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    python.chmod(0o755)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / ".venv" / ".dev").touch()
    return tmp_path


def make(folder: Path, *words: str) -> list[str]:
    """The arguments that the program got."""
    command = ["make", "--silent", "--file", str(MAKEFILE), *words]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert not list(folder.rglob("PWN"))
    return list(json.loads(ran.stdout))


@pytest.mark.parametrize("name", NAMES)
def test_a_path_reaches_the_program_whole(folder: Path, name: str) -> None:
    told = name.replace("$$", "$")
    for verb, variable, option in (
        ("train", "DATA", "--data.folder"),
        ("bundle", "DATA", "--data"),
        ("bundle", "CKPT", "--ckpt"),
        ("bundle", "BUNDLE", "--output"),
        ("evaluate", "BUNDLE", "--bundle"),
        ("evaluate", "REPORT", "--output"),
        ("archive", "BUNDLE", "--bundle"),
    ):
        words = make(folder, verb, f"{variable}={name}")
        assert words[words.index(option) + 1] == told


@pytest.mark.parametrize("config", ["x; touch PWN; echo ", "$$(touch PWN)", "`touch PWN`", "' ; touch PWN; '"])
@pytest.mark.parametrize("verb", ["train", "bundle", "help"])
def test_the_name_of_a_configuration_is_no_command(folder: Path, verb: str, config: str) -> None:
    command = ["make", "--dry-run", "--file", str(MAKEFILE), verb, f"CONFIG={config}"]
    subprocess.run(command, cwd=folder, capture_output=True, check=False)
    subprocess.run([*command[:1], *command[2:]], cwd=folder, capture_output=True, check=False)
    assert not list(folder.rglob("PWN"))


def test_the_checkpoint_is_where_the_configuration_says(folder: Path) -> None:
    words = make(folder, "bundle")
    assert words[words.index("--ckpt") + 1] == "runs/it's here/best.ckpt"
    with pytest.raises(subprocess.CalledProcessError) as failed:
        make(folder, "bundle", "CONFIG=none")
    assert "CONFIG=none is no file" in failed.value.stderr
    words = make(folder, "bundle", "CONFIG=none", "CKPT=own.ckpt")
    assert words[words.index("--ckpt") + 1] == "own.ckpt"


def test_the_home_folder_may_be_told_as_shells_do(folder: Path) -> None:
    words = make(folder, "train", "DATA=~/my data", f"HOME={folder}")
    assert words[words.index("--data.folder") + 1] == f"{folder}/my data"


def test_further_arguments_are_words(folder: Path) -> None:
    assert make(folder, "train", "ARGS=--trainer.max_epochs 3")[-2:] == ["--trainer.max_epochs", "3"]
