"""What may change when a training goes on, and what may not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lightning_module.__main__ import main
from lightning_module.datasets import synthetic
from lightning_module.module import LesionModule
from tests.lightning_module.training import ROOT, arguments


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic.render(tmp_path_factory.mktemp("data") / "ham", 96, size=(80, 60))


@pytest.fixture(scope="module")
def begun(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("begun") / "run"
    main(arguments(folder, run, "--trainer.max_epochs=1"))
    return run


@pytest.fixture
def run(begun: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(begun, tmp_path / "run"))


def refused(*words: str) -> str:
    with pytest.raises(SystemExit) as refusal:
        main(list(words))
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def files(run: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    "setting",
    [
        "--model.lr=0.5",
        "--model.weight_decay=0.3",
        "--model.schedule=constant",
        "--model.mix={mixup: 0.4}",
        "--model.loss_options={label_smoothing: 0.2}",
        "--model.network={width: 16, blocks: 3}",
        "--seed_everything=7",
        "--data.weighted_sampling=true",
        "--trainer.gradient_clip_val=1.0",
        "--trainer.callbacks={class_path: lightning_module.callbacks.AveragedWeights, init_args: {decay: 0.5}}",
    ],
)
@pytest.mark.parametrize("epochs", [1, 2])
def test_other_settings_are_named_and_leave_the_folder_as_it_is(
    folder: Path, run: Path, setting: str, epochs: int
) -> None:
    before = files(run)
    told = refused(*arguments(folder, run, f"--trainer.max_epochs={epochs}", setting))
    name = setting.partition("=")[0].removeprefix("--")
    assert told.startswith(f"error: The training in {run} has other settings: {name} was ")
    assert " was " not in told.replace(f"{name} was ", "")
    assert "another trainer.default_root_dir" in told
    assert files(run) == before


def test_all_settings_that_differ_are_named_also_for_a_checkpoint_given_by_name(folder: Path, run: Path) -> None:
    given = ("--model.lr=0.5", "--seed_everything=7", f"--ckpt_path={run / 'best.ckpt'}")
    told = refused(*arguments(folder, run, *given))
    assert "seed_everything was 0 and is 7, model.lr was " in told


def test_more_epochs_and_other_means_may_come(folder: Path, run: Path) -> None:
    means = ("--data.workers=1", "--trainer.logger=false", "--trainer.precision=bf16-mixed", "--model.compile=false")
    words = arguments(folder, run, "--trainer.max_epochs=2", "--trainer.log_every_n_steps=3", *means)
    # A process of its own: one that reads images is forked, and pytest's workers talk over what it would inherit.
    subprocess.run([sys.executable, "-m", "lightning_module", *words], cwd=ROOT, check=True, capture_output=True)
    assert torch.load(run / "last.ckpt", weights_only=True)["epoch"] == 1


def test_a_compiled_network_names_its_weights_like_any_other() -> None:
    plain, compiled = (
        LesionModule("small_cnn", {"width": 8, "blocks": 3}, weights=None, compile=compiled).state_dict()
        for compiled in (False, True)
    )
    assert compiled.keys() == plain.keys()
    assert all(name.startswith("network.") for name in plain)


@pytest.mark.parametrize("before", ["_compiled.", "_compiled._orig_mod."], ids=["plain", "compiled"])
def test_a_checkpoint_that_names_every_weight_twice_is_taken_up(
    folder: Path, run: Path, begun: Path, before: str
) -> None:
    checkpoint = torch.load(run / "last.ckpt", weights_only=True)
    for key in ("state_dict", "current_model_state"):
        weights = checkpoint[key]
        checkpoint[key] = weights | {before + name.removeprefix("network."): value for name, value in weights.items()}
    torch.save(checkpoint, run / "last.ckpt")
    main(arguments(folder, run, "--trainer.max_epochs=2"))
    again = torch.load(run / "last.ckpt", weights_only=True)
    assert again["epoch"] == 1
    assert again["state_dict"].keys() == torch.load(begun / "last.ckpt", weights_only=True)["state_dict"].keys()
    assert not any(name.startswith("_compiled") for name in again["state_dict"])


def test_starting_over_takes_other_settings_and_notes_them(folder: Path, run: Path) -> None:
    main(arguments(folder, run, "--trainer.max_epochs=1", "--model.lr=0.01", "--resume=false"))
    main(arguments(folder, run, "--trainer.max_epochs=2", "--model.lr=0.01"))
    assert torch.load(run / "last.ckpt", weights_only=True)["hyper_parameters"]["lr"] == 0.01


@pytest.mark.parametrize("copied", [True, False])
def test_a_new_stage_goes_on_from_another_folders_weights(
    folder: Path, begun: Path, tmp_path: Path, copied: bool
) -> None:
    stage = tmp_path / "stage"
    stage.mkdir()
    given = [] if copied else [f"--ckpt_path={begun / 'last.ckpt'}"]
    if copied:
        shutil.copy(begun / "last.ckpt", stage)
    changes = ("--model.schedule=constant", "--model.mix={mixup: 0.1}", "--seed_everything=3")
    main(arguments(folder, stage, "--trainer.max_epochs=2", *changes, *given))
    assert torch.load(stage / "last.ckpt", weights_only=True)["epoch"] == 1
    main(arguments(folder, stage, "--trainer.max_epochs=3", *changes))
    assert "model.schedule was" in refused(*arguments(folder, stage, "--trainer.max_epochs=4", "--seed_everything=3"))


def test_a_new_stage_says_what_the_checkpoint_would_overrule(folder: Path, begun: Path, tmp_path: Path) -> None:
    given = (f"--ckpt_path={begun / 'last.ckpt'}", "--model.lr=0.5", "--model.network={width: 16, blocks: 3}")
    told = refused(*arguments(folder, tmp_path / "stage", "--trainer.max_epochs=2", *given))
    assert "keeps its network and optimiser: model.network was" in told
    assert "model.lr was" in told
    assert not (tmp_path / "stage" / "last.ckpt").exists()
