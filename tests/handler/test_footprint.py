"""No decode takes more memory than a pod was given for it: some kinds of file may have fewer pixels than others."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image

from handler.decode import Limits
from tests.handler.drawing import PICTURE, encoded
from tests.handler.test_colour import deep_png, swapping_profile
from tests.handler.test_decode import read, refused

MEGAPIXELS = 20
MOST_KIB = 6.25 * MEGAPIXELS * 1_000_000 / 1024
# Bands, tables and what libraries allocate once.
SURPLUS_KIB = 35_000


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def picture(kind: str) -> tuple[bytes, int]:
    """A file just within the limit of its kind, and its width."""
    turned = {"exif": exif(6)}
    profile = {"icc_profile": swapping_profile()}
    if kind == "deep grey with a clear shade, turned":
        chunks = ((b"tRNS", b"\0\1"), (b"eXIf", exif(6).tobytes()[6:]))
        return deep_png(np.zeros((4_900, 4_000), np.uint16), *chunks), 4_900
    sides: dict[str, tuple[str, str, int, dict[str, Any]]] = {
        "RGB": ("RGB", "PNG", 4_900, {}),
        "RGB with a profile": ("RGB", "PNG", 4_900, profile),
        "RGB, turned": ("RGB", "PNG", 3_800, turned),
        "RGBA with a profile, turned": ("RGBA", "PNG", 3_800, profile | turned),
        "grey with a profile, turned": ("L", "PNG", 4_900, profile | turned),
        "TIFF in one strip": ("RGB", "TIFF", 4_400, {"compression": "tiff_lzw", "tiffinfo": {278: 4_400}}),
        "WebP": ("RGBA", "WEBP", 1_600, {"lossless": True} | turned),
    }
    mode, form, rows, options = sides[kind]
    data = encoded(Image.new(mode, (4_000, rows)), form, **({"compress_level": 1} if form == "PNG" else {}), **options)
    return data, rows if "exif" in options else 4_000


@pytest.mark.parametrize(
    "kind",
    [
        "RGB",
        "RGB with a profile",
        "RGB, turned",
        "RGBA with a profile, turned",
        "grey with a profile, turned",
        "deep grey with a clear shade, turned",
        "TIFF in one strip",
        "WebP",
    ],
)
def test_a_decode_stays_within_its_memory(kind: str) -> None:
    data, width = picture(kind)
    program = (
        "import sys\n"
        "from handler.decode import Limits, decode\n"
        "data = sys.stdin.buffer.read()\n"
        "before = int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\n"
        f"image = decode(data, Limits(max_pixels={MEGAPIXELS}_000_000), 128)\n"
        "print(int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) - before, image.width)\n"
    )
    told = subprocess.run([sys.executable, "-c", program], input=data, check=True, timeout=120, capture_output=True)
    growth, seen = map(int, told.stdout.split())
    assert growth < MOST_KIB + SURPLUS_KIB
    assert seen == width


@pytest.mark.parametrize(("mode", "kind"), [("RGBA", "PNG"), ("CMYK", "TIFF"), ("LA", "PNG")])
def test_a_kind_that_takes_more_memory_may_have_fewer_pixels_and_is_told_how_many(mode: str, kind: str) -> None:
    data = encoded(PICTURE.convert(mode), kind)
    pixels = PICTURE.width * PICTURE.height
    assert read(data, limits=Limits(max_pixels=pixels * 8 * 100 // 625)).size == PICTURE.size
    rejection = refused(data, Limits(max_pixels=pixels))
    assert rejection.reason == "too_many_pixels"
    assert f"the limit for its kind is {pixels * 625 // 800:,} pixels" in rejection.message


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "CMYK"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_gone_through_in_bands_is_the_same_picture(mode: str, orientation: int) -> None:
    picture = PICTURE.convert(mode)
    if mode == "RGBA":
        picture.putalpha(PICTURE.convert("L"))
    kind = "TIFF" if mode == "CMYK" else "PNG"
    large = read(encoded(picture.resize((1800, 1350), Image.Resampling.NEAREST), kind, exif=exif(orientation)))
    small = read(encoded(picture, kind, exif=exif(orientation)))
    assert np.array_equal(large, small.resize(large.size, Image.Resampling.NEAREST))


def test_a_profile_that_declares_millions_of_names_takes_no_memory_for_them() -> None:
    profile = bytearray(swapping_profile())
    at = profile.index(b"mluc") + 8
    profile[at : at + 4] = (32_000_000).to_bytes(4)
    program = (
        "import sys\n"
        "from handler.decode import Limits, decode\n"
        "data = sys.stdin.buffer.read()\n"
        "before = int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\n"
        "decode(data, Limits(), 128)\n"
        "print(int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) - before)\n"
    )
    data = encoded(PICTURE, "PNG", icc_profile=bytes(profile))
    told = subprocess.run([sys.executable, "-c", program], input=data, check=True, timeout=60, capture_output=True)
    assert int(told.stdout) < 30_000
