"""A connection to a gateway as bytes, for what no HTTP client would send."""

from __future__ import annotations

import json
import socket

from tests.gateway.conftest import Gateway


def dial(gateway: Gateway, *lines: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", gateway.port), timeout=10)
    connection.sendall("\r\n".join(lines).encode())
    return connection


def read_all(connection: socket.socket) -> bytes:
    with connection:
        return b"".join(iter(lambda: connection.recv(65536), b""))


def problem(answer: bytes) -> tuple[bytes, str]:
    return answer.split(b" ", 2)[1], json.loads(answer.partition(b"\r\n\r\n")[2])["reason"]
