"""What the cores could do without a server: the same `Predictor` in one process a core.

As a program it loads, says ready, waits for a line, predicts for so many seconds and prints the seconds of every call.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from bench.cores import pinned_to
from bench.load import Sample
from stack.torchserve import MALLOC

ROOT = Path(__file__).resolve().parents[1]


def measure(
    bundle: Path, bodies: Path, cores: Sequence[int], batch: int, seconds: float, warm_up: float = 0.5
) -> Sample:
    """Images a second of all processes together; a latency is that of a whole batch."""
    words = ["--bundle", str(bundle), "--bodies", str(bodies), "--batch", str(batch), "--seconds", str(seconds)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "bench.limit", *words, "--warm-up", str(warm_up)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | MALLOC,
            preexec_fn=pinned_to(frozenset([core])),
        )
        for core in cores
    ]
    for process in processes:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError("the in-process measurement did not come up")
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [json.loads(process.communicate()[0]) for process in processes]
    latencies = [latency for one in told for latency in one for _ in range(batch)]
    # The last batch of each begins in time and ends after it.
    return Sample(seconds=fmean(map(sum, told)), latencies=latencies)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--bodies", type=Path, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--warm-up", type=float, required=True)
    chosen = parser.parse_args()

    from handler.predictor import Predictor

    predictor = Predictor.load(chosen.bundle, threads=1)
    files = [path.read_bytes() for path in sorted(chosen.bodies.glob("*.jpg"))]
    batch = [files[i % len(files)] for i in range(chosen.batch)]
    print("ready", flush=True)
    sys.stdin.readline()
    end = time.perf_counter() + chosen.warm_up
    while time.perf_counter() < end:
        predictor.predict(batch)
    end = time.perf_counter() + chosen.seconds
    latencies = []
    while (start := time.perf_counter()) < end:
        predictor.predict(batch)
        latencies.append(time.perf_counter() - start)
    print(json.dumps(latencies))


if __name__ == "__main__":
    main()
