"""Closing a listening socket resets whoever has connected to it and was not accepted yet; so nobody may be left."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import select
import socket
import struct
import sys
import time

SO_ATTACH_FILTER = 26  # of Linux; the module socket does not name it
# A classic BPF program over a TCP header: drop what only asks for a new connection, let pass all else.
ONLY_ESTABLISHED = (
    (0x30, 0, 0, 13),  # load the byte of the flags
    (0x54, 0, 0, 0x12),  # of it, SYN and ACK
    (0x15, 0, 1, 0x02),  # SYN alone: the next instruction, else the one after
    (0x06, 0, 0, 0),
    (0x06, 0, 0, 0xFFFFFFFF),
)
HANDSHAKE_S = 0.02  # for who has been answered SYN-ACK, on this machine or near it
PATIENCE_S = 1.0
TURNS = 4  # of the loop, between the acceptance of a connection and its place among those that are served


async def empty(server: asyncio.Server) -> None:
    """Let nobody else connect, and return once all who have are accepted."""
    for listener in server.sockets:
        with socket.socket(fileno=os.dup(listener.fileno())) as door:
            _bolt(door)
            queue = select.poll()
            queue.register(door, select.POLLIN)
            settled, end = time.monotonic() + HANDSHAKE_S, time.monotonic() + PATIENCE_S
            quiet = 0
            while (now := time.monotonic()) < settled or (quiet < TURNS and now < end):
                quiet = 0 if queue.poll(0) else quiet + 1
                await asyncio.sleep(0)  # in which the loop accepts


def _bolt(door: socket.socket) -> None:
    if sys.platform != "linux":  # elsewhere a client may still be lost that connects within microseconds
        return
    instructions = b"".join(struct.pack("HBBI", *instruction) for instruction in ONLY_ESTABLISHED)
    program = ctypes.create_string_buffer(instructions, len(instructions))
    with contextlib.suppress(OSError):  # a sandbox may not know filters
        door.setsockopt(
            socket.SOL_SOCKET,
            SO_ATTACH_FILTER,
            struct.pack("HP", len(ONLY_ESTABLISHED), ctypes.addressof(program)),
        )
