"""The pool of connections: whatever a server does, an answer or an error, and no connection used that is spoilt."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.upload import Upload
from gateway.upstream import Answer, Lost, Pool, Refused

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
Play = Callable[[Pool, "Server"], Awaitable[None]]


class Server:
    """Answers every request with the next of its lines; an empty line closes the connection."""

    def __init__(self, *lines: bytes) -> None:
        self.lines = list(lines)
        self.requests: list[bytes] = []
        self.connections = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
                self.requests.append(head + await reader.readexactly(length))
                line = self.lines.pop(0)
                if not line:
                    break
                for piece in line.split(b"|"):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.001)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def run(play: Play, *lines: bytes) -> Server:
    async def main() -> Server:
        server = Server(*lines)
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        pool = Pool(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        await play(pool, server)
        pool.close()
        await asyncio.sleep(0.01)
        listening.close()
        for writer in server.writers:
            writer.close()
        await asyncio.sleep(0.01)
        return server

    return asyncio.run(main())


async def post(pool: Pool, seconds: float = 5) -> Answer:
    return await pool.post("/predictions/lesion", Upload(content=b"IMAGE"), "an-id", seconds)


def test_a_request_carries_its_body_length_and_id_and_connections_are_used_again() -> None:
    async def play(pool: Pool, _: Server) -> None:
        assert await post(pool) == Answer(200, b"ok")
        assert await post(pool) == Answer(200, b"ok")
        assert await pool.get("/models/lesion", 5) == Answer(200, b"ok")

    server = run(play, OK, OK, OK)
    assert server.connections == 1
    assert server.requests[0].startswith(b"POST /predictions/lesion HTTP/1.1\r\nhost: 127.0.0.1:")
    assert server.requests[0].endswith(b"x-request-id: an-id\r\ncontent-length: 5\r\n\r\nIMAGE")
    assert server.requests[2].startswith(b"GET /models/lesion HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "line",
    [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HT|TP/1.1 200 OK\r\ncontent-|length: 2\r\n\r\n|o|k",
    ],
)
def test_an_answer_is_whole_however_it_comes(line: bytes) -> None:
    async def play(pool: Pool, _: Server) -> None:
        assert await post(pool) == Answer(200, b"ok")
        assert await post(pool) == Answer(200, b"ok")

    assert run(play, line, OK).connections == 1


def test_a_connection_that_the_server_ends_is_not_used_again() -> None:
    async def play(pool: Pool, _: Server) -> None:
        for _ in range(2):
            assert (await post(pool)).body == b"ok"

    closing = OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    assert run(play, closing, OK).connections == 2


@pytest.mark.parametrize(("more", "most_idle"), [(b"\r\nconnection: close", 128), (b"", 0)])
def test_a_connection_that_is_not_to_be_used_again_is_ended(
    monkeypatch: pytest.MonkeyPatch, more: bytes, most_idle: int
) -> None:
    monkeypatch.setattr("gateway.upstream.MOST_IDLE", most_idle)

    async def play(pool: Pool, server: Server) -> None:
        await post(pool)
        async with asyncio.timeout(5):
            while not server.writers[0].is_closing():
                await asyncio.sleep(0.001)

    run(play, OK.replace(b"\r\n\r\n", more + b"\r\n\r\n"))


def test_an_idle_connection_that_has_died_is_not_used_again() -> None:
    async def play(pool: Pool, server: Server) -> None:
        await post(pool)
        server.writers[0].close()
        await asyncio.sleep(0.02)
        assert (await post(pool)).body == b"ok"

    assert run(play, OK, OK).connections == 2


@pytest.mark.parametrize("line", [b"", b"SSH-2.0-hello\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok|"])
def test_what_is_no_whole_answer_is_lost(line: bytes) -> None:
    async def play(pool: Pool, server: Server) -> None:
        asking = asyncio.create_task(post(pool))
        while not server.requests:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)
        server.writers[0].close()
        with pytest.raises(Lost):
            await asking
        assert (await post(pool)).body == b"ok"

    assert run(play, line, OK).connections == 2


def test_an_answer_that_does_not_come_in_time_spoils_its_connection_only() -> None:
    async def play(pool: Pool, _: Server) -> None:
        with pytest.raises(TimeoutError):
            await post(pool, 0.05)
        assert (await post(pool)).body == b"ok"

    assert run(play, b"HTTP/1.1 200 OK\r\n", OK).connections == 2


def test_whoever_is_cancelled_leaves_no_half_answer_behind() -> None:
    async def play(pool: Pool, server: Server) -> None:
        asking = asyncio.create_task(post(pool))
        while not server.requests:
            await asyncio.sleep(0.001)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert (await post(pool)).body == b"ok"

    assert run(play, b"HTTP/1.1 200 OK\r\n", OK).connections == 2


def test_words_that_nobody_asked_for_spoil_a_connection() -> None:
    async def play(pool: Pool, _: Server) -> None:
        assert (await post(pool)).body == b"ok"
        await asyncio.sleep(0.03)
        assert (await post(pool)).body == b"ok"

    assert run(play, OK + b"|HTTP/1.1 200 OK\r\n\r\n", OK).connections == 2


def test_nobody_listening_is_refused() -> None:
    async def ask() -> None:
        with pytest.raises(Refused):
            await post(Pool("http://127.0.0.1:9"))

    asyncio.run(ask())
