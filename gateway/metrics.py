"""The gateway's Prometheus metrics, every name once.

gateway_requests_total{route,code}     requests answered; code 499: the client left before its answer
gateway_request_seconds{route}         time of the whole request, upload and all, whatever its answer
gateway_answer_seconds{route}          time from the end of the upload to the answer, if that is a 200; the objective
gateway_in_flight                      requests under /v1, those whose body still arrives included
gateway_images_total{outcome,reason}   images asked about: answered | refused for what they are | failed by the
                                       server's fault | busy; a request that failed before they were known is one
gateway_problems_total{reason}         errors by their stable reason, one an image where the images are known
gateway_busy_total{limit}              refusals as busy, by what was full: in_flight | arriving | memory | queue
gateway_bytes_held                     bytes of uploads, and of answers not yet taken
gateway_retries_total{cause}           predictions asked a second time: worker_died | connection_lost
gateway_ready, gateway_draining        1 or 0, as /readyz says
lesion_workers_ready                   workers that the management API calls READY (0 when it does not answer)
lesion_workers_total                   workers that it knows
lesion_worker_restarts_total           workers that ended and were replaced, under a request or idle
lesion_queue_pending                   predictions waiting in TorchServe's queue
lesion_queue_remaining                 places left in it
lesion_model_info{name,version,sha256,architecture}   1, for the model that is served
lesion_reference_score_bucket{le}      share (0..1) of the bundle's reference scores at or below `le`; its values
                                       are those of TorchServe's histogram `lesion_score`: one PSI rule fits both
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, product

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from gateway.problems import KINDS, LIMITS, REFUSALS, Problem

SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
OUTCOMES = {
    **dict.fromkeys(REFUSALS, "refused"),
    **dict.fromkeys(
        ("backend_timeout", "backend_unavailable", "internal", "prediction_failed", "shutting_down"), "failed"
    ),
    "busy": "busy",
}
"""What a reason makes of an image; the other reasons are of requests that had no business here."""
SCORES = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0)


class Metrics:
    """One registry per application, so that several can live in one process."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter("gateway_requests", "Requests answered.", ["route", "code"], registry=registry)
        self.seconds = Histogram(
            "gateway_request_seconds", "Time of the whole request.", ["route"], buckets=SECONDS, registry=registry
        )
        self.answer_seconds = Histogram(
            "gateway_answer_seconds", "Time from upload to answer.", ["route"], buckets=SECONDS, registry=registry
        )
        self.in_flight = Gauge("gateway_in_flight", "Requests at work or arriving.", registry=registry)
        self.images = Counter("gateway_images", "Images asked about.", ["outcome", "reason"], registry=registry)
        self.problems = Counter("gateway_problems", "Errors by reason.", ["reason"], registry=registry)
        self.busy = Counter("gateway_busy", "Refusals as busy by what was full.", ["limit"], registry=registry)
        self.bytes_held = Gauge("gateway_bytes_held", "Bytes of uploads and answers.", registry=registry)
        self.retries = Counter("gateway_retries", "Predictions asked again.", ["cause"], registry=registry)
        self.ready = Gauge("gateway_ready", "1 if /readyz says ready.", registry=registry)
        self.draining = Gauge("gateway_draining", "1 if the gateway drains.", registry=registry)
        self.workers_ready = Gauge("lesion_workers_ready", "READY workers of TorchServe.", registry=registry)
        self.workers_total = Gauge("lesion_workers_total", "Workers known to TorchServe.", registry=registry)
        self.worker_restarts = Counter(
            "lesion_worker_restarts", "Workers that ended and were replaced.", registry=registry
        )
        self.queue_pending = Gauge("lesion_queue_pending", "Predictions waiting in TorchServe.", registry=registry)
        self.queue_remaining = Gauge("lesion_queue_remaining", "Places left in the queue.", registry=registry)
        self.model_info = Gauge(
            "lesion_model_info", "The served model.", ["name", "version", "sha256", "architecture"], registry=registry
        )
        self.reference = Gauge(
            "lesion_reference_score_bucket", "Share of reference scores up to le.", ["le"], registry=registry
        )
        self._answered: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._images_answered = self.images.labels("answered", "")
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """Series that begin with their first event hide it from `rate` and `increase`."""
        for cause in ("worker_died", "connection_lost"):
            self.retries.labels(cause)
        for reason in KINDS:
            self.problems.labels(reason)
        for limit in LIMITS:
            self.busy.labels(limit)
        for reason, outcome in OUTCOMES.items():
            self.images.labels(outcome, reason)
        for route, code in product(("predict", "explain", "compare"), (200, 429, 500, 502, 503, 504)):
            self.requests.labels(f"/v1/{route}", str(code))
            self.answer_seconds.labels(f"/v1/{route}")

    def answered(self, route: str, code: int, seconds: float) -> None:
        """Count one answer."""
        pair = self._answered.get((route, code))
        if pair is None:
            pair = self.requests.labels(route, str(code)), self.seconds.labels(route)
            self._answered[route, code] = pair
        pair[0].inc()
        pair[1].observe(seconds)

    def refused(self, problems: Sequence[Problem]) -> None:
        """Count errors."""
        for problem in problems:
            self.problems.labels(problem.reason).inc()
            if problem.limit:
                self.busy.labels(problem.limit).inc()

    def judged(self, images: int, problems: Sequence[Problem]) -> None:
        """Count images; those that have no problem are answered."""
        for problem in problems:
            if outcome := OUTCOMES.get(problem.reason):
                self.images.labels(outcome, problem.reason).inc()
        self._images_answered.inc(images - len(problems))

    def show_reference(self, edges: Sequence[float], counts: Sequence[float]) -> None:
        """Publish the reference scores of a bundle."""
        for le, share in zip(SCORES, cumulative(edges, counts, SCORES), strict=True):
            self.reference.labels(str(le)).set(share)


def cumulative(edges: Sequence[float], counts: Sequence[float], at: Sequence[float]) -> list[float]:
    """The share of a histogram's mass up to each point; within a bin it is taken as evenly spread."""
    if len(edges) != len(counts) + 1 or sum(counts) <= 0:
        raise ValueError("a histogram has one edge more than counts, and something in it")
    below = [0.0, *accumulate(counts)]
    shares = []
    for point in at:
        i = bisect_right(edges, point) - 1
        if i < 0:
            shares.append(0.0)
        elif i >= len(counts):
            shares.append(1.0)
        else:
            inside = (point - edges[i]) / (edges[i + 1] - edges[i])
            shares.append((below[i] + inside * counts[i]) / below[-1])
    return shares
