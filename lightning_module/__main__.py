"""`python -m lightning_module <subcommand>`."""

from __future__ import annotations

import sys
from importlib import import_module

from lightning_module.cli import main as lightning

OTHERS = {
    "evaluate": "lightning_module.evaluate",
    "bundle": "lightning_module.bundle_maker",
    "archive": "lightning_module.archive",
    "download": "lightning_module.download",
    "synthesize": "lightning_module.datasets.synthetic",
    "throughput": "lightning_module.throughput",
}


def main(argv: list[str]) -> int | None:
    """Hands the arguments to the subcommand's module."""
    if argv and argv[0] in OTHERS:
        return import_module(OTHERS[argv[0]]).main(argv[1:])  # type: ignore[no-any-return]
    lightning(argv)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
