"""The Python client where a stranger answers for the gateway, as the login page of a network does."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from gateway.client import AsyncClient, Client, NoAnswer

ANSWERS = {
    "a login page": ("text/html", b"<html>Sign in to use this network</html>"),
    "another API": ("application/json", b'{"status": "ok"}'),
    "a list": ("application/json", b"[]"),
}
QUESTIONS: dict[str, Callable[[Any], Any]] = {
    "predict": lambda client: client.predict(b"IMAGE"),
    "explain": lambda client: client.explain(b"IMAGE"),
    "predict_many": lambda client: client.predict_many([b"IMAGE", b"IMAGE"]),
    "compare": lambda client: client.compare([b"IMAGE", b"IMAGE"]),
    "model": lambda client: client.model(),
}


@pytest.fixture(params=ANSWERS.values(), ids=list(ANSWERS))
def stranger(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """The address and the content type of what is content with every request."""
    kind, body = request.param

    class Content(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Content) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", kind
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=list(QUESTIONS))
def test_what_is_no_gateway_is_told_as_such(stranger: tuple[str, str], question: Callable[[Any], Any]) -> None:
    url, kind = stranger
    told = re.escape(f"What answers at {url} is no gateway: it said 200 with {kind}")

    async def ask() -> None:
        async with AsyncClient(url) as client:
            with pytest.raises(NoAnswer, match=told):
                await question(client)

    with Client(url) as client, pytest.raises(NoAnswer, match=told):
        question(client)
    asyncio.run(ask())


def test_what_is_no_gateway_is_not_ready(stranger: tuple[str, str]) -> None:
    url, _ = stranger

    async def ready() -> bool:
        async with AsyncClient(url) as client:
            return await client.ready()

    with Client(url) as client:
        assert not client.ready()
    assert not asyncio.run(ready())
