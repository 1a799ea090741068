"""Workers that die: TorchServe replaces them without a word, so the gateway tells."""

from __future__ import annotations

import pytest

from tests.gateway.conftest import Gateway, until
from tests.gateway.fake_torchserve import FakeTorchServe


def test_a_replaced_worker_is_counted_and_told_though_no_request_was_lost(
    gateway: Gateway, torchserve: FakeTorchServe, caplog: pytest.LogCaptureFixture
) -> None:
    torchserve.pids[1] = -1  # between two processes
    torchserve.pids[0] = 777
    until(lambda: gateway.metric("lesion_worker_restarts_total") == 1)
    torchserve.pids[1] = 778
    until(lambda: gateway.metric("lesion_worker_restarts_total") == 2)
    for pid in (100, 101):
        assert f"worker {pid} ended; TorchServe has started another" in caplog.messages


def test_a_restart_of_torchserve_and_fewer_or_more_workers_are_no_deaths(
    gateway: Gateway, torchserve: FakeTorchServe
) -> None:
    torchserve.stop()
    until(lambda: not gateway.ready())
    torchserve.start()
    until(gateway.ready)
    for workers in (["READY"], ["READY"] * 3):
        torchserve.workers = workers
        until(lambda: gateway.metric("lesion_workers_total") == len(torchserve.workers))
    torchserve.pids[2] = 777
    until(lambda: gateway.metric("lesion_worker_restarts_total") > 0)
    assert gateway.metric("lesion_worker_restarts_total") == 1
