"""What a PNG may make its reader do: Pillow goes from chunk to chunk in Python."""

from __future__ import annotations

from struct import Struct

from handler.errors import UnsupportedFormat

SIGNATURE = 8
HEADER = Struct(">I4s")
CHECKSUM = 4
# Pixels come in as many chunks as their writer likes, of some kilobytes each as a rule; all else in a few dozen.
MOST_CHUNKS_OF_PIXELS = 50_000
MOST_OTHER_CHUNKS = 10_000


def check_chunks(data: bytes) -> None:
    """Raises UnsupportedFormat for more chunks than an honest file has."""
    position, pixels, others = SIGNATURE, 0, 0
    while position + HEADER.size <= len(data):
        length, name = HEADER.unpack_from(data, position)
        if name == b"IEND":
            return
        if name == b"IDAT":
            pixels += 1
        else:
            others += 1
        if pixels > MOST_CHUNKS_OF_PIXELS or others > MOST_OTHER_CHUNKS:
            raise UnsupportedFormat("The PNG is cut into too many small pieces. Save it anew.")
        position += HEADER.size + length + CHECKSUM
