"""One run: all systems up, asked in turn and in several rounds, with the same model and files.

A machine's speed drifts by more than the systems differ, so what is compared is measured within seconds of each other.
Probabilities are compared before speed.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass, fields, replace
from itertools import groupby
from pathlib import Path
from statistics import median

from bench import limit, load, stages, systems
from bench.cores import Cores
from bench.materials import Materials
from bench.system import System

CROWD = 32
CONCURRENCY = (1, 8, CROWD)
# Stock TorchServe crops whole pixels, decodes in full and computes in fp32; ours is int8 and decodes scaled.
TOLERANCE = {systems.STOCK: 0.25, systems.STOCK_ONE: 0.25}
SAME = 1e-3


@dataclass(frozen=True)
class Row:
    """One measurement, as it stands in the CSV file."""

    model: str
    payload: str
    system: str
    concurrency: int
    turn: int
    rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    errors: int
    seconds: float
    memory_mb: float


@dataclass(frozen=True)
class Plan:
    """How long to measure what, and how many times over."""

    seconds: float = 2.0
    rounds: int = 5
    concurrency: tuple[int, ...] = CONCURRENCY
    # Sizes beyond the first are measured at one concurrency only.
    other_concurrency: int = 8


class Comparison:
    """Measures one model in all systems."""

    def __init__(
        self, materials: Materials, payloads: Mapping[str, list[bytes]], folder: Path, cores: Cores, plan: Plan
    ) -> None:
        self.materials = materials
        self.payloads = payloads
        self.folder = folder
        self.cores = cores
        self.plan = plan
        self.rows: list[Row] = []
        self.expected: dict[str, list[float | None]] = {}
        self.differences: dict[str, float] = {}
        self.alone: stages.Breakdown | None = None
        self.crowded: stages.Breakdown | None = None
        self.memory: dict[str, float] = {}

    def run(self, chosen: frozenset[str]) -> None:
        """Fills `rows`; raises RuntimeError where a system gives other probabilities."""
        with ExitStack() as stack:
            running = self._start(chosen, stack)
            for turn in range(self.plan.rounds):
                for size, bodies, concurrency in self._cases():
                    for system in running:
                        sample = load.drive(system.url, bodies, concurrency, self.plan.seconds)
                        # What is still queued would be computed at the expense of the next system.
                        load.ask(system.url, bodies[0])
                        self._add(size, system.name, concurrency, turn, sample, sum(system.memory().values()))
                    if systems.LIMIT in chosen:
                        self._add(size, systems.LIMIT, concurrency, turn, self._limit(size, concurrency), math.nan)
            for system in running:
                if system.name == systems.OURS:
                    self.memory = system.memory()
                    self.alone, self.crowded = self._break_down(system, 1), self._break_down(system, CROWD)
        if systems.STOCK in chosen:
            self._measure_alone(systems.stock(self.materials, self.cores, threads=None))

    def _start(self, chosen: frozenset[str], stack: ExitStack) -> list[System]:
        running: list[System] = []

        def add(system: System) -> None:
            running.append(stack.enter_context(self._running(system)))
            self._check(system)

        if systems.OURS in chosen:
            add(systems.dermserve(self.materials, self.cores))
            if systems.GATEWAY in chosen:
                add(systems.gateway(self.materials, self.cores, running[0]))
        if systems.FLASK in chosen:
            add(systems.flask(self.materials, self.cores))
        if systems.STOCK_ONE in chosen:
            add(systems.stock(self.materials, self.cores, threads=1))
        return running

    def _measure_alone(self, system: System) -> None:
        """Its many threads leave nothing for others, and its queue takes long to empty."""
        with self._running(system):
            self._check(system)
            for size, bodies, concurrency in self._cases():
                sample = load.drive(system.url, bodies, concurrency, 2 * self.plan.seconds)
                self._add(size, system.name, concurrency, 0, sample, sum(system.memory().values()))

    @contextmanager
    def _running(self, system: System) -> Iterator[System]:
        print(f"{self.materials.name}: {system.name}", flush=True)
        system.start(next(iter(self.payloads.values()))[0])
        try:
            yield system
        finally:
            system.stop()

    def _check(self, system: System) -> None:
        for size, bodies in self.payloads.items():
            answers = [load.ask(system.url, body) for body in bodies]
            for answer in answers:
                if answer.status != 200:
                    raise RuntimeError(f"{system.name} refuses {size}: {answer.status}, {answer.document}")
            found = [probability(answer.document) for answer in answers]
            expected = self.expected.setdefault(size, found)
            pairs = [(a, b) for a, b in zip(expected, found, strict=True) if a is not None and b is not None]
            if not pairs:
                raise RuntimeError(f"{system.name} gives no probability for {size} to compare: {found}, {expected}")
            worst = max(abs(a - b) for a, b in pairs)
            self.differences[f"{system.name}, {size}"] = worst
            if worst > TOLERANCE.get(system.name, SAME):
                raise RuntimeError(f"{system.name} gives other probabilities for {size}: {found}, not {expected}")

    def _cases(self) -> Iterator[tuple[str, list[bytes], int]]:
        for number, (size, bodies) in enumerate(self.payloads.items()):
            for concurrency in self.plan.concurrency if number == 0 else (self.plan.other_concurrency,):
                yield size, bodies, concurrency

    def _limit(self, size: str, concurrency: int) -> load.Sample:
        cores = sorted(self.cores.serving)
        # With one caller there is nothing to batch, and no second core to use.
        used = cores[: min(len(cores), concurrency)]
        at_once = min(self._batch_size(), max(1, concurrency // len(used)))
        return limit.measure(self.materials.bundle, self.folder / size, used, at_once, self.plan.seconds)

    def _batch_size(self) -> int:
        import yaml

        told = yaml.safe_load((systems.ROOT / "model-config.yaml").read_text())
        return int(told["batchSize"])

    def _break_down(self, ours: System, concurrency: int) -> stages.Breakdown | None:
        """Of a lone request the time that it takes; in a crowd, which keeps all cores busy, its share of theirs.

        None where nothing was answered.
        """
        metrics = f"http://127.0.0.1:{ours.environment['DERMSERVE_METRICS_PORT']}/metrics"
        bodies = next(iter(self.payloads.values()))
        before = stages.read(metrics)
        sample = load.drive(ours.url, bodies, concurrency, self.plan.seconds, warm_up=0)
        if not sample.latencies:
            return None
        busy = 1 if concurrency == 1 else len(self.cores.serving)
        return stages.Breakdown.between(before, stages.read(metrics), busy * sample.seconds / len(sample.latencies))

    def _add(self, size: str, system: str, concurrency: int, turn: int, sample: load.Sample, memory: float) -> None:
        row = Row(
            model=self.materials.name,
            payload=size,
            system=system,
            concurrency=concurrency,
            turn=turn,
            rate=round(sample.rate, 1),
            p50_ms=round(sample.quantile(0.5) * 1000, 2),
            p95_ms=round(sample.quantile(0.95) * 1000, 2),
            p99_ms=round(sample.quantile(0.99) * 1000, 2),
            errors=sample.errors,
            seconds=round(sample.seconds, 2),
            memory_mb=round(memory, 1),
        )
        self.rows.append(row)
        print(
            f"  {size:>10} x{concurrency:<3} {system:<26} {row.rate:8.1f} /s"
            f"   p50 {row.p50_ms:8.2f} ms   p99 {row.p99_ms:8.2f} ms   errors {row.errors}",
            file=sys.stderr,
            flush=True,
        )


def medians(rows: Sequence[Row]) -> list[Row]:
    """Over the rounds, one row for each case."""
    names = [field.name for field in fields(Row)]
    case, figures = names[: names.index("turn")], names[names.index("rate") :]

    def key(row: Row) -> tuple[object, ...]:
        return astuple(row)[: len(case)]

    together = [list(group) for _, group in groupby(sorted(rows, key=lambda row: (key(row), row.turn)), key)]
    return [
        replace(group[0], **{name: median(getattr(row, name) for row in group) for name in figures})
        for group in together
    ]


def probability(answer: Mapping[str, object]) -> float | None:
    """Of malignancy: ours says so, the stock classifier names it among its classes."""
    told = answer.get("probability", answer.get("malignant"))
    return float(told) if isinstance(told, (int, float)) else None
