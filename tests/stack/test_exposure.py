"""What others can reach, and what a worker is made of."""

from __future__ import annotations

import socket
from pathlib import Path

import httpx
import psutil
import pytest

from tests.stack import images
from tests.torchserve import TorchServe

pytestmark = pytest.mark.stack


def outside_address() -> str:
    """An address of this machine that is not its loopback."""
    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            if address.family == socket.AF_INET and not address.address.startswith("127."):
                return str(address.address)
    pytest.skip("this machine has no address but loopback")


def accepts(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        return False
    return True


def test_management_answers_on_loopback_only(torchserve: TorchServe) -> None:
    outside = outside_address()
    assert accepts("127.0.0.1", torchserve.management_port)
    assert not accepts(outside, torchserve.management_port)
    assert not any(accepts(outside, port) for port in torchserve.grpc_ports)
    # So that the test can fail: what is meant to be reached can be.
    assert accepts(outside, torchserve.inference_port)


def test_predictions_stay_on_loopback_where_that_is_chosen(model_store: Path) -> None:
    outside = outside_address()
    with TorchServe(model_store, environment={"DERMSERVE_INFERENCE_HOST": "127.0.0.1"}) as server:
        assert server.predict(server.example).status_code == 200
        assert not accepts(outside, server.inference_port)
        # Prometheus is elsewhere.
        assert accepts(outside, server.metrics_port)


def test_no_model_can_be_registered_or_removed(torchserve: TorchServe) -> None:
    url = f"{torchserve.management_url}/models"
    assert httpx.post(f"{url}?url=https://example.org/evil.mar").status_code == 405
    assert httpx.delete(f"{url}/lesion").status_code == 405
    assert torchserve.ready_workers() == 2


def test_a_body_beyond_every_limit_is_refused_by_the_frontend(torchserve: TorchServe) -> None:
    assert torchserve.predict(bytes(24 * 2**20)).status_code == 413
    assert torchserve.predict(torchserve.example).status_code == 200


def test_nothing_is_written_but_the_archive_and_sockets(torchserve: TorchServe) -> None:
    torchserve.predict(torchserve.example)
    scratch = Path(torchserve.scratch.name)
    files = [path.relative_to(scratch) for path in scratch.rglob("*") if path.is_file()]
    assert {path.parts[0] for path in files} <= {"python", "log", "models"}


def test_the_log_stays_silent_under_requests(torchserve: TorchServe) -> None:
    torchserve.predict(torchserve.example)
    before = torchserve.log.stat().st_size
    for _ in range(20):
        torchserve.predict(torchserve.example)
        torchserve.predict(images.REFUSED["not_an_image"])
    assert torchserve.log.stat().st_size == before


def test_workers_do_without_torch(torchserve: TorchServe) -> None:
    for worker in torchserve.describe()["workers"]:
        libraries = {mapped.path for mapped in psutil.Process(worker["pid"]).memory_maps()}
        assert any("openvino" in path for path in libraries)
        assert not [path for path in libraries if "libtorch" in path]


def test_memory_stays_within_the_promise(torchserve: TorchServe) -> None:
    assert torchserve.process is not None
    java = psutil.Process(torchserve.process.pid)
    assert java.name() == "java", "python -m stack torchserve becomes Java itself"
    whole = sum(process.memory_info().rss for process in [java, *java.children(recursive=True)])
    assert whole < 1.3 * 2**30
