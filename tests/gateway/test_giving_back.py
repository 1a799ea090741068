"""An image's memory is given back with its own answer, not only with the last one of its request."""

from __future__ import annotations

import threading
from collections.abc import Callable

import httpx

from gateway.traffic import Traffic
from gateway.upload import Body, Upload
from tests.gateway.conftest import Gateway, until
from tests.gateway.fake_torchserve import FakeTorchServe

SIZE = 6_000


class AfterTheNext(threading.Event):
    """Lets one prediction through and holds the others, until it is set."""

    def __init__(self, torchserve: FakeTorchServe) -> None:
        super().__init__()
        self._torchserve = torchserve
        self._before = torchserve.finished

    def is_set(self) -> bool:
        return super().is_set() or self._torchserve.finished == self._before


def test_an_answered_image_makes_room_while_the_next_of_its_form_is_at_work(
    start: Callable[..., Gateway], torchserve: FakeTorchServe
) -> None:
    gateway = start(max_bytes_in_memory=3 * SIZE, fan_out=1)
    torchserve.hold = AfterTheNext(torchserve)
    before = torchserve.started
    files = [("file", (name, b"IMAGE".ljust(SIZE))) for name in "ab"]
    answers: list[httpx.Response] = []
    form = threading.Thread(target=lambda: answers.append(httpx.post(f"{gateway.url}/v1/predict", files=files)))
    form.start()
    try:
        until(lambda: torchserve.started == before + 2)
        held = gateway.server.traffic.bytes_held
        assert SIZE < held < 2 * SIZE
    finally:
        torchserve.hold.set()
        form.join()
    assert [len(answer.json()["results"]) for answer in answers] == [2]


def test_an_answer_takes_the_place_of_its_image() -> None:
    traffic = Traffic()
    uploads = [Upload(content=bytes(1000)), Upload(content=bytes(500))]
    traffic.bytes_held = 1500
    body = Body(uploads, raw=False, held=1500, traffic=traffic)
    body.swap(uploads[0], b"an answer")
    assert [upload.size for upload in uploads] == [0, 500]
    assert traffic.bytes_held == 500 + len(b"an answer")
    body.forget()
    assert (uploads[1].size, traffic.bytes_held) == (0, 0)
