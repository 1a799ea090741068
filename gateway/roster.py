"""Which processes are TorchServe's workers: it replaces one that dies, and tells nobody."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.metrics import Metrics

log = logging.getLogger("gateway.roster")


class Roster:
    """Counts and logs every worker that ended and was replaced.

    A worker keeps its id and start time through such a death, and has another pid. After a start of TorchServe, or of
    a worker that was added, the start time is another one; whoever is gone altogether was scaled down.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._pids: dict[tuple[str, str], int] = {}
        self.replaced_at = float("-inf")

    def see(self, workers: Sequence[Mapping[str, Any]]) -> None:
        """Compare with what was seen before, and remember."""
        seen = {}
        for worker in workers:
            key = str(worker.get("id")), str(worker.get("startTime"))
            before, pid = self._pids.get(key, 0), int(worker.get("pid") or 0)
            seen[key] = pid if pid > 0 else before
            if 0 < before != seen[key]:
                self._metrics.worker_restarts.inc()
                self.replaced_at = time.monotonic()
                fields = {"worker": key[0], "ended": before, "started": pid}
                log.warning("worker %d ended; TorchServe has started another", before, extra={"fields": fields})
        self._pids = seen
