"""Trackers of runs: a resumed training goes on in its run, and one that does not start says so in one line.

Neither MLflow nor W&B is installed for the tests; their stand-ins have the arguments that Lightning's loggers have.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest

from lightning_module.__main__ import main
from lightning_module.cli import pl
from lightning_module.datasets import synthetic
from tests.lightning_module.training import arguments


class _Tracker(pl.loggers.logger.DummyLogger):
    """Keeps what each of its runs was told; a run that is not named is a new one."""

    runs: ClassVar[dict[str, list[Any]]] = {}

    def __init__(self, server: str, run: str | None) -> None:
        super().__init__()
        self.server = server
        self.run = run

    @property
    def experiment(self) -> Any:
        if self.server == "away":
            raise ConnectionError("nobody answers\nat away")
        self.run = self.run or f"run {len(self.runs)}"
        self.runs.setdefault(self.run, [])
        return self

    @property
    def version(self) -> str:
        return self.experiment.run  # type: ignore[no-any-return]

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.runs[self.version].append((step, metrics))

    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        self.runs[self.version].append(dict(params))


class MLFlowLogger(_Tracker):
    def __init__(self, tracking_uri: str = "here", run_id: str | None = None) -> None:
        if tracking_uri == "nonsense":
            raise RuntimeError("unsupported URI 'nonsense'")
        super().__init__(tracking_uri, run_id)


class WandbLogger(_Tracker):
    modes: ClassVar[list[str | None]] = []

    def __init__(self, project: str = "here", id: str | None = None, resume: str | None = None) -> None:
        super().__init__(project, id)
        self.modes.append(resume)


@pytest.fixture(autouse=True)
def no_runs() -> None:
    _Tracker.runs.clear()
    WandbLogger.modes.clear()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic.render(tmp_path_factory.mktemp("data") / "ham", 60, size=(80, 60))


def fit(folder: Path, run: Path, logger: type[_Tracker], epochs: int, *more: str) -> None:
    named = f"--trainer.logger={__name__}.{logger.__name__}"
    main(arguments(folder, run, f"--trainer.max_epochs={epochs}", named, *more))


def epochs_of(run: str) -> list[float]:
    told = [entry[1] for entry in _Tracker.runs[run] if isinstance(entry, tuple)]
    return [metrics["epoch"] for metrics in told if "val/auroc" in metrics]


@pytest.mark.parametrize("logger", [MLFlowLogger, WandbLogger])
def test_a_resumed_training_goes_on_in_the_same_run(folder: Path, tmp_path: Path, logger: type[_Tracker]) -> None:
    for epochs in (1, 2, 3):
        fit(folder, tmp_path / "run", logger, epochs)
    assert list(_Tracker.runs) == ["run 0"]
    assert epochs_of("run 0") == [0, 1, 2]


def test_wandb_is_told_not_to_overwrite_the_run(folder: Path, tmp_path: Path) -> None:
    for epochs in (1, 2):
        fit(folder, tmp_path / "run", WandbLogger, epochs)
    assert WandbLogger.modes == [None, "allow"]


def test_mlflow_is_not_given_parameters_that_may_have_changed(folder: Path, tmp_path: Path) -> None:
    for epochs in (1, 2):
        fit(folder, tmp_path / "run", MLFlowLogger, epochs, f"--model.channels_last={epochs == 1}")
    assert [told["channels_last"] for told in _Tracker.runs["run 0"] if "channels_last" in told] == [True]


@pytest.mark.parametrize("other", ["--resume=false", "--trainer.logger.tracking_uri=there"])
def test_a_training_that_starts_over_or_tells_another_server_has_a_new_run(
    folder: Path, tmp_path: Path, other: str
) -> None:
    fit(folder, tmp_path / "run", MLFlowLogger, 1)
    fit(folder, tmp_path / "run", MLFlowLogger, 2, other)
    assert list(_Tracker.runs) == ["run 0", "run 1"]


def test_a_run_that_is_named_is_that_run(folder: Path, tmp_path: Path) -> None:
    fit(folder, tmp_path / "run", MLFlowLogger, 1)
    fit(folder, tmp_path / "run", MLFlowLogger, 2, "--trainer.logger.run_id=mine")
    assert epochs_of("mine") == [1]
    assert [run["id"] for run in json.loads((tmp_path / "run" / "tracking.json").read_text())] == ["mine"]


@pytest.mark.parametrize(
    ("server", "complaint"),
    [("away", "MLFlowLogger does not start (nobody answers at away)"), ("nonsense", "unsupported URI 'nonsense'")],
)
def test_a_tracker_that_does_not_start_ends_in_one_line_before_anything_is_decoded(
    folder: Path, tmp_path: Path, server: str, complaint: str
) -> None:
    with pytest.raises(SystemExit) as refusal:
        fit(folder, tmp_path / "run", MLFlowLogger, 1, f"--trainer.logger.tracking_uri={server}")
    assert complaint in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "cache").exists()
