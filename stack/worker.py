"""What runs in place of plain Python as TorchServe's worker: the same worker, without torch and without chatter.

TorchServe imports torch only to recognise a tensor among the answers, which ours never are. Leaving it out saves each
worker some 200 MB and two seconds, and lets a machine without torch serve.
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
    """Stands in for a module that is imported only when one of its names is asked for."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


def import_torchserve_without_torch() -> None:
    """Afterwards `import torch` means the real one again, for whoever needs it."""
    sys.modules["torch"] = Deferred("torch")
    try:
        importlib.import_module("ts.protocol.otf_message_handler")
    finally:
        del sys.modules["torch"]


def worth_telling(record: logging.LogRecord) -> bool:
    """Warnings, errors and what Java waits for."""
    return record.levelno >= logging.WARNING or record.getMessage().startswith(SIGNALS)


def main() -> None:
    """Runs the script named first with the rest of the arguments."""
    import_torchserve_without_torch()
    output = logging.StreamHandler(sys.stdout)
    output.addFilter(worth_telling)
    logging.basicConfig(handlers=[output], format="%(message)s", level=logging.INFO)
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
