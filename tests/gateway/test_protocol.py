"""What is HTTP, and how much of it one connection may ask for at once."""

from __future__ import annotations

import socket

import pytest

from tests.gateway.conftest import Gateway
from tests.gateway.wire import dial, problem, read_all


def test_what_is_not_http_is_a_problem_too(standing: Gateway) -> None:
    for line in ("hello", "FOO bar baz", "FOO / HTTP/2.0", "\x16\x03\x01"):
        assert problem(read_all(dial(standing, line, "", ""))) == (b"400", "malformed_request")


@pytest.mark.parametrize("method", ["FOO", "post", "GETS"])
def test_a_method_that_nobody_knows_is_told_as_such(standing: Gateway, method: str) -> None:
    answer = read_all(dial(standing, f"{method} /v1/predict HTTP/1.1", "Host: x", "", ""))
    assert problem(answer) == (b"501", "unknown_method")


def test_what_belongs_to_proxies_or_to_another_http_is_answered_with_a_refusal(standing: Gateway) -> None:
    tunnel = read_all(dial(standing, "CONNECT x:1 HTTP/1.1", "Host: x", "", ""))
    assert problem(tunnel) == (b"501", "unknown_method")
    for version in ("2.0", "0.9"):
        answer = read_all(dial(standing, f"GET /livez HTTP/{version}", "Host: x", "Connection: close", "", ""))
        assert problem(answer) == (b"400", "malformed_request")


@pytest.mark.parametrize("address", ["http://fd00::1/livez", "http://x:port/livez"])
def test_an_address_that_cannot_be_read_is_a_problem(
    standing: Gateway, caplog: pytest.LogCaptureFixture, address: str
) -> None:
    answer = read_all(dial(standing, f"GET {address} HTTP/1.1", "Host: x", "", ""))
    assert problem(answer) == (b"400", "malformed_request")
    assert caplog.text == ""


@pytest.mark.parametrize(
    "head",
    [
        ["HTTP/1.1", "Transfer-Encoding: identity", "Transfer-Encoding: chunked"],
        ["HTTP/1.1", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
        ["HTTP/1.1", "Transfer-Encoding: gzip, chunked"],
        ["HTTP/1.0", "Transfer-Encoding: chunked"],
    ],
    ids=["identity and chunked", "twice", "a list", "old"],
)
def test_where_a_body_ends_is_told_in_one_way(standing: Gateway, head: list[str]) -> None:
    answer = read_all(
        dial(standing, f"POST /v1/predict {head[0]}", "Host: x", *head[1:], "", "5", "IMAGE", "0", "", "")
    )
    assert problem(answer) == (b"400", "malformed_request")


def test_a_body_in_chunks_may_be_told_in_capitals(standing: Gateway) -> None:
    head = "POST /v1/predict HTTP/1.1", "Host: x", "Connection: close", "Transfer-Encoding: Chunked"
    answer = read_all(dial(standing, *head, "", "5", "IMAGE", "0", "", ""))
    assert answer.startswith(b"HTTP/1.1 200")


def test_a_broken_body_is_a_problem(standing: Gateway) -> None:
    head = "POST /v1/predict HTTP/1.1", "Host: x", "Transfer-Encoding: chunked", "", "no length", ""
    assert problem(read_all(dial(standing, *head))) == (b"400", "malformed_request")


def test_some_requests_may_be_sent_ahead_but_not_any_number(gateway: Gateway) -> None:
    request = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as few:
        few.sendall(request * 9 + last)
        assert read_all(few).count(b"HTTP/1.1 200") == 10
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as many:
        many.sendall(request * 1000)
        assert read_all(many).count(b"HTTP/1.1 200") < 20


@pytest.mark.parametrize(
    "head",
    [
        ["GET /livez HTTP/1.1"],
        ["GET /livez HTTP/1.1", "Host: x", "host: x"],
        ["GET /livez HTTP/1.0", "Host: x", "Host: y"],
        ["POST /v1/predict HTTP/1.1", "Content-Length: 5"],
    ],
    ids=["none", "two", "two of old", "none before a body"],
)
def test_a_request_names_its_host_once(gateway: Gateway, head: list[str]) -> None:
    answer = read_all(dial(gateway, *head, "", ""))
    assert problem(answer) == (b"400", "malformed_request")
    assert b"content-type: application/problem+json" in answer
    assert b"`Host`" in answer
    assert gateway.metric('gateway_problems_total{reason="malformed_request"}') == 1


@pytest.mark.parametrize("head", [["GET /livez HTTP/1.0"], ["GET /livez HTTP/1.1", "Host:", "Connection: close"]])
def test_an_old_request_needs_no_host_and_a_new_one_may_leave_it_empty(standing: Gateway, head: list[str]) -> None:
    assert read_all(dial(standing, *head, "", "")).startswith(b"HTTP/1.1 200")


def test_a_later_request_on_a_connection_names_its_host_too(standing: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", standing.port), timeout=10) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /livez HTTP/1.1\r\n\r\n")
        assert problem(read_all(connection)) == (b"400", "malformed_request")
