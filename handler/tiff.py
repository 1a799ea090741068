"""TIFFs that Pillow would read wrongly, or not at all, and why."""

from __future__ import annotations

from io import BytesIO
from struct import Struct

from PIL import TiffImagePlugin
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    COMPRESSION,
    PHOTOMETRIC_INTERPRETATION,
    PLANAR_CONFIGURATION,
    ROWSPERSTRIP,
    SAMPLESPERPIXEL,
    STRIPBYTECOUNTS,
    STRIPOFFSETS,
    TILEBYTECOUNTS,
    TILEOFFSETS,
    ImageFileDirectory_v2,
)

from handler.errors import TooManyPixels, UnsupportedFormat

BYTES = (1, 2, 7)
TILE_WIDTH, TILE_LENGTH = 322, 323
SEPARATE_PLANES = 2
YCBCR = 6
JPEGS = (6, 7)
BIG = 43
# None, fax, LZW, JPEG, deflate, PackBits, LZMA and Zstandard: what the libtiff within Pillow can undo.
COMPRESSIONS = (1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34925, 50000)
# Pillow reads the table of tags in Python, and takes up each strip by itself. A strip has a row or more.
MOST_TAGS = 4096
MOST_STRIPS = 65_536
# The largest honest ones hold a transfer function: three colours, 16 bits.
MOST_NUMBERS = 3 * 65_536
TABLES_OF_STRIPS = (STRIPOFFSETS, STRIPBYTECOUNTS, TILEOFFSETS, TILEBYTECOUNTS)


def check_tables(data: bytes) -> None:
    """Raises UnsupportedFormat for longer tables in the first directory than an honest file has."""
    order = "<" if data.startswith(b"II") else ">"
    big = BIG in data[2:4]
    [start] = Struct(order + ("8xQ" if big else "4xI")).unpack_from(data)
    length, entry = Struct(order + ("Q" if big else "H")), Struct(order + ("HHQ8x" if big else "HHI4x"))
    [tags] = length.unpack_from(data, start)
    if tags > MOST_TAGS:
        raise UnsupportedFormat(f"The TIFF has more than {MOST_TAGS:,} tags. Save it without its metadata.")
    whole = data[start + length.size :][: tags * entry.size]
    for tag, kind, count in entry.iter_unpack(whole[: len(whole) // entry.size * entry.size]):
        if tag in TABLES_OF_STRIPS and count > MOST_STRIPS:
            raise UnsupportedFormat(f"The TIFF has over {MOST_STRIPS:,} strips or tiles. Save it with larger ones.")
        if kind not in BYTES and count > MOST_NUMBERS:
            raise UnsupportedFormat(f"The TIFF has a tag of more than {MOST_NUMBERS:,} numbers. Save it without them.")


def check(image: TiffImagePlugin.TiffImageFile, max_pixels: int) -> None:
    """Raises a Rejection for tiles too large, and for pixels that would come out wrong."""
    tags = image.tag_v2
    # A small file may declare a tile of any size, which is allocated whole.
    tile = int(tags.get(TILE_WIDTH, 1)) * int(tags.get(TILE_LENGTH, 1))
    strip = min(int(tags.get(ROWSPERSTRIP, 1)), image.height) * image.width
    if max(tile, strip) > max_pixels:
        raise TooManyPixels(f"The TIFF has tiles of more than {max_pixels:,} pixels. Save it with smaller ones.")
    if tags.get(PLANAR_CONFIGURATION) == SEPARATE_PLANES and max(tags.get(BITSPERSAMPLE, (1,))) > 8:
        raise UnsupportedFormat(
            "TIFFs with 16 bits a channel are not read by planes. Save it with interleaved channels."
        )


def largest_strip(image: TiffImagePlugin.TiffImageFile) -> int:
    """The bytes of the strip or tile that is held beside the image while it is undone."""
    if not image.use_load_libtiff:
        return 0
    tags = image.tag_v2
    pixels, samples = _strip_or_tile(image), int(tags.get(SAMPLESPERPIXEL, 1))
    bits = int(max(tags.get(BITSPERSAMPLE, (1,))))
    if tags.get(COMPRESSION) in JPEGS:
        # Its coefficients may be held as well.
        return pixels * samples * 3
    # Where colours are coarser than brightness they are spread out to four bytes.
    return max(pixels * samples * bits // 8, pixels * 4 * (tags.get(PHOTOMETRIC_INTERPRETATION) == YCBCR))


def _strip_or_tile(image: TiffImagePlugin.TiffImageFile) -> int:
    tags = image.tag_v2
    tile = int(tags.get(TILE_WIDTH, 1)) * int(tags.get(TILE_LENGTH, 1))
    # Without the tag it is all one strip.
    strip = 1 if TILE_WIDTH in tags else min(int(tags.get(ROWSPERSTRIP, image.height)), image.height) * image.width
    return max(tile, strip)


def why_unread(data: bytes) -> str | None:
    """What else than damage keeps Pillow from reading a file, and what to do; None where it is damage."""
    header = 16 if BIG in data[2:4] else 8
    try:
        tags = ImageFileDirectory_v2(data[:header])
        file = BytesIO(data)
        file.seek(tags.next)
        tags.load(file)
        unknown = tags.get(COMPRESSION, 1) not in COMPRESSIONS
        # A damaged file may declare these of any type, as text for instance.
        deep = max(tags.get(BITSPERSAMPLE, (1,))) > 16
    except Exception:
        # Pillow's parser raises whatever a damaged file makes it stumble over.
        return None
    if unknown:
        return "The TIFF is compressed in a way that is not read. Save it with LZW, or uncompressed."
    if deep:
        return "TIFFs with more than 16 bits a channel are not read. Save it with 8 or 16."
    return None
