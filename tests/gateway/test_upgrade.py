"""Who would rather speak another protocol is answered in this one, body and all, within the same bounds."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable

import pytest

from tests.gateway.conftest import Gateway
from tests.gateway.wire import problem, read_all

Start = Callable[..., Gateway]
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
WEBSOCKET = b"UPGRADE: websocket\r\nConnection: keep-alive, upgrade\r\nSec-WebSocket-Key: x\r\n"
ALIVE = b"GET /livez HTTP/1.1\r\nHost: x\r\n"
LAST = ALIVE + b"Connection: close\r\n\r\n"
PROBABLE = re.compile(rb'"probability": ?0\.3\b')
FORM = (
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\nIMAGE 0.3\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="b.jpg"\r\n\r\nIMAGE 0.1\r\n--b--\r\n'
)


def head(*lines: bytes, wish: bytes = H2C) -> bytes:
    return b"POST /v1/predict HTTP/1.1\r\nHost: x\r\n" + wish + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def sized(body: bytes, *lines: bytes, wish: bytes = H2C) -> bytes:
    return head(b"Content-Length: %d" % len(body), *lines, wish=wish) + body


def connect(gateway: Gateway) -> socket.socket:
    return socket.create_connection(("127.0.0.1", gateway.port), timeout=10)


def answers(gateway: Gateway, sent: bytes) -> bytes:
    connection = connect(gateway)
    connection.sendall(sent)
    return read_all(connection)


def statuses(answered: bytes) -> list[bytes]:
    return re.findall(rb"HTTP/1\.1 (\d{3}) ", answered)


REQUESTS = {
    "raw": sized(b"IMAGE 0.3"),
    "websocket": sized(b"IMAGE 0.3", wish=WEBSOCKET),
    "form": sized(FORM, b"Content-Type: multipart/form-data; boundary=b"),
    "chunked": head(b"Transfer-Encoding: chunked") + b"5\r\nIMAGE\r\n4\r\n 0.3\r\n0\r\nX-Trailer: x\r\n\r\n",
}
each = pytest.mark.parametrize("request_sent", REQUESTS.values(), ids=REQUESTS)


@each
def test_it_has_its_answer_and_the_connection_goes_on(standing: Gateway, request_sent: bytes) -> None:
    with connect(standing) as connection:
        for _ in range(3):
            connection.sendall(request_sent)
            answer = connection.recv(65536)
            assert statuses(answer) == [b"200"]
            assert PROBABLE.search(answer)
            assert b"connection: close" not in answer
        connection.sendall(LAST)
        assert statuses(read_all(connection)) == [b"200"]


@each
def test_it_may_come_in_any_two_pieces(standing: Gateway, request_sent: bytes) -> None:
    for cut in range(1, len(request_sent)):
        with connect(standing) as connection:
            connection.sendall(ALIVE + b"\r\n" + request_sent[:cut])
            first = connection.recv(65536)  # so the gateway has read what came in the same piece
            connection.sendall(request_sent[cut:] + LAST)
            answered = first + read_all(connection)
            assert statuses(answered) == [b"200"] * 3, cut
            assert PROBABLE.search(answered)


def test_a_large_body_comes_in_many_pieces(standing: Gateway) -> None:
    body = b"IMAGE 0.3" + b" " * 3_000_000
    assert statuses(answers(standing, sized(body) + LAST)) == [b"200", b"200"]


@pytest.mark.parametrize("wish", [H2C, WEBSOCKET], ids=["h2c", "websocket"])
def test_what_has_no_body_ends_with_its_head(standing: Gateway, wish: bytes) -> None:
    assert statuses(answers(standing, (ALIVE + wish + b"\r\n") * 3 + LAST)) == [b"200"] * 4


def test_requests_sent_ahead_are_answered_in_order(standing: Gateway) -> None:
    sent = sized(b"IMAGE 0.3") + ALIVE + b"\r\n" + REQUESTS["chunked"] + sized(b"%PDF", wish=WEBSOCKET) + LAST
    assert statuses(answers(standing, sent)) == [b"200", b"200", b"200", b"415", b"200"]


def test_who_wants_to_end_the_connection_is_heeded(standing: Gateway) -> None:
    answer = answers(standing, sized(b"IMAGE 0.3", b"Connection: close"))
    assert statuses(answer) == [b"200"]
    assert b"connection: close" in answer
    assert statuses(answers(standing, b"GET /livez HTTP/1.0\r\n" + H2C + b"\r\n")) == [b"200"]


def test_its_body_may_wait_for_the_gateways_word(standing: Gateway) -> None:
    with connect(standing) as connection:
        for _ in range(2):
            connection.sendall(head(b"Expect: 100-continue", b"Content-Length: 9"))
            assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(b"IMAGE 0.3")
            assert statuses(connection.recv(65536)) == [b"200"]


def test_a_request_within_its_body_is_none(standing: Gateway) -> None:
    hidden = ALIVE + H2C + b"\r\n"
    assert statuses(answers(standing, sized(hidden) + LAST)) == [b"415", b"200"]
    chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(hidden), hidden)
    assert statuses(answers(standing, head(b"Transfer-Encoding: chunked") + chunk + LAST)) == [b"415", b"200"]
    trailers = b"5\r\nIMAGE\r\n0\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"
    assert statuses(answers(standing, head(b"Transfer-Encoding: chunked") + trailers + LAST)) == [b"200", b"200"]


@pytest.mark.parametrize(
    "lines",
    [
        [b"Content-Length: 5", b"Transfer-Encoding: chunked"],
        [b"Content-Length: 5", b"Content-Length: 6"],
        [b"Content-Length: 5", b" 0"],
        [b"Transfer-Encoding: gzip, chunked"],
        [b"Host: y", b"Content-Length: 5"],
        [b"X: a\rContent-Length: 5"],
        [b"X: a\nContent-Length: 5"],
    ],
    ids=["both", "two lengths", "folded", "a list", "two hosts", "bare CR", "bare LF"],
)
def test_where_its_body_ends_is_told_in_one_way(standing: Gateway, lines: list[bytes]) -> None:
    answer = answers(standing, head(*lines) + b"IMAGE" + LAST)
    assert problem(answer) == (b"400", "malformed_request")


def test_what_follows_must_be_http_again(standing: Gateway) -> None:
    with connect(standing) as connection:
        connection.sendall(sized(b"IMAGE 0.3"))
        assert statuses(connection.recv(65536)) == [b"200"]
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert problem(read_all(connection)) == (b"400", "malformed_request")


def test_a_tunnel_is_refused_with_it_too(standing: Gateway) -> None:
    answer = answers(standing, b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n" + H2C + b"\r\n")
    assert problem(answer) == (b"501", "unknown_method")


def test_its_head_has_the_same_limit(standing: Gateway) -> None:
    long = b"X-A: " + b"a" * 8_000
    assert problem(answers(standing, sized(b"IMAGE", *[long] * 5))) == (b"431", "head_too_large")
    assert statuses(answers(standing, sized(b"IMAGE", *[long] * 3) + LAST)) == [b"200", b"200"]
    trailers = head(b"Transfer-Encoding: chunked") + b"0\r\n" + (long + b"\r\n") * 100
    assert problem(answers(standing, trailers)) == (b"431", "head_too_large")


def test_its_body_has_the_same_limits(start: Start) -> None:
    gateway = start(max_image_bytes=10_000, body_idle_timeout_s=0.2, header_timeout_s=0.2)
    assert problem(answers(gateway, head(b"Content-Length: 10001", b"Connection: close"))) == (b"413", "too_large")
    chunk = b"2710\r\n" + bytes(10_000) + b"\r\n"
    flowing = head(b"Transfer-Encoding: chunked", b"Connection: close")
    assert problem(answers(gateway, flowing + chunk * 2)) == (b"413", "too_large")
    assert problem(answers(gateway, head(b"Content-Length: 9") + b"IMA")) == (b"408", "slow_client")


def test_it_has_no_more_time(start: Start) -> None:
    gateway = start(header_timeout_s=0.2, keep_alive_s=600)
    assert problem(answers(gateway, head()[:-2])) == (b"408", "slow_client")
    with connect(gateway) as connection:
        connection.sendall(sized(b"IMAGE 0.3"))
        assert statuses(connection.recv(65536)) == [b"200"]
        connection.sendall(b"GET /livez")
        assert problem(read_all(connection)) == (b"408", "slow_client")


def test_as_few_may_be_sent_ahead(gateway: Gateway) -> None:
    assert answers(gateway, (ALIVE + H2C + b"\r\n") * 300).count(b"HTTP/1.1 200") < 20
