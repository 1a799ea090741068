"""The speed of what serves against its peers, on this machine."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from bench import materials, payloads, report, systems
from bench.comparison import CONCURRENCY, Comparison, Plan
from bench.cores import Cores

RESULTS = Path(__file__).with_name("results")
SYSTEMS = (
    systems.OURS,
    systems.GATEWAY,
    systems.LIMIT,
    systems.FLASK,
    systems.STOCK_ONE,
    systems.STOCK,
)
PEERS = {systems.FLASK, systems.STOCK_ONE, systems.STOCK}
MODELS = {"shipped": materials.shipped, "resnet18": materials.resnet18}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=SYSTEMS, metavar="SYSTEM", help=str(SYSTEMS))
    parser.add_argument("--payloads", nargs="+", choices=list(payloads.SIZES), default=list(payloads.SIZES))
    parser.add_argument("--concurrency", nargs="+", type=int, default=list(CONCURRENCY))
    parser.add_argument("--seconds", type=float, default=Plan.seconds, help="of load for each measurement")
    parser.add_argument("--rounds", type=int, default=Plan.rounds, help="through all systems")
    parser.add_argument("--share-cores", action="store_true", help="the load generator runs on the serving cores too")
    parser.add_argument("--output", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    if systems.GATEWAY in chosen.systems and systems.OURS not in chosen.systems:
        parser.error(f"{systems.GATEWAY!r} asks the TorchServe of {systems.OURS!r}: name both in --systems")
    # Leaves through the `finally` that stops the servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if PEERS & set(chosen.systems):
        materials.install_peers()
    commit = report.checked_out()  # while it runs the checkout may go on
    cores = Cores.split(chosen.share_cores)
    folder = materials.BUILD / "payloads"
    images = payloads.make(folder, tuple(chosen.payloads))
    plan = Plan(chosen.seconds, chosen.rounds, tuple(chosen.concurrency))
    comparisons = []
    for name in chosen.models:
        comparison = Comparison(MODELS[name](), images, folder, cores, plan)
        comparison.run(frozenset(chosen.systems))
        comparisons.append(comparison)
    page = report.write(chosen.output, comparisons, cores, commit)
    print(page.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
