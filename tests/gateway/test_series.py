"""Metrics that alerts are made of: there before their first event, true between edges, of one model at a time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.metrics import cumulative
from gateway.problems import KINDS
from tests.gateway import fake_torchserve
from tests.gateway.conftest import Gateway, until
from tests.gateway.fake_torchserve import MANIFEST, SHA256, FakeTorchServe

ANSWERED = ("200", "429", "500", "502", "503", "504")


def test_what_rates_are_taken_of_begins_at_zero(gateway: Gateway) -> None:
    lines = gateway.http.get("/metrics").text.splitlines()
    wanted = {f'gateway_problems_total{{reason="{reason}"}} 0.0' for reason in KINDS}
    for route in ("predict", "explain", "compare"):
        wanted |= {f'gateway_requests_total{{code="{code}",route="/v1/{route}"}} 0.0' for code in ANSWERED}
    assert wanted - set(lines) == set()


def test_within_a_bin_scores_count_as_evenly_spread() -> None:
    found = cumulative([0.0, 0.2, 1.0], [60, 40], [0.0, 0.05, 0.2, 0.6, 0.8, 1.0])
    assert found == pytest.approx([0.0, 0.15, 0.6, 0.8, 0.9, 1.0])


def line(sha256: str) -> str:
    return f'lesion_model_info{{architecture="resnet18",name="lesion",sha256="{sha256}",version="1.0"}}'


def test_a_model_that_was_replaced_is_told_no_more(
    start: Callable[..., Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = start(model_refresh_s=0.05)
    assert gateway.metric(line(SHA256)) == 1
    monkeypatch.setattr(fake_torchserve, "MANIFEST", MANIFEST | {"sha256": "cd" * 32})
    until(lambda: gateway.metric(line("cd" * 32)) == 1)
    assert line(SHA256) not in gateway.http.get("/metrics").text


def test_a_torchserve_that_was_started_again_is_asked_for_its_model(
    start: Callable[..., Gateway], torchserve: FakeTorchServe, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = start(model_refresh_s=3600)
    torchserve.stop()
    until(lambda: not gateway.ready())
    monkeypatch.setattr(fake_torchserve, "MANIFEST", MANIFEST | {"sha256": "cd" * 32})
    torchserve.start()
    until(lambda: gateway.metric(line("cd" * 32)) == 1)
    assert gateway.http.get("/v1/model").json()["manifest"]["sha256"] == "cd" * 32
