"""What Prometheus scrapes from a TorchServe that has worked."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from handler import telemetry
from tests.stack import images
from tests.torchserve import TorchServe

pytestmark = pytest.mark.stack

Scrape = dict[tuple[str, str], float]


@pytest.fixture
def scrape(torchserve: TorchServe) -> Callable[[], Scrape]:
    """Every sample's value by its name and its own label; other labels are the same everywhere."""

    def read() -> Scrape:
        text = httpx.get(f"{torchserve.metrics_url}/metrics").text
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        own = (telemetry.OUTCOME, telemetry.REASON, telemetry.STAGE, "le")
        return {
            (sample.name, next((sample.labels[key] for key in own if key in sample.labels), "")): sample.value
            for sample in samples
        }

    return read


def test_outcomes_and_refusals_are_counted(torchserve: TorchServe, scrape: Callable[[], Scrape]) -> None:
    label = torchserve.predict(torchserve.example).json()["label"]
    torchserve.predict(images.REFUSED["not_an_image"])
    before = scrape()
    for _ in range(3):
        torchserve.predict(torchserve.example)
    torchserve.predict(images.REFUSED["not_an_image"])
    after = scrape()

    def grown(name: str, value: str = "") -> float:
        return after[name, value] - before.get((name, value), 0.0)

    assert grown(telemetry.PREDICTIONS, label) == 3
    assert grown(telemetry.REJECTIONS, "not_an_image") == 1
    assert grown(f"{telemetry.SCORE}_count") == 3
    assert grown(f"{telemetry.BATCH_FILL}_count") == 4
    assert grown(f"{telemetry.BATCH_FILL}_sum") == pytest.approx(4 / 8)
    assert grown(f"{telemetry.STAGE_SECONDS}_count", "decode") == 4
    assert 0 < grown(f"{telemetry.STAGE_SECONDS}_sum", "inference") < 10
    assert grown("ts_inference_requests_total") == 4


def test_every_stage_is_timed(torchserve: TorchServe, scrape: Callable[[], Scrape]) -> None:
    torchserve.predict(torchserve.example, "explanations")
    found = {value for name, value in scrape() if name == f"{telemetry.STAGE_SECONDS}_count"}
    assert found == set(telemetry.STAGES)


def test_stock_metrics_are_there(torchserve: TorchServe, scrape: Callable[[], Scrape]) -> None:
    torchserve.predict(torchserve.example)
    # The parser ends the name of every counter with _total.
    names = {name.removesuffix("_total") for name, _ in scrape()}
    assert {"ts_inference_latency_microseconds", "ts_queue_latency_microseconds", "QueueTime"} <= names


def test_nothing_undeclared_is_exported(torchserve: TorchServe, scrape: Callable[[], Scrape]) -> None:
    torchserve.predict(torchserve.example)
    ours = {name for name, _ in scrape() if name.startswith("lesion_")}
    suffixes = ("_bucket", "_count", "_sum")
    assert {name.removesuffix(next((s for s in suffixes if name.endswith(s)), "")) for name in ours} <= set(
        telemetry.METRICS
    )
