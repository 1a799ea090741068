"""What runs in place of plain Python as TorchServe's worker: the same worker, without torch and without chatter.

TorchServe imports torch only to recognise a tensor among the answers, which ours never are. Leaving it out saves each
worker some 200 MB and two seconds, and lets a machine without torch serve. Whoever does touch it gets the real one.
"""

from __future__ import annotations

import importlib
import logging
import runpy
import sys
from types import ModuleType
from typing import Any

# Java reads these from the worker's output: its id, that it listens, and its metrics.
SIGNALS = ("[PID]", "Torch worker started.", "[METRICS]")


class Deferred(ModuleType):
    """Stands in for a module until one of its names is asked for."""

    def __getattr__(self, name: str) -> Any:
        sys.modules.pop(self.__name__, None)
        return getattr(importlib.import_module(self.__name__), name)


def worth_telling(record: logging.LogRecord) -> bool:
    """Warnings, errors and what Java waits for."""
    return record.levelno >= logging.WARNING or record.getMessage().startswith(SIGNALS)


def main() -> None:
    """Runs the script named first with the rest of the arguments."""
    sys.modules["torch"] = Deferred("torch")
    output = logging.StreamHandler(sys.stdout)
    output.addFilter(worth_telling)
    logging.basicConfig(handlers=[output], format="%(message)s", level=logging.INFO)
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
