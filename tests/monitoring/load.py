"""Requests of all kinds, as many at once as asked for, until told to stop."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import Counter
from types import TracebackType
from typing import Self

import aiohttp

Request = tuple[str, bytes]


class Load:
    """A context: while it lasts, `clients` clients send these requests (path, body) round and round."""

    def __init__(self, url: str, requests: list[Request], clients: int) -> None:
        self.url = url
        self.requests = requests
        self.clients = clients
        self.codes: Counter[int] = Counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(60)

    async def _run(self) -> None:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            await asyncio.gather(*(self._client(session, number) for number in range(self.clients)))

    async def _client(self, session: aiohttp.ClientSession, number: int) -> None:
        for path, body in itertools.islice(itertools.cycle(self.requests), number, None):
            if self._stop.is_set():
                return
            try:
                async with session.post(self.url + path, data=body) as answer:
                    await answer.read()
                    self.codes[answer.status] += 1
            except aiohttp.ClientError:
                self.codes[0] += 1
                await asyncio.sleep(0.05)
