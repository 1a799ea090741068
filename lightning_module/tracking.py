"""MLflow and W&B: a tracker that does not start says why, and a resumed training goes on in the tracker's same run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from pytorch_lightning.loggers import Logger

from lightning_module.settings import UnfitSetting

FILE = "tracking.json"
RUN_ARGUMENT = {"MLFlowLogger": "run_id", "WandbLogger": "id"}
"""The argument of each that takes up an earlier run; `version` tells what to give."""
RESUME = "resume"


def take_up(configured: Any, folder: Path) -> None:
    """Have the configured loggers go on in the runs that they had when they were last recorded in the folder."""
    file = folder / FILE
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    for logger, argument in _trackers(configured):
        if logger.init_args[argument] is None:
            ids = (run["id"] for run in known if run["logger"] == _settings(logger))
            logger.init_args[argument] = next(ids, None)
        if logger.init_args.get(RESUME, "") is None:
            # W&B would put a new run in the old one's place.
            logger.init_args[RESUME] = "allow"


def logs_parameters(configured: Any) -> bool:
    """Whether hyper-parameters can be logged: MLflow refuses other ones than a run that is taken up has already."""
    return all(logger.init_args[argument] is None for logger, argument in _trackers(configured) if argument == "run_id")


def start(configured: Any, loggers: list[Logger]) -> None:
    """Start the configured loggers; UnfitSetting tells which does not, and why."""
    for logger in loggers if _listed(configured) else []:
        try:
            getattr(logger, "experiment", None)
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            runs = [entry.init_args[argument] for entry, argument in _trackers(configured)]
            again = "; --resume false does not go on with its earlier run" if any(runs) else ""
            raise UnfitSetting(
                f"{type(logger).__name__} does not start ({reason}). Mend its settings or what they point to{again}, "
                "or leave --trainer.logger out to log into files."
            ) from error


def record(configured: Any, loggers: list[Logger], folder: Path) -> None:
    """Write down which runs these are, so that `take_up` finds them."""
    versions = {id(entry): logger.version for entry, logger in zip(_listed(configured), loggers, strict=False)}
    runs = [{"logger": _settings(entry), "id": versions[id(entry)]} for entry, _ in _trackers(configured)]
    if runs:
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f".{FILE}.draft"
        draft.write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")
        draft.replace(folder / FILE)


def _listed(configured: Any) -> list[Namespace]:
    entries = configured if isinstance(configured, list) else [configured]
    return [entry for entry in entries if isinstance(entry, Namespace)]


def _trackers(configured: Any) -> Iterator[tuple[Namespace, str]]:
    for entry in _listed(configured):
        name = entry.class_path.rpartition(".")[2]
        if name in RUN_ARGUMENT:
            yield entry, RUN_ARGUMENT[name]


def _settings(logger: Namespace) -> Any:
    """What tells two loggers apart, as JSON has it: all that was configured but the run."""
    given = logger.clone().as_dict()
    given["init_args"] = {k: v for k, v in given["init_args"].items() if k not in (RESUME, *RUN_ARGUMENT.values())}
    return json.loads(json.dumps(given, default=str))
