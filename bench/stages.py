"""Where the time of a request goes, from the histograms that the workers export."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from stack import probe

SUM = "lesion_stage_seconds_sum"
ANSWERED = "ts_inference_requests_total"


def read(url: str) -> dict[str, float]:
    """Seconds spent in each stage so far, and the number of requests."""
    told: dict[str, float] = {}
    for family in text_string_to_metric_families(probe.ask(url, None).decode()):
        for sample in family.samples:
            if sample.name == SUM:
                told[sample.labels["stage"]] = sample.value
            elif sample.name == ANSWERED:
                told["requests"] = sample.value
    return told


@dataclass(frozen=True)
class Breakdown:
    """Milliseconds that a request takes, and those of them that each stage does."""

    stages: dict[str, float]
    whole: float

    @classmethod
    def between(cls, before: Mapping[str, float], after: Mapping[str, float], seconds: float) -> Breakdown:
        """The difference of two readings, over the requests between them, of which each took so many seconds."""
        requests = after["requests"] - before["requests"]
        spent = {name: value - before.get(name, 0.0) for name, value in after.items() if name != "requests"}
        return cls({name: 1000 * total / requests for name, total in spent.items()}, 1000 * seconds)

    @property
    def rest(self) -> float:
        """What is left for HTTP, Java and the way to the worker."""
        return self.whole - sum(self.stages.values())

    def share(self, stage: str) -> float:
        """Of the whole request."""
        return self.stages.get(stage, 0.0) / self.whole
