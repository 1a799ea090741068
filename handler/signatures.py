"""What a file is, by its first bytes; names and content types are never asked."""

from __future__ import annotations

import struct

from handler.errors import NotAnImage, UnsupportedFormat

SUPPORTED = "JPEG, PNG, BMP, TIFF or WebP"

READ = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
)

REFUSED = (
    (0, b"GIF8", "GIF"),
    (0, b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"8BPS", "Photoshop"),
    (0, b"%PDF-", "PDF"),
    (0, b"\x00\x00\x01\x00", "icon"),
    (0, b"v/1\x01", "OpenEXR"),
    (0, b"<svg", "SVG"),
    (128, b"DICM", "DICOM"),
)
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis")


def identify(data: bytes) -> str:
    """The name of a format that can be read; otherwise raises the fitting Rejection."""
    for magic, name in READ:
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    for offset, magic, name in REFUSED:
        if data.startswith(magic, offset):
            raise UnsupportedFormat(f"{name} files are not read. Send the image as {SUPPORTED}.")
    if data[4:8] == b"ftyp" and data[8:12] in HEIF_BRANDS:
        raise UnsupportedFormat(f"HEIC and AVIF files are not read. Send the image as {SUPPORTED}.")
    raise NotAnImage(f"The body is not an image. Send the bytes of one {SUPPORTED} file.")


def webp_size(data: bytes) -> tuple[int, int]:
    """Width and height from a WebP header: Pillow allocates the canvas before it tells them."""
    chunk = data[12:16]
    if chunk == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if chunk == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF
