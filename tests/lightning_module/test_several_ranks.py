"""Two ranks that train together: they freeze, judge and end as one does alone, and nobody waits for anybody."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch

from lightning_module.__main__ import main
from lightning_module.datasets import synthetic
from tests.lightning_module.training import ROOT, arguments, training

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--max-restarts=0")
DEADLINE_S = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic.render(tmp_path_factory.mktemp("data") / "ham", 96, size=(80, 60))


@pytest.mark.slow
@pytest.mark.parametrize(("launcher", "told"), [(TORCHRUN, 1), ((), 0)], ids=["torchrun", "Lightning"])
def test_sigterm_to_one_rank_ends_all_of_them_and_not_with_0(
    folder: Path, tmp_path: Path, launcher: tuple[str, ...], told: int
) -> None:
    several = ("--trainer.max_epochs=1000", "--trainer.devices=2", "--trainer.strategy=ddp")
    words = arguments(folder, tmp_path / "run", *several)
    with training(sys.executable, *launcher, "-m", "lightning_module", *words) as process:
        both = ranks(process.pid)
        try:
            both[told].terminate()
            process.communicate(timeout=DEADLINE_S)  # its output ends when the last of them has closed it
        finally:
            for rank in both:
                if rank.is_running():
                    rank.kill()
    assert process.returncode != 0
    assert torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["epoch"] >= 0


def judged(run: Path) -> list[float]:
    """val/auroc of each epoch, of the folder's latest log."""
    latest = max((run / "logs").glob("version_*/metrics.csv"), key=lambda file: file.stat().st_mtime_ns)
    with latest.open() as file:
        return [float(row["val/auroc"]) for row in csv.DictReader(file) if row["val/auroc"]]


def backbone(checkpoint: Path) -> dict[str, torch.Tensor]:
    state = torch.load(checkpoint, weights_only=True)["current_model_state"]
    return {name: value for name, value in state.items() if name.startswith("network.backbone.")}


@pytest.mark.slow
def test_two_ranks_freeze_and_judge_like_one(folder: Path, tmp_path: Path) -> None:
    def words(run: Path, *more: str, command: str = "fit") -> list[str]:
        kept = f"dirpath: {run}, filename: '{{epoch}}', monitor: val/loss, save_top_k: -1"
        every = f"{{class_path: ModelCheckpoint, init_args: {{{kept}}}}}"
        frozen = "{class_path: lightning_module.callbacks.FrozenBackbone, init_args: {unfreeze_at_epoch: 1}}"
        callbacks = (f"--trainer.callbacks+={frozen}", f"--trainer.callbacks+={every}", "--trainer.max_epochs=2")
        return arguments(folder, run, *callbacks, "--data.val=0.2", *more, command=command)

    alone, both = tmp_path / "alone", tmp_path / "both"
    main(words(alone))
    two = words(both, "--trainer.devices=2", "--trainer.strategy=ddp")
    # A process of its own: Lightning starts the second rank with the first one's command line.
    subprocess.run([sys.executable, "-m", "lightning_module", *two], cwd=ROOT, check=True, capture_output=True)
    frozen, moved = backbone(both / "epoch=0.ckpt"), backbone(both / "epoch=1.ckpt")
    untouched = backbone(alone / "epoch=0.ckpt")
    # Alone it takes other steps, so that only a backbone that took none can be the same.
    assert all(torch.equal(frozen[name], value) for name, value in untouched.items())
    assert not any(torch.equal(frozen[name], value) for name, value in moved.items())

    rows = torch.load(both / "last.ckpt", weights_only=True)["hyper_parameters"]["data"]["rows"]["val"]
    assert rows % 2 == 1  # so that one rank is given an image of the other one's
    [*_, last] = judged(both)
    main(words(both, f"--ckpt_path={both / 'last.ckpt'}", command="validate"))
    assert judged(both) == [pytest.approx(last, abs=1e-6)]


def ranks(first: int) -> list[psutil.Process]:
    """The two trainers, the first rank first."""
    family = [psutil.Process(first), *psutil.Process(first).children(recursive=True)]
    living = [one for one in family if one.status() != psutil.STATUS_ZOMBIE]
    found = [one for one in living if "fit" in one.cmdline() and "torch.distributed.run" not in one.cmdline()]
    assert len(found) == 2
    return sorted(found, key=lambda one: one.pid)
