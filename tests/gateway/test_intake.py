"""Bodies that take their time: who sends one keeps nobody else waiting, and cannot do so for long."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from gateway import intake
from tests.gateway.conftest import Gateway, until
from tests.gateway.fake_torchserve import FakeTorchServe
from tests.gateway.wire import dial, problem, read_all

Start = Callable[..., Gateway]


def begin_upload(gateway: Gateway) -> socket.socket:
    return dial(gateway, "POST /v1/predict HTTP/1.1", "Host: x", "Content-Length: 1000000", "", "IMA")


@contextlib.contextmanager
def sending(connection: socket.socket, piece: bytes) -> Iterator[None]:
    """Twenty such pieces a second, for as long as the block runs and the gateway takes them."""
    stop = threading.Event()

    def send() -> None:
        with contextlib.suppress(OSError):
            while not stop.wait(0.05):
                connection.sendall(piece)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        stop.set()
        sender.join()


def test_bodies_on_their_way_take_no_place_of_those_that_are_there(start: Start) -> None:
    gateway = start(max_in_flight=2)
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(begin_upload(gateway))
        until(lambda: gateway.metric("gateway_in_flight") == 5)
        assert gateway.predict().status_code == 200
    until(lambda: gateway.metric("gateway_in_flight") == 0)


def test_a_body_that_comes_when_all_places_are_taken_is_told_to_come_back(
    start: Start, torchserve: FakeTorchServe
) -> None:
    gateway = start(max_in_flight=1)
    late = dial(gateway, "POST /v1/predict HTTP/1.1", "Host: x", "Content-Length: 5", "Connection: close", "", "IMA")
    until(lambda: gateway.metric("gateway_in_flight") == 1)
    torchserve.hold = threading.Event()
    before = torchserve.started
    first = threading.Thread(target=gateway.predict)
    first.start()
    until(lambda: torchserve.started == before + 1)
    late.sendall(b"GE")
    assert problem(read_all(late)) == (b"429", "busy")
    torchserve.hold.set()
    first.join()


def test_a_body_under_the_least_speed_is_ended(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "FIRST_S", 0.5)
    gateway = start()
    slow, fast = begin_upload(gateway), begin_upload(gateway)
    with sending(slow, b"x"), sending(fast, b"x" * 200):
        assert problem(read_all(slow)) == (b"408", "slow_client")
        assert gateway.metric("gateway_in_flight") == 1
    fast.close()


def test_the_slowest_of_too_many_gives_way(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "NEWCOMER_S", 0)
    gateway = start(max_in_flight=1)
    slow = begin_upload(gateway)
    fast = [begin_upload(gateway) for _ in range(intake.RECEIVERS - 1)]
    until(lambda: gateway.metric("gateway_in_flight") == intake.RECEIVERS)
    for connection in fast:
        connection.sendall(bytes(100_000))
    until(lambda: gateway.server.traffic.bytes_held > len(fast) * 100_000)
    assert gateway.predict().status_code == 200
    assert problem(read_all(slow)) == (b"408", "slow_client")
    assert gateway.metric("gateway_in_flight") == len(fast)
    for connection in fast:
        connection.close()


def test_where_nobody_is_too_slow_the_newcomer_is_told_to_come_back(start: Start) -> None:
    gateway = start(max_in_flight=1)
    others = [begin_upload(gateway) for _ in range(intake.RECEIVERS)]
    with contextlib.ExitStack() as stack:
        for connection in others:
            stack.enter_context(sending(connection, b"x" * 200))
        until(lambda: gateway.metric("gateway_in_flight") == intake.RECEIVERS)
        answer = gateway.predict()
        assert (answer.status_code, answer.json()["reason"]) == (429, "busy")
    for connection in others:
        connection.close()


def test_bodies_that_have_arrived_take_no_room_of_those_to_come(start: Start) -> None:
    gateway = start(max_in_flight=1)
    answers = [gateway.predict() for _ in range(3 * intake.RECEIVERS)]
    assert {answer.status_code for answer in answers} == {200}
