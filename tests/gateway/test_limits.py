"""Limits that hold while bytes arrive: sizes, counts, memory, and clients that are too slow."""

from __future__ import annotations

import json
import select
import socket
import threading
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.gateway.conftest import Gateway, until
from tests.gateway.fake_torchserve import FakeTorchServe
from tests.gateway.wire import dial, problem, read_all

Start = Callable[..., Gateway]


def pieces(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b"x" * 1000


def test_a_declared_length_over_the_limit_is_refused_before_the_body_is_sent(start: Start) -> None:
    gateway = start(max_image_bytes=10_000)
    head = ("POST /v1/predict HTTP/1.1", "Host: x", "Content-Length: 10001", "Connection: close", "", "")
    answer = read_all(dial(gateway, *head))
    assert answer.startswith(b"HTTP/1.1 413")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["reason"] == "too_large"


def test_who_sends_on_after_a_refusal_reads_it_all_the_same(start: Start) -> None:
    gateway = start(max_image_bytes=10_000)
    size = 16 * 2**20
    head = ("POST /v1/predict HTTP/1.1", "Host: x", f"Content-Length: {size}", "Connection: close", "", "")
    connection = dial(gateway, *head)
    until(lambda: gateway.metric('gateway_problems_total{reason="too_large"}') == 1)
    connection.sendall(bytes(size))
    assert problem(read_all(connection)) == (b"413", "too_large")


def test_a_body_of_unknown_length_is_refused_as_soon_as_it_is_too_large(
    start: Start, torchserve: FakeTorchServe
) -> None:
    gateway = start(max_image_bytes=10_000)
    before = torchserve.started
    assert gateway.predict(pieces(10)).status_code == 415
    answer = gateway.predict(pieces(11))
    assert (answer.status_code, answer.json()["reason"]) == (413, "too_large")
    assert torchserve.started == before + 1


def test_a_form_has_a_limit_for_a_file_and_one_for_all(start: Start) -> None:
    gateway = start(max_image_bytes=10_000, max_request_bytes=40_000)
    small, large = ("a.jpg", b"IMAGE 0.3"), ("b.jpg", b"x" * 10_001)
    results = gateway.http.post("/v1/predict", files=[("file", small), ("file", large)]).json()["results"]
    assert results[0]["probability"] == 0.3
    assert results[1]["error"]["reason"] == "too_large"
    answer = gateway.http.post("/v1/predict", files=[("file", ("a", b"x" * 9_000))] * 5)
    assert (answer.status_code, answer.json()["reason"]) == (413, "too_large")


def test_one_file_too_many_is_refused(start: Start) -> None:
    gateway = start(max_files=3)
    files = [("file", (f"{i}.jpg", b"IMAGE")) for i in range(4)]
    assert gateway.http.post("/v1/predict", files=files[:3]).status_code == 200
    answer = gateway.http.post("/v1/predict", files=files)
    assert (answer.status_code, answer.json()["reason"]) == (413, "too_many_files")


def test_uploads_held_in_memory_have_a_limit_and_are_given_back(start: Start, torchserve: FakeTorchServe) -> None:
    gateway = start(max_bytes_in_memory=15_000)
    torchserve.hold = threading.Event()
    first = threading.Thread(target=gateway.predict, args=(b"IMAGE" + b" " * 9_000,))
    first.start()
    until(lambda: gateway.metric("gateway_in_flight") == 1)
    with httpx.Client(base_url=gateway.url) as other:
        answer = other.post("/v1/predict", content=b"x" * 9_000)
        assert (answer.status_code, answer.json()["reason"]) == (429, "busy")
    until(lambda: gateway.metric('gateway_busy_total{limit="memory"}') == 1)
    assert gateway.metric("gateway_bytes_held") == 9_005
    torchserve.hold.set()
    first.join()
    assert gateway.predict(b"IMAGE" + b" " * 9_000).status_code == 200
    until(lambda: gateway.metric("gateway_bytes_held") == 0)


def test_an_upload_for_which_there_can_never_be_memory_is_not_told_to_come_back(start: Start) -> None:
    gateway = start(max_bytes_in_memory=15_000)
    answer = gateway.predict(iter([b"IMAGE", b" " * 15_000]))
    assert (answer.status_code, answer.json()["reason"]) == (413, "too_large")


def test_more_requests_than_may_be_at_work_are_told_to_come_back(start: Start, torchserve: FakeTorchServe) -> None:
    gateway = start(max_in_flight=1)
    torchserve.hold = threading.Event()
    first = threading.Thread(target=gateway.predict)
    first.start()
    until(lambda: gateway.metric("gateway_in_flight") == 1)
    with httpx.Client(base_url=gateway.url) as other:
        answer = other.post("/v1/predict", content=b"IMAGE")
    assert (answer.status_code, answer.json()["reason"]) == (429, "busy")
    assert answer.headers["retry-after"] == "1"
    until(lambda: gateway.metric('gateway_busy_total{limit="in_flight"}') == 1)
    torchserve.hold.set()
    first.join()


def test_a_body_that_pauses_too_long_is_ended(start: Start) -> None:
    gateway = start(body_idle_timeout_s=0.2)
    connection = dial(gateway, "POST /v1/predict HTTP/1.1", "Host: x", "Content-Length: 9", "", "IMA")
    answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'"slow_client"' in answer


def test_a_body_that_drips_is_ended(start: Start) -> None:
    gateway = start(body_idle_timeout_s=5, body_timeout_s=0.3)
    connection = dial(gateway, "POST /v1/predict HTTP/1.1", "Host: x", "Content-Length: 1000000", "", "")
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(0.02):
            try:
                connection.send(b"x")
            except OSError:
                return

    dripping = threading.Thread(target=drip)
    dripping.start()
    first = connection.recv(65536)
    stop.set()
    dripping.join()
    connection.close()
    assert first.startswith(b"HTTP/1.1 408")


def test_a_connection_that_sends_no_headers_is_ended(start: Start) -> None:
    gateway = start(header_timeout_s=0.2)
    assert read_all(dial(gateway, "")) == b""
    answer = read_all(dial(gateway, "GET /livez HTTP/1.1", "Host: "))
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"application/problem+json" in answer


def test_a_client_that_takes_no_answer_is_ended(start: Start, torchserve: FakeTorchServe) -> None:
    gateway = start(send_timeout_s=0.2, keep_alive_s=600)
    torchserve.heatmap += "A" * 2**24
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(10)
        connection.connect(("127.0.0.1", gateway.port))
        connection.sendall(b"POST /v1/explain HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nIMAGE")
        own = connection.getsockname()
        until(lambda: own in [other.client for other in gateway.server.server_state.connections])
        until(lambda: own not in [other.client for other in gateway.server.server_state.connections])


def test_answers_that_nobody_takes_count_as_held(start: Start, torchserve: FakeTorchServe) -> None:
    gateway = start(max_bytes_in_memory=2**22)
    torchserve.heatmap += "A" * 2**24
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
        connection.sendall(b"POST /v1/explain HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nIMAGE")
        connection.recv(1)
        until(lambda: gateway.metric("gateway_in_flight") == 0)
        answer = gateway.predict()
        assert (answer.status_code, answer.json()["reason"]) == (429, "busy")
    until(lambda: gateway.predict().status_code == 200)


def flood(gateway: Gateway, head: bytes, piece: bytes, limit: int) -> tuple[int, bytes]:
    """Sends the piece again and again until the gateway answers; how many bytes it took, and its answer."""
    sent = 0
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
        connection.sendall(head)
        while not select.select([connection], [], [], 0)[0] and sent < limit:
            connection.sendall(piece)
            sent += len(piece)
        return sent, b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    "piece",
    [b"a" * 16_000, b"X-A: " + b"a" * 16_000 + b"\r\n"],
    ids=["one endless header", "endless headers"],
)
@pytest.mark.parametrize(
    "head",
    [
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX-A: ",
        b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: ",
    ],
    ids=["headers", "trailers"],
)
def test_headers_have_a_limit_while_they_arrive(gateway: Gateway, head: bytes, piece: bytes) -> None:
    sent, answer = flood(gateway, head, piece, limit=40 * 2**20)
    assert problem(answer) == (b"431", "head_too_large")
    assert sent < 8 * 2**20  # what the sockets of both sides hold, and not what a gateway would
    assert gateway.metric('gateway_problems_total{reason="head_too_large"}') == 1


def test_headers_that_come_whole_have_the_same_limit(standing: Gateway) -> None:
    fields = {f"x-{i}": "a" * 8_000 for i in range(8)}
    answer = httpx.get(f"{standing.url}/livez", headers=fields)
    assert (answer.status_code, answer.json()["reason"]) == (431, "head_too_large")
    assert httpx.get(f"{standing.url}/livez?{'a' * 40_000}").status_code == 431
    del fields["x-3"], fields["x-4"], fields["x-5"], fields["x-6"], fields["x-7"]
    assert httpx.get(f"{standing.url}/livez", headers=fields).status_code == 200


def test_large_bodies_do_not_count_as_headers(standing: Gateway) -> None:
    assert standing.predict(b"IMAGE 0.3" + b" " * 500_000).status_code == 200
    assert standing.predict(iter([b"IMAGE 0.3", *[b" "] * 40_000])).status_code == 200


def test_an_idle_connection_stays_open_for_as_long_as_the_setting_says(start: Start) -> None:
    gateway = start(keep_alive_s=1)
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=3) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_all(connection).startswith(b"HTTP/1.1 200")


def test_line_ends_alone_do_not_keep_a_connection_open(start: Start) -> None:
    gateway = start(header_timeout_s=0.2, keep_alive_s=600)
    for request in (b"", b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
            connection.sendall(request)
            assert not request or connection.recv(65536).startswith(b"HTTP/1.1 200")
            connection.sendall(b"\r\n")
            assert read_all(connection) == b""
