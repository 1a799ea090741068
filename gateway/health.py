"""Is the backend truly able to predict? Asked of the management API and of a golden image, not of /ping."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any

from gateway.backend import Backend
from gateway.metrics import Metrics
from gateway.outage import Outage
from gateway.problems import Problem
from gateway.roster import Roster
from gateway.settings import Settings
from gateway.traffic import Traffic
from gateway.upload import Upload

log = logging.getLogger("gateway.health")
FRESH_S = 0.25
DESCRIBE_S = 10.0
# After a worker was replaced, so long may turn out what was lost with it.
ORPHANED_S = 10.0


@dataclass(frozen=True)
class Readiness:
    """What has to hold for traffic to be sent here; ready only if all of it does."""

    not_draining: bool
    management_answers: bool
    workers_ready: bool
    golden_prediction: bool
    model_known: bool

    @property
    def ready(self) -> bool:
        return all(asdict(self).values())


class Health:
    """Watches the backend from a task of its own; everybody else reads what it saw."""

    def __init__(self, settings: Settings, backend: Backend, traffic: Traffic, metrics: Metrics) -> None:
        self._settings = settings
        self._backend = backend
        self._traffic = traffic
        self._metrics = metrics
        golden = settings.golden_image or files("gateway").joinpath("golden.jpg")
        self._golden_image = Upload(content=golden.read_bytes())
        self.workers_ready = 0
        self.golden = False
        self.description = b""  # as JSON
        self._working = asyncio.Event()
        self._seen_at = float("-inf")
        self._describe_at = float("-inf")
        self._look: asyncio.Task[None] | None = None
        self._roster = Roster(metrics)
        self._management = Outage(log, f"TorchServe's management address {settings.management_url}")
        self._workers = Outage(log, f"the check for {settings.min_ready_workers} READY workers")
        self._prediction = Outage(log, "the golden prediction")
        self._describing = Outage(log, "the model's description of itself")

    @property
    def readiness(self) -> Readiness:
        return Readiness(
            not_draining=not self._traffic.draining,
            management_answers=time.monotonic() - self._seen_at <= self._settings.stale_after_s,
            workers_ready=self.workers_ready >= self._settings.min_ready_workers,
            golden_prediction=self.golden,
            model_known=bool(self.description),
        )

    async def watch(self) -> None:
        """Look for ever; the description has a task of its own, since it waits in the queue with the predictions."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._repeat(self.check))
            tasks.create_task(self._repeat(self._describe_when_working))

    async def _repeat(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except Exception:
                log.exception("the health check itself failed")
            await asyncio.sleep(self._settings.poll_interval_s)

    async def check(self) -> None:
        """One round: workers and queue, and the golden prediction if it is owed."""
        await self.look()
        if self.workers_ready and not self.golden:
            await self._predict_golden()

    async def workers_ready_now(self) -> int:
        """READY workers, at most a quarter of a second old; many callers cost one question."""
        if time.monotonic() - self._seen_at > FRESH_S:
            if self._look is None or self._look.done():
                self._look = asyncio.create_task(self.look())
            await asyncio.shield(self._look)
        return self.workers_ready

    async def look(self) -> None:
        """Ask the management API for workers and queue."""
        try:
            model = await self._backend.model()
        except TimeoutError:
            if not self.readiness.management_answers:  # a busy machine answers late
                self._management.met(f"no answer for {self._settings.stale_after_s:g} s")
                self._lost()
            return
        except (OSError, ValueError) as error:
            self._management.met(error)
            self._lost()
            return
        self._management.over()
        self._seen_at = time.monotonic()
        workers = model.get("workers") or []
        self._roster.see(workers)
        self.workers_ready = sum(worker.get("status") == "READY" for worker in workers)
        queue = model.get("jobQueueStatus") or {}
        self._metrics.workers_total.set(len(workers))
        self._metrics.workers_ready.set(self.workers_ready)
        self._metrics.queue_pending.set(queue.get("pendingRequests", 0))
        self._metrics.queue_remaining.set(queue.get("remainingCapacity", 0))
        if not queue.get("pendingRequests") and time.monotonic() - self._roster.replaced_at < ORPHANED_S:
            self._backend.worker_was_replaced(self._roster.replaced_at)
        if self.workers_ready >= self._settings.min_ready_workers:
            self._workers.over()
        else:
            advice = "if that lasts, lower DERMSERVE_MIN_READY_WORKERS or raise DERMSERVE_WORKERS"
            self._workers.met(f"{self.workers_ready} of TorchServe's {len(workers)} are; {advice}")
        if self.workers_ready:
            self._working.set()
        else:
            self._working.clear()
            self.golden = False

    def _lost(self) -> None:
        self._seen_at = self._describe_at = float("-inf")
        self.workers_ready = 0
        self._working.clear()
        self.golden = False
        metrics = self._metrics
        for gauge in (metrics.workers_total, metrics.workers_ready, metrics.queue_pending, metrics.queue_remaining):
            gauge.set(0)

    async def _predict_golden(self) -> None:
        try:
            answer = json.loads(await self._backend.ask("predictions", self._golden_image, "golden"))
            if not isinstance(answer, dict) or "label" not in answer:
                raise ValueError("the model's answer has no label")
        except (Problem, ValueError) as error:
            self._prediction.met(error)
            return
        self._prediction.over()
        self.golden = True

    async def _describe_when_working(self) -> None:
        await self._working.wait()
        await self.describe()

    async def describe(self) -> None:
        """Ask for manifest and card if they are old, or if TorchServe was away."""
        if not self.workers_ready or time.monotonic() < self._describe_at:
            return
        try:
            description = (await self._backend.model(customized=True, seconds=DESCRIBE_S)).get("customizedMetadata")
            if isinstance(description, str):
                description = json.loads(description)
            if not isinstance(description, dict) or not isinstance(description.get("manifest"), dict):
                raise ValueError("the handler describes itself without a manifest")
        except (OSError, ValueError) as error:
            self._describing.met(str(error) or type(error).__name__)
            if self.description:  # readiness waits for the first one
                self._describe_at = time.monotonic() + min(DESCRIBE_S, self._settings.model_refresh_s)
            return
        self._describing.over()
        self._describe_at = time.monotonic() + self._settings.model_refresh_s
        told = json.dumps(description, ensure_ascii=False, separators=(",", ":")).encode()
        if told != self.description:
            self.description = told
            self._publish(description["manifest"])

    def _publish(self, manifest: dict[str, Any]) -> None:
        self._metrics.model_info.clear()
        labels = (str(manifest.get(key, "")) for key in ("name", "version", "sha256", "architecture"))
        self._metrics.model_info.labels(*labels).set(1)
        scores = manifest.get("reference_scores") or {}
        try:
            self._metrics.show_reference(scores.get("edges", []), scores.get("counts", []))
        except (ValueError, TypeError) as error:
            log.warning("the manifest's reference scores cannot be shown: %s", error)
