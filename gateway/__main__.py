"""`python -m gateway` serves; `python -m gateway key NAME` makes an API key."""

from __future__ import annotations

import argparse
import logging
import os
import sys

from gateway import logs, settings
from gateway.address import require_usable
from gateway.outflow import Outflow

log = logging.getLogger("gateway")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m gateway",
        description="The page, the API, health, drain and metrics in front of TorchServe.",
        epilog=f"settings, from the environment (default, meaning):\n{settings.describe()}\n\n"
        "PORT, as container platforms set it, wins over DERMSERVE_PORT.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", title="commands")
    commands.add_parser("serve", help="serve until a signal says stop (the default)")
    commands.add_parser("check", help="say which settings are wrong or unknown, and end")
    commands.add_parser("key", help="print a new API key and its line for the keys file").add_argument("name")
    arguments = parser.parse_args()
    if arguments.command == "key":
        from gateway.keys import generate

        try:
            key, line = generate(arguments.name)
        except ValueError as error:
            sys.exit(str(error))
        print(f"key, shown only now:         {key}\nline for the API keys file:  {line}")
        return
    try:
        chosen = settings.read()
        # The port may be that of a gateway that runs.
        require_usable(chosen.gateway_host, 0 if arguments.command == "check" else chosen.port)
    except ValueError as error:
        sys.exit(str(error))
    unknown = settings.unknown()
    if arguments.command == "check":
        for line in unknown:
            print(line, file=sys.stderr)
        return
    sys.stdout = Outflow(sys.stdout.fileno() if sys.stdout else os.open(os.devnull, os.O_WRONLY))
    logs.configure(chosen.log_level)
    for line in unknown:
        log.warning(line)
    from gateway.allocator import return_large_blocks
    from gateway.server import build

    return_large_blocks()
    build(chosen).run()


if __name__ == "__main__":
    main()
