"""python -m stack serve | torchserve"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from stack import archive, torchserve
from stack.problem import Problem
from stack.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the exit code says what went wrong (stack/problem.py)."""
    parser = argparse.ArgumentParser(prog="python -m stack", description="Start what serves.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    serve = verbs.add_parser("serve", help="TorchServe and the gateway, until Ctrl-C")
    serve.add_argument("--no-gateway", action="store_true", help="TorchServe alone")
    verbs.add_parser("torchserve", help="become TorchServe: what a container runs")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.verb == "torchserve":
            become_torchserve()
        from stack import supervisor

        return supervisor.serve(Settings.read(), gateway=not chosen.no_gateway)
    except Problem as problem:
        print(f"stack: {problem}", file=sys.stderr)
        return problem.code


def become_torchserve() -> None:
    """Checks the archive and replaces this process by Java."""
    settings = Settings.read()
    archive.verify(settings.archive)
    # Nobody is left to remove it: a container takes it along when it ends.
    scratch = Path(os.environ.get("TEMP") or tempfile.mkdtemp(prefix="dermserve-"))
    torchserve.command(settings, scratch, torchserve.addresses(settings, "0.0.0.0")).replace_process()


if __name__ == "__main__":
    sys.exit(main())
