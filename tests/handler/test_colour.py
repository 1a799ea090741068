"""Colours: profiles, transparency, any number of bits; and refusals where they would come out wrong."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from tests.handler.drawing import encoded
from tests.handler.test_decode import PICTURE, mean_gap, read, refused


def test_a_ycck_jpeg_is_not_inverted() -> None:
    data = bytearray(encoded(PICTURE.convert("CMYK"), quality=95))
    assert b"Adobe" in data
    assert mean_gap(read(bytes(data)), PICTURE) < 4


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP"])
def test_a_grey_image_becomes_rgb(kind: str) -> None:
    assert mean_gap(read(encoded(PICTURE.convert("L"), kind)), PICTURE.convert("L").convert("RGB")) < 3


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_keeps_its_brightness(kind: str) -> None:
    grey = np.asarray(PICTURE.convert("L"))
    data = encoded(Image.fromarray(grey.astype(np.uint16) * 257), kind)
    assert mean_gap(read(data), PICTURE.convert("L").convert("RGB")) < 1


def deep_png(samples: NDArray[np.uint16], *chunks: tuple[bytes, bytes]) -> bytes:
    """16 bits a channel, which Pillow does not write for colours; grey where the array has two dimensions."""
    raw = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], 16, 2 * (samples.ndim == 3), 0, 0, 0)
    body = ((b"IHDR", header), *chunks, (b"IDAT", zlib.compress(raw)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in body
    )


def plain_tiff(raw: bytes, bits: int, photometric: int, planes: int = 1, channels: int = 1) -> bytes:
    """64 x 64 pixels, uncompressed, each plane in a strip of its own."""
    tags = {256: 64, 257: 64, 258: bits, 259: 1, 262: photometric, 277: channels, 278: 64, 284: planes}
    strips = channels if planes == 2 else 1
    after = 8 + 2 + 12 * (len(tags) + 2) + 4
    lists = struct.pack(f"<{channels}H", *[bits] * channels) if channels > 1 else b""
    offsets = [after + len(lists) + 8 * strips + i * len(raw) // strips for i in range(strips)]
    values = {tag: (3, 1, value) for tag, value in tags.items()}
    if channels > 1:
        values[258] = (3, channels, after)
    values[273] = (4, strips, after + len(lists) if strips > 1 else offsets[0])
    values[279] = (4, strips, after + len(lists) + 4 * strips if strips > 1 else len(raw))
    entries = b"".join(struct.pack("<HHII", tag, *values[tag]) for tag in sorted(values))
    sizes = [len(raw) // strips] * strips
    head = b"II*\0" + struct.pack("<IH", 8, len(values)) + entries + struct.pack("<I", 0) + lists
    return head + struct.pack(f"<{2 * strips}I", *offsets, *sizes) + raw


def test_sixteen_bit_rgb_keeps_its_colours() -> None:
    assert mean_gap(read(deep_png(np.asarray(PICTURE).astype(np.uint16) * 257)), PICTURE) < 1


@pytest.mark.parametrize(("photometric", "seen"), [(0, 255 - 0x30), (1, 0x30)])
def test_sixteen_bit_grey_of_which_white_is_zero(photometric: int, seen: int) -> None:
    assert read(plain_tiff(b"\xff\x30" * 64 * 64, 16, photometric)).getpixel((9, 9)) == (seen,) * 3


def test_twelve_bit_grey_keeps_its_brightness() -> None:
    two_of_0x7ff = b"\x7f\xf7\xff"
    assert read(plain_tiff(two_of_0x7ff * 32 * 64, 12, 1)).getpixel((9, 9)) == (0x7F,) * 3


def test_sixteen_bits_a_channel_in_planes_are_refused_since_pillow_mixes_them_up() -> None:
    planes = b"".join(bytes([value, value]) * 64 * 64 for value in (200, 100, 50))
    rejection = refused(plain_tiff(planes, 16, 2, planes=2, channels=3))
    assert rejection.reason == "unsupported_format"
    assert "interleaved" in rejection.message


def test_eight_bits_a_channel_in_planes_are_read() -> None:
    planes = b"".join(bytes([value]) * 64 * 64 for value in (200, 100, 50))
    assert read(plain_tiff(planes, 8, 2, planes=2, channels=3)).getpixel((9, 9)) == (200, 100, 50)


@pytest.mark.parametrize(("tag", "value"), [(259, 34887), (258, 32)])
def test_a_tiff_that_is_whole_but_cannot_be_read_is_not_called_damaged(tag: int, value: int) -> None:
    whole = plain_tiff(bytes(3 * 64 * 64), 8, 2, channels=3)
    at = whole.index(struct.pack("<HH", tag, 3)) + 8
    if tag == 258:
        at = struct.unpack_from("<I", whole, at)[0]
        whole = whole[:at] + struct.pack("<3H", *[value] * 3) + whole[at + 6 :]
    else:
        whole = whole[:at] + struct.pack("<I", value) + whole[at + 4 :]
    assert refused(whole).reason == "unsupported_format"


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_transparency_lies_over_white(kind: str) -> None:
    clear = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    assert read(encoded(clear, kind)).getpixel((32, 32)) == (255, 255, 255)


def test_a_transparent_palette_colour_lies_over_white() -> None:
    image = Image.new("P", (64, 64), 0)
    image.putpalette([0, 0, 0, 200, 100, 50])
    assert read(encoded(image, "PNG", transparency=0)).getpixel((1, 1)) == (255, 255, 255)


def swapping_profile() -> bytes:
    """Its red and blue are exchanged, which shows at once whether it was used."""
    srgb, name = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), "sRGB".encode("utf-16-be")
    swapped = bytearray(srgb.replace(name, "swap".encode("utf-16-be")))
    red, blue = swapped.index(b"rXYZ"), swapped.index(b"bXYZ")
    swapped[red : red + 4], swapped[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(swapped)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_an_embedded_profile_is_applied(kind: str, mode: str) -> None:
    plain = Image.new("RGB", (64, 64), (200, 60, 20))
    plain = plain.quantize(4) if mode == "P" else plain.convert(mode)
    lossless = {"lossless": True} if kind == "WEBP" else {}
    seen = read(encoded(plain, kind, icc_profile=swapping_profile(), **lossless)).getpixel((9, 9))
    assert seen == pytest.approx((20, 60, 200), abs=6)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_what_is_transparent_is_white_whatever_the_profile(mode: str) -> None:
    clear = {"transparency": (0, 0, 0)} if mode == "RGB" else {}
    data = encoded(Image.new(mode, (64, 64)), "PNG", icc_profile=swapping_profile(), **clear)
    assert read(data).getpixel((9, 9)) == (255, 255, 255)


def test_a_transparent_shade_of_sixteen_bits_lies_over_white() -> None:
    shades = np.full((64, 64), 0x1234, np.uint16)
    shades[32:] = 0x1235
    image = read(deep_png(shades, (b"tRNS", b"\x12\x34")))
    assert image.getpixel((9, 9)) == (255, 255, 255)
    assert image.getpixel((9, 60)) == (0x12, 0x12, 0x12)


def test_an_srgb_profile_changes_nothing_and_a_broken_one_is_ignored() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, b"no profile" * 20):
        assert np.array_equal(read(encoded(PICTURE, "PNG", icc_profile=profile)), PICTURE)


def linear_grey_profile() -> bytes:
    """Of a grey whose numbers are light itself: half of sRGB's brightness is about a fifth of its."""
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, 256) + b"\0\0"
    tags = {b"wtpt": white, b"kTRC": curve}
    body, table, offset = b"", struct.pack(">I", len(tags)), 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", offset + len(body), len(content))
        body += content
    head = struct.pack(">I4sI4s4s4s12x4s", offset + len(body), b"test", 0x02400000, b"mntr", b"GRAY", b"XYZ ", b"acsp")
    return (head + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)).ljust(128, b"\0") + table + body


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_a_profile_of_greys_is_applied(kind: str) -> None:
    data = encoded(Image.new("L", (64, 64), 55), kind, icc_profile=linear_grey_profile())
    assert read(data).getpixel((9, 9)) == pytest.approx((128, 128, 128), abs=4)


def red_ink_profile() -> bytes:
    """Of a press whose every ink is red."""
    ramp, paper, ink = bytes(range(256)), bytes([255, 128, 128]), bytes([136, 208, 195])
    unity = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    table = b"mft1\0\0\0\0\4\3\2\0" + unity + 4 * ramp + paper + 15 * ink + 3 * ramp
    head = struct.pack(">I4sI4s4s4s12x4s", 144 + len(table), b"test", 0x02400000, b"prtr", b"CMYK", b"Lab ", b"acsp")
    white = bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return (head + white).ljust(128, b"\0") + struct.pack(">I4sII", 1, b"A2B0", 144, len(table)) + table


def test_a_profile_of_inks_is_applied() -> None:
    cyan = Image.new("CMYK", (64, 64), (255, 0, 0, 0))
    assert read(encoded(cyan, "TIFF")).getpixel((9, 9)) == (0, 255, 255)
    red, green, blue = read(encoded(cyan, "TIFF", icc_profile=red_ink_profile())).getpixel((9, 9))
    assert red > 60 > max(green, blue)


def test_a_tiff_in_one_strip_however_long_is_read() -> None:
    whole = plain_tiff(bytes((200, 100, 50)) * 64 * 64, 8, 2, channels=3)
    endless = whole.replace(struct.pack("<HHII", 278, 3, 1, 64), struct.pack("<HHII", 278, 4, 1, 2**32 - 1))
    assert endless != whole
    assert read(endless).getpixel((9, 9)) == (200, 100, 50)
