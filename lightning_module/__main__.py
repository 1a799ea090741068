"""`python -m lightning_module <command>`."""

from __future__ import annotations

import sys
from importlib import import_module

COMMANDS = {
    "fit": ("cli", "train: make train"),
    "validate": ("cli", "measure the best checkpoint on the validation split"),
    "test": ("cli", "measure the best checkpoint on the test split"),
    "bundle": ("bundle_maker", "calibrate, quantise and describe a checkpoint: make bundle"),
    "evaluate": ("evaluate", "report on a bundle: make evaluate"),
    "describe": ("description", "evaluate a bundle again and write its card anew"),
    "near_duplicates": ("near_duplicates", "images that look the same in different parts of a split"),
    "archive": ("archive", "pack a bundle for TorchServe: make archive"),
    "synthesize": ("datasets.synthetic", "draw a data set"),
    "download": ("download", "fetch a data set from the ISIC archive"),
    "throughput": ("throughput", "measure how fast training is"),
}
LIGHTNING = "cli"


def main(argv: list[str]) -> int | None:
    """Hands the arguments to the command's module."""
    command = argv[0] if argv else ""
    if command in ("-h", "--help"):
        print(usage())
        return 0
    if command not in COMMANDS:
        print(f"error: {f'no command {command!r}' if command else 'no command'}\n{usage()}", file=sys.stderr)
        return 2
    module, _ = COMMANDS[command]
    try:
        run = import_module(f"lightning_module.{module}").main
    except ModuleNotFoundError as error:
        print(f"error: {missing(error)}", file=sys.stderr)
        return 1
    return run(argv if module == LIGHTNING else argv[1:])  # type: ignore[no-any-return]


def usage() -> str:
    """Every command with what it does."""
    lines = [f"  {name:17}{summary}" for name, (_, summary) in COMMANDS.items()]
    return "\n".join(["usage: python -m lightning_module COMMAND ... (COMMAND --help tells its options)", *lines])


def missing(error: ModuleNotFoundError) -> str:
    """What to install."""
    return (
        f"{error.name} is not installed; training needs more than serving does. Install it with "
        f"{sys.executable} -m pip install -e '.[train]', or by make lint, make test or make train."
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
