"""The real TorchServe under as many large images as the gateway holds at once: Java's memory has to do for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from gateway.settings import Settings
from tests.gateway.conftest import Gateway, until
from tests.torchserve import TorchServe

pytestmark = pytest.mark.stack
IMAGE = (Path(__file__).parents[2] / "gateway" / "golden.jpg").read_bytes()
# As on the cluster; how netty divides its memory depends on it.
TWO_CORES = {"JDK_JAVA_OPTIONS": "-XX:ActiveProcessorCount=2"}


@pytest.fixture
def gateway(model_store: Path) -> Iterator[Gateway]:
    """In front of a TorchServe of its own, since Java keeps what it once took."""
    with TorchServe(model_store, workers=2, environment=TWO_CORES) as real:
        gateway = Gateway(Settings(port=0, inference_url=real.inference_url, management_url=real.management_url))
        try:
            until(gateway.ready, 30)
            yield gateway
        finally:
            gateway.stop()


def of_size(size: int) -> bytes:
    """A picture with zeros behind it, which decoders do not mind: large on the way and quickly decoded."""
    return IMAGE + bytes(size - len(IMAGE))


def at_once(gateway: Gateway, image: bytes, count: int) -> Counter[int]:
    def ask(_: int) -> int:
        return httpx.post(f"{gateway.url}/v1/predict", content=image, timeout=60).status_code

    with ThreadPoolExecutor(count) as clients:
        return Counter(clients.map(ask, range(count)))


def test_bursts_of_large_images_are_answered_and_leave_nothing_behind(gateway: Gateway) -> None:
    held = gateway.settings.max_bytes_in_memory
    largest = of_size(gateway.settings.max_image_bytes)
    told: Counter[int] = Counter()
    for image in (of_size(12 * 2**20), largest, of_size(17 * 2**20), largest):
        told += at_once(gateway, image, min(10, held // len(image)))
    assert set(told) <= {200, 429, 503}, told
    assert told[200] > 20
    assert gateway.predict(largest).status_code == 200
