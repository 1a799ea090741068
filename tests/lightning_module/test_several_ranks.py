"""Two ranks that train together: one that is told to end takes the other along, and nobody waits for anybody."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest
import torch

from lightning_module.datasets import synthetic
from tests.lightning_module.training import arguments, training

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


def ranks(first: int) -> list[psutil.Process]:
    """The two trainers, the first rank first."""
    family = [psutil.Process(first), *psutil.Process(first).children(recursive=True)]
    living = [one for one in family if one.status() != psutil.STATUS_ZOMBIE]
    found = [one for one in living if "fit" in one.cmdline() and "torch.distributed.run" not in one.cmdline()]
    assert len(found) == 2
    return sorted(found, key=lambda one: one.pid)
