"""python -m stack serve | torchserve | pod"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stack import archive, output, pod, scratch, settings, torchserve
from stack.problem import BadSetting, Problem
from stack.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the exit code says what went wrong (stack/problem.py)."""
    parser = argparse.ArgumentParser(prog="python -m stack", description="Start what serves.")
    told: dict[str, Any] = {
        "epilog": f"settings, from the environment (default, meaning):\n{settings.describe()}\n\n"
        "python -m gateway --help prints those of the gateway.",
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }
    verbs = parser.add_subparsers(dest="verb", required=True)
    serve = verbs.add_parser("serve", help="TorchServe and the gateway, until Ctrl-C", **told)
    serve.add_argument("--no-gateway", action="store_true", help="TorchServe alone")
    verbs.add_parser("torchserve", help="become TorchServe: what a container runs", **told)
    verbs.add_parser("pod", help="TorchServe and the gateway, each started again when it ends, until SIGTERM", **told)
    chosen = parser.parse_args(arguments)
    try:
        if chosen.verb == "torchserve":
            become_torchserve()
        if chosen.verb == "pod":
            return pod.run()
        from stack import supervisor

        return supervisor.serve(Settings.read(), gateway=not chosen.no_gateway)
    except Problem as problem:
        for line in str(problem).splitlines():
            output.tell(f"stack: {line}", sys.stderr)
        return problem.code
    finally:
        output.give_up()


def become_torchserve() -> None:
    """Checks the archive and replaces this process by Java."""
    chosen = Settings.read()
    chosen.ports(gateway=False)
    archive.verify(chosen.archive)
    # Nobody is left to remove it: a container takes it along when it ends, and the next start elsewhere.
    given = os.environ.get("TEMP")
    folder = Path(given).resolve() if given else scratch.make()
    if not folder.is_dir():
        raise BadSetting(f"TEMP={given} is no folder: name one, or unset it")
    variable = "TEMP" if given else "TMPDIR"
    scratch.require_short(folder, variable)
    scratch.require_programs(folder, variable)
    scratch.require_room(folder, variable, chosen.archive)
    torchserve.command(chosen, folder, torchserve.addresses(chosen, "0.0.0.0")).replace_process()


if __name__ == "__main__":
    sys.exit(main())
