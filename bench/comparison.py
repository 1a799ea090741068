"""One run: every system in turn with the same model and files, probabilities compared before speed."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import limit, load, stages, systems
from bench.cores import Cores
from bench.materials import Materials
from bench.system import System

CONCURRENCY = (1, 8, 32)
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
    rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    errors: int
    seconds: float
    memory_mb: float


@dataclass(frozen=True)
class Plan:
    """How long to measure what."""

    seconds: float = 4.0
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
        self.breakdown: stages.Breakdown | None = None
        self.memory: dict[str, float] = {}

    def run(self, chosen: frozenset[str]) -> None:
        """Fills `rows`; raises RuntimeError where a system gives other probabilities."""
        if systems.OURS in chosen:
            with self._running(systems.dermserve(self.materials, self.cores)) as ours:
                self._check(ours)
                self._measure(ours)
                self.memory = ours.memory()
                self.breakdown = self._break_down(ours)
                if systems.GATEWAY in chosen:
                    with self._running(systems.gateway(self.materials, self.cores, ours)) as front:
                        self._measure(front)
        if systems.LIMIT in chosen:
            self._measure_limit()
        others: dict[str, Callable[[], System]] = {
            systems.FLASK: lambda: systems.flask(self.materials, self.cores),
            systems.STOCK_ONE: lambda: systems.stock(self.materials, self.cores, threads=1),
            systems.STOCK: lambda: systems.stock(self.materials, self.cores, threads=None),
        }
        for name, make in others.items():
            if name in chosen:
                with self._running(make()) as system:
                    self._check(system)
                    self._measure(system)

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
            found = [probability(load.ask(system.url, body)) for body in bodies]
            expected = self.expected.setdefault(size, found)
            pairs = [(a, b) for a, b in zip(expected, found, strict=True) if a is not None and b is not None]
            worst = max((abs(a - b) for a, b in pairs), default=math.nan)
            self.differences[f"{system.name}, {size}"] = worst
            if worst > TOLERANCE.get(system.name, SAME):
                raise RuntimeError(f"{system.name} gives other probabilities for {size}: {found}, not {expected}")

    def _cases(self) -> Iterator[tuple[str, list[bytes], int]]:
        for number, (size, bodies) in enumerate(self.payloads.items()):
            for concurrency in self.plan.concurrency if number == 0 else (self.plan.other_concurrency,):
                yield size, bodies, concurrency

    def _measure(self, system: System) -> None:
        for size, bodies, concurrency in self._cases():
            sample = load.drive(system.url, bodies, concurrency, self.plan.seconds)
            self._add(size, system.name, concurrency, sample, sum(system.memory().values()))

    def _measure_limit(self) -> None:
        cores = sorted(self.cores.serving)
        print(f"{self.materials.name}: {systems.LIMIT}", flush=True)
        batch = self._batch_size()
        for size, _, concurrency in self._cases():
            # With one caller there is nothing to batch, and no second core to use.
            used = cores[: min(len(cores), concurrency)]
            at_once = min(batch, max(1, concurrency // len(used)))
            sample = limit.measure(self.materials.bundle, self.folder / size, used, at_once, self.plan.seconds)
            self._add(size, systems.LIMIT, concurrency, sample, math.nan)

    def _batch_size(self) -> int:
        import yaml

        told = yaml.safe_load((systems.ROOT / "model-config.yaml").read_text())
        return int(told["batchSize"])

    def _break_down(self, ours: System) -> stages.Breakdown:
        metrics = f"http://127.0.0.1:{ours.environment['DERMSERVE_METRICS_PORT']}/metrics"
        bodies = next(iter(self.payloads.values()))
        before = stages.read(metrics)
        sample = load.drive(ours.url, bodies, 1, self.plan.seconds, warm_up=0)
        return stages.Breakdown.between(before, stages.read(metrics), sample)

    def _add(self, size: str, system: str, concurrency: int, sample: load.Sample, memory: float) -> None:
        row = Row(
            model=self.materials.name,
            payload=size,
            system=system,
            concurrency=concurrency,
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
            f"  {size:>10} x{concurrency:<3} {row.rate:8.1f} /s   p50 {row.p50_ms:8.2f} ms   p99 {row.p99_ms:8.2f} ms"
            f"   errors {row.errors}",
            file=sys.stderr,
            flush=True,
        )


def probability(answer: Mapping[str, object]) -> float | None:
    """Of malignancy: ours says so, the stock classifier names it among its classes."""
    told = answer.get("probability", answer.get("malignant"))
    return float(told) if isinstance(told, (int, float)) else None
