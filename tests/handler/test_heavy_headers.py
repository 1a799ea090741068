"""Files whose header alone would keep a worker busy are refused unread; what cameras and editors write is read."""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Callable

import pytest
from PIL import Image

from tests.handler.drawing import FILES, PICTURE, encoded
from tests.handler.test_colour import swapping_profile
from tests.handler.test_decode import mean_gap, read, refused

JPEG, PNG = FILES["baseline JPEG"], FILES["PNG"]
AFTER_IHDR = 33


def segment(marker: int, content: bytes = b"") -> bytes:
    return struct.pack(">BBH", 0xFF, marker, 2 + len(content)) + content


def chunk(name: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def jpeg_after(start: bytes) -> bytes:
    return JPEG[:2] + start + JPEG[2:]


def png_after(chunks: bytes) -> bytes:
    return PNG[:AFTER_IHDR] + chunks + PNG[AFTER_IHDR:]


def striped(rows: int, width: int = 32, big: bool = False, surplus: int = 0) -> bytes:
    """A grey TIFF of strips of a row, all of them the same bytes of the file."""
    tags = {256: (4, 1, width), 257: (4, 1, rows), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 277: (3, 1, 1)}
    start, head, number, entry = (16, b"II+\0\x08\0\0\0", "<Q", "<HHQQ") if big else (8, b"II*\0", "<H", "<HHII")
    size = struct.calcsize(number) + struct.calcsize(entry) * (len(tags) + 3 + surplus) + 8
    offsets, counts = start + size, start + size + 4 * rows
    tags |= {273: (4, rows, offsets), 278: (3, 1, 1), 279: (4, rows, counts)}
    entries = [(tag, *value) for tag, value in tags.items()] + [(65000, 1, 1, 0)] * surplus
    directory = struct.pack(number, len(entries)) + b"".join(struct.pack(entry, *one) for one in entries) + bytes(8)
    tables = struct.pack("<I", counts + 4 * rows) * rows + struct.pack("<I", width) * rows
    return head + struct.pack("<Q" if big else "<I", start) + directory + tables + b"\x80" * width


@pytest.mark.parametrize(
    "bomb",
    [
        lambda: jpeg_after(segment(0xE1, b"Exif\0\0" + bytes(10)) * 200_000),
        lambda: jpeg_after(segment(0xE5) * 1_000_000),
        lambda: jpeg_after(segment(0xFE) * 1_000_000),
        lambda: jpeg_after(segment(0xDB) * 1_000_000),
        lambda: jpeg_after(b"\xff\xd8" * 2_000_000),
        lambda: jpeg_after(b"\xff" * 4_000_000),
        lambda: jpeg_after(b"\xff\0" * 2_000_000),
        lambda: jpeg_after(segment(0xE0) + bytes(4_000_000)),
        lambda: png_after(chunk(b"prVt") * 500_000),
        lambda: png_after(chunk(b"IDAT") * 500_000),
        lambda: PNG[:-12] + chunk(b"prVt") * 500_000 + PNG[-12:],
        lambda: striped(400_000),
        lambda: striped(64, big=True, surplus=500_000),
    ],
)
def test_a_heavy_header_is_refused_unread(bomb: Callable[[], bytes]) -> None:
    data = bomb()
    start = time.process_time()
    rejection = refused(data)
    assert time.process_time() - start < 0.3
    assert rejection.reason == "unsupported_format"
    assert "Save it" in rejection.message


def test_a_jpeg_that_begins_often_is_refused_unread() -> None:
    frame = segment(0xC0, b"\x08\0\x40\0\x40\x03" + b"\1\x11\0" * 20_000)
    assert refused(jpeg_after(frame * 300)).reason == "truncated_image"


def test_a_jpeg_with_as_much_metadata_as_it_can_carry_is_read() -> None:
    profile = swapping_profile() + bytes(16_000_000 - len(swapping_profile()))
    parts = [profile[at : at + 65_000] for at in range(0, len(profile), 65_000)]
    pieces = [b"ICC_PROFILE\0" + bytes([number, len(parts)]) + part for number, part in enumerate(parts, 1)]
    exif = [b"Exif\0\0" + bytes(60_000)] * 4
    xmp = [b"http://ns.adobe.com/xmp/extension/\0" + bytes(60_000)] * 20
    start = b"".join(
        [segment(0xE2, piece) for piece in pieces] + [segment(0xE1, one) for one in exif + xmp] + [b"\xff" * 60_000]
    )
    assert len(parts) > 240
    assert mean_gap(read(jpeg_after(start)), PICTURE) < 4


def test_a_picture_in_several_parts_gives_its_first() -> None:
    data = encoded(PICTURE, "MPO", save_all=True, append_images=[Image.new("RGB", PICTURE.size)])
    assert mean_gap(read(data), PICTURE) < 4


def test_a_png_in_many_pieces_is_read() -> None:
    at = PNG.index(b"IDAT") - 4
    pixels = PNG[at + 8 : at + 8 + struct.unpack_from(">I", PNG, at)[0]]
    pieces = b"".join(chunk(b"IDAT", pixels[i : i + 2]) for i in range(0, len(pixels), 2))
    notes = chunk(b"tEXt", b"note\0text") * 5000
    assert pieces.count(b"IDAT") > 20_000
    assert mean_gap(read(PNG[:at] + notes + pieces + chunk(b"IEND")), PICTURE) == 0


@pytest.mark.parametrize("big", [False, True])
def test_a_tiff_in_strips_of_a_row_is_read(big: bool) -> None:
    assert read(striped(6000, width=64, big=big)).getpixel((9, 5999)) == (0x80,) * 3
