"""A training for tests: small, on the processor, in this process or in one of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "lightning_module" / "configs"
QUICK = ("--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false")


def arguments(folder: Path, run: Path, *more: str, command: str = "fit") -> list[str]:
    return [
        command,
        f"--config={CONFIGS / 'synthetic.yaml'}",
        f"--data.folder={folder}",
        f"--data.cache_folder={run.parent / 'cache'}",
        f"--trainer.default_root_dir={run}",
        "--data.size=32",
        "--data.batch_size=16",
        "--model.network={width: 8, blocks: 3}",
        *QUICK,
        *more,
    ]


@contextmanager
def training(*command: str) -> Iterator[subprocess.Popen[str]]:
    """A training as a process of its own that has come to its second epoch; killed if it still runs at the end."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("epoch 1:"):
                    break
            yield process
        finally:
            process.kill()
