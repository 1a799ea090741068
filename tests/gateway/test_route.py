"""Which way the Python client takes to its gateway, as the environment has it, and what it says where there is none."""

from __future__ import annotations

import asyncio
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.client import ApiError, AsyncClient, Client, NoAnswer
from tests.gateway.conftest import Gateway

NOBODY = "http://127.0.0.1:9"
ELSEWHERE = "http://gateway.example:8000"
ADVICE = "no_proxy names the hosts to ask without a proxy"
either = pytest.mark.parametrize("client", [Client, AsyncClient])
HTML = "content-type: text/html"
JSON = "content-type: application/json"
PROBLEM = "content-type: application/problem+json"
BUSY = '{"reason": "busy", "detail": "Later."}'
STRANGERS = {
    "a login page elsewhere": (("302 Found", HTML, "location: http://login.example/"), "", "302 with text/html"),
    "no such page": (("404 Not Found", HTML), "<h1>Not found</h1>", "404 with text/html"),
    "TorchServe": (("404 Not Found", JSON), '{"code": 404, "type": "X"}', "404 with application/json"),
    "a broken site": (("500 Broken", HTML), "<h1>Sorry</h1>", "500 with text/html"),
    "another API's reason": (("429 Wait", JSON), BUSY, "429 with application/json"),
    "another API's problem": (("400 Bad", PROBLEM), '{"reason": null}', "400 with application/problem+json"),
    "a list": (("400 Bad", PROBLEM), "[]", "400 with application/problem+json"),
    "no gzip": (("200 OK", JSON, "content-encoding: gzip"), "{}", "what cannot be unpacked (Error "),
}
Say = Callable[..., str]


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file", "ssl_cert_dir"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def say() -> Iterator[Say]:
    """Starts a server that gives every request the same answer, and tells its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer(head: tuple[str, ...], body: str) -> None:
            lines = (f"HTTP/1.1 {head[0]}", *head[1:], f"content-length: {len(body)}", "connection: close", "", body)
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall("\r\n".join(lines).encode("latin-1"))
                    connection.shutdown(socket.SHUT_WR)
                    connection.recv(65536)

        threads: list[threading.Thread] = []

        def start(head: tuple[str, ...], body: str) -> str:
            threads.append(threading.Thread(target=answer, args=(head, body)))
            threads[-1].start()
            return f"http://127.0.0.1:{listener.getsockname()[1]}"

        yield start
        listener.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()


def silence(base_url: str) -> str:
    with Client(base_url, retries=0) as client, pytest.raises(NoAnswer) as silent:
        client.predict(b"IMAGE 0.3")
    return str(silent.value)


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST"])
def test_a_gateway_on_this_machine_is_asked_without_a_proxy(
    standing: Gateway, monkeypatch: pytest.MonkeyPatch, variable: str, host: str
) -> None:
    monkeypatch.setenv(variable, NOBODY)
    with Client(f"http://{host}:{standing.port}", retries=0) as client:
        assert client.predict(b"IMAGE 0.3").probability == 0.3


@pytest.mark.parametrize("host", ["127.1.2.3", "[::1]", "[::ffff:127.0.0.1]", "localhost"])
def test_no_proxy_is_blamed_for_what_is_silent_on_this_machine(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:10")
    told = silence(f"http://{host}:9")
    assert told.startswith(f"http://{host}:9 gave no answer")
    assert "proxy" not in told


@pytest.mark.parametrize(
    "base_url",
    [ELSEWHERE, "http://localhost.example", "http://10.0.0.1", "http://127.0.0.1.example"],
)
def test_a_gateway_elsewhere_is_asked_through_the_proxy(
    standing: Gateway, monkeypatch: pytest.MonkeyPatch, base_url: str
) -> None:
    monkeypatch.setenv("http_proxy", standing.url.removeprefix("http://"))

    async def ask() -> float | None:
        async with AsyncClient(base_url) as client:
            return (await client.predict(b"IMAGE 0.3")).probability

    with Client(base_url) as client:
        assert client.predict(b"IMAGE 0.3").probability == asyncio.run(ask()) == 0.3


def test_the_proxy_for_its_scheme_goes_before_the_one_for_all(
    standing: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", standing.url)
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", NOBODY)
    with Client(ELSEWHERE) as client:
        assert client.ready()


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_a_proxy_that_brings_no_answer_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "http://me:secret@127.0.0.1:9")
    told = silence(ELSEWHERE)
    assert told.startswith(f"The proxy {NOBODY}, of {variable}, brought no answer from {ELSEWHERE} (")
    assert ADVICE in told
    assert "secret" not in told


@pytest.mark.parametrize(
    ("unproxied", "base_url"),
    [
        ("a.invalid", "http://a.invalid:8000"),
        ("other.example, b.a.invalid", "http://b.a.invalid"),
        (".a.invalid", "http://b.a.invalid"),
        ("a.invalid:8000", "http://a.invalid:8000"),
        ("[fd00::1],*", "http://a.invalid"),
    ],
)
def test_no_proxy_is_asked_where_no_proxy_says_so(
    monkeypatch: pytest.MonkeyPatch, unproxied: str, base_url: str
) -> None:
    monkeypatch.setenv("http_proxy", NOBODY)
    monkeypatch.setenv("no_proxy", unproxied)
    assert silence(base_url).startswith(f"{base_url} gave no answer")


@pytest.mark.parametrize("unproxied", ["[::1]", "::1", "[::1", "http://[", ",", "300.1.1.1/99"])
def test_whatever_no_proxy_names_others_are_asked_as_ever(
    standing: Gateway, monkeypatch: pytest.MonkeyPatch, unproxied: str
) -> None:
    monkeypatch.setenv("no_proxy", unproxied)
    monkeypatch.setenv("http_proxy", standing.url)
    for base_url in (standing.url, ELSEWHERE):
        with Client(base_url) as client:
            assert client.ready()


@either
def test_a_proxy_that_needs_more_than_is_installed_is_told(
    monkeypatch: pytest.MonkeyPatch, client: type[Client | AsyncClient]
) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:1080")
    with pytest.raises(NoAnswer, match=r"^all_proxy names a SOCKS proxy, .*httpx\[socks\].*" + ADVICE):
        client(ELSEWHERE)
    client(NOBODY)


@either
@pytest.mark.parametrize("proxy", ["ftp://me:secret@x", "http://me:secret@x:port", "http://"])
def test_what_is_no_proxy_is_told(
    monkeypatch: pytest.MonkeyPatch, client: type[Client | AsyncClient], proxy: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(NoAnswer, match=r"^HTTP_PROXY names no proxy") as told:
        client(ELSEWHERE)
    assert "secret" not in str(told.value)


@either
def test_certificates_that_cannot_be_read_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, client: type[Client | AsyncClient]
) -> None:
    (tmp_path / "empty.pem").touch()
    for path in (tmp_path / "missing.pem", tmp_path / "empty.pem", tmp_path):
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        with pytest.raises(NoAnswer, match=f"^SSL_CERT_FILE={path} is no file of certificates"):
            client("https://gateway.example")


@pytest.mark.parametrize(("head", "body", "said"), STRANGERS.values(), ids=list(STRANGERS))
def test_an_error_that_is_no_gateways_is_told_as_such(say: Say, head: tuple[str, ...], body: str, said: str) -> None:
    url = say(head, body)
    told = re.escape(f"What answers at {url} is no gateway: it said {said}")

    async def ask() -> None:
        async with AsyncClient(url, retries=0) as client:
            assert not await client.ready()
            with pytest.raises(NoAnswer, match=told):
                await client.predict(b"IMAGE")

    with Client(url, retries=0) as client:
        assert not client.ready()
        with pytest.raises(NoAnswer, match=told):
            client.predict_many([b"IMAGE", b"IMAGE"])
    asyncio.run(ask())


@pytest.mark.parametrize(
    ("head", "body", "told"),
    [
        (("429 Wait", PROBLEM), BUSY, "busy: Later."),
        (("429 Wait", f"{PROBLEM}; charset=utf-8"), BUSY, "busy: Later."),
        (("502 Bad Gateway", HTML), "<h1>nginx</h1>", "unknown: The server answered 502."),
        (("503 Unavailable", HTML, "retry-after: \u00b2"), "", "unknown: The server answered 503."),
        (("504 Timeout", JSON), '{"reason": null, "detail": null}', "unknown: The server answered 504."),
    ],
)
def test_an_error_of_a_gateway_or_of_a_proxy_before_it_is_a_problem(
    say: Say, head: tuple[str, ...], body: str, told: str
) -> None:
    with Client(say(head, body), retries=1) as client, pytest.raises(ApiError) as failed:
        client.predict(b"IMAGE")
    assert str(failed.value) == told
    assert str(failed.value.status) == head[0][:3]


@either
@pytest.mark.parametrize("address", ["http://[::1", "http://a:b", "http://a\nb"])
def test_an_address_that_cannot_be_read_is_told(client: type[Client | AsyncClient], address: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(repr(address))} is no address of a gateway .*http://host:port"):
        client(address)
