"""Every format that is read, upright and in sRGB; every refusal with its reason and status."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from handler import errors
from handler.decode import Limits, decode
from handler.geometry import Geometry
from handler.signatures import webp_size
from tests.handler.drawing import FILES, PICTURE, encoded, lesion

LIMITS = Limits()


def mean_gap(first: Image.Image, second: Image.Image) -> float:
    geometry = Geometry(size=64)
    return float(np.abs(geometry.apply(first).astype(float) - geometry.apply(second).astype(float)).mean())


def read(data: bytes, target: int = 128, limits: Limits = LIMITS) -> Image.Image:
    return decode(data, limits, target)


def refused(data: bytes, limits: Limits = LIMITS) -> errors.Rejection:
    with pytest.raises(errors.Rejection) as caught:
        decode(data, limits, 128)
    assert caught.value.message.endswith(".")
    return caught.value


@pytest.mark.parametrize("name", FILES)
def test_each_format_gives_the_same_picture(name: str) -> None:
    image = read(FILES[name])
    assert image.mode == "RGB"
    assert image.size == PICTURE.size
    assert mean_gap(image, PICTURE) < 4


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(kind: str, orientation: int) -> None:
    upright = Image.new("RGB", (96, 64), "white")
    upright.paste((200, 0, 0), (0, 0, 48, 32))
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = read(encoded(stored, kind, exif=exif))
    assert image.size == (96, 64)
    red, green, blue = image.getpixel((12, 12))
    assert (red, green, blue) == pytest.approx((200, 0, 0), abs=12)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_is_ignored() -> None:
    data = encoded(PICTURE, exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert read(data).size == PICTURE.size


@pytest.mark.parametrize("kind", ["WEBP", "PNG", "TIFF"])
def test_an_animation_gives_its_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    red, _, blue = read(data).getpixel((9, 9))
    assert red > 200
    assert blue < 60


def test_a_large_jpeg_is_decoded_small_and_looks_the_same() -> None:
    large = PICTURE.resize((2400, 1800), Image.Resampling.BICUBIC)
    data = encoded(large, quality=90)
    image = read(data, target=128)
    assert image.size == (300, 225)
    geometry = Geometry(size=128)
    full = geometry.apply(Image.open(io.BytesIO(data)).convert("RGB")).astype(float)
    assert np.abs(geometry.apply(image) - full).mean() < 1.0


def test_an_image_at_three_sizes_gives_nearly_the_same_input() -> None:
    geometry = Geometry(size=64)
    original = lesion(3, 1200, 900)
    inputs = []
    for divisor, kernel in ((1, Image.Resampling.BOX), (2, Image.Resampling.LANCZOS), (6, Image.Resampling.BICUBIC)):
        sent = original.resize((1200 // divisor, 900 // divisor), kernel)
        inputs.append(geometry.apply(read(encoded(sent, quality=92), geometry.target)).astype(float))
    for other in inputs[1:]:
        assert np.abs(other - inputs[0]).mean() < 2.5


@pytest.mark.parametrize(
    ("data", "kind", "status"),
    [
        (b"", errors.EmptyBody, 400),
        (b"hello", errors.NotAnImage, 415),
        (b"{}" * 500, errors.NotAnImage, 415),
        (encoded(PICTURE, "GIF"), errors.UnsupportedFormat, 415),
        (b"%PDF-1.7 and so on", errors.UnsupportedFormat, 415),
        (b"\0\0\0\x18ftypheic" + b"\0" * 40, errors.UnsupportedFormat, 415),
        (b"\0" * 128 + b"DICM" + b"\0" * 40, errors.UnsupportedFormat, 415),
        (encoded(Image.new("F", (64, 64)), "TIFF"), errors.UnsupportedFormat, 415),
        (b"\xff\xd8\xff", errors.TruncatedImage, 422),
        (encoded(PICTURE.resize((31, 400))), errors.TooSmall, 422),
    ],
)
def test_refusals(data: bytes, kind: type[errors.Rejection], status: int) -> None:
    rejection = refused(data)
    assert type(rejection) is kind
    assert rejection.status == status
    assert rejection.wire() == {"error": {"reason": kind.reason, "message": rejection.message}}


def test_reasons_and_statuses_are_those_of_the_wire() -> None:
    assert {kind.reason: kind.status for kind in errors.REJECTIONS} == {
        "empty_body": 400,
        "not_an_image": 415,
        "unsupported_format": 415,
        "truncated_image": 422,
        "too_many_pixels": 413,
        "too_large": 413,
        "too_small": 422,
    }
    assert set(errors.REJECTIONS) == set(errors.Rejection.__subclasses__())


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("name", FILES)
def test_half_a_file_is_truncated(name: str) -> None:
    rejection = refused(FILES[name][: len(FILES[name]) // 2])
    assert (rejection.reason, rejection.status) == ("truncated_image", 422)


def test_limits_are_inclusive() -> None:
    data = encoded(PICTURE)
    width, height = PICTURE.size
    exact = Limits(max_bytes=len(data), max_pixels=width * height, min_side=height)
    assert read(data, limits=exact).size == PICTURE.size
    assert refused(data, exact.model_copy(update={"max_bytes": len(data) - 1})).reason == "too_large"
    assert refused(data, exact.model_copy(update={"max_pixels": width * height - 1})).reason == "too_many_pixels"
    assert refused(data, exact.model_copy(update={"min_side": height + 1})).reason == "too_small"


def repeated_scan(data: bytes, times: int, side: int | None = None) -> bytes:
    """A JPEG whose last scan comes so often; with `side` its header claims another size, which needs no more bytes."""
    last = data.rindex(b"\xff\xda")
    head = bytearray(data[:last])
    if side:
        frame = next(head.index(marker) for marker in (b"\xff\xc0", b"\xff\xc2") if marker in head)
        head[frame + 5 : frame + 9] = struct.pack(">HH", side, side)
    return bytes(head) + data[last:-2] * times + b"\xff\xd9"


@pytest.mark.parametrize(("times", "side"), [(300, None), (30, 7000)])
def test_scans_without_end_are_refused_unread(times: int, side: int | None) -> None:
    rejection = refused(repeated_scan(encoded(PICTURE, progressive=True), times, side))
    assert rejection.reason == "unsupported_format"
    assert "scans" in rejection.message


def test_a_baseline_jpeg_ends_with_its_only_scan() -> None:
    assert refused(repeated_scan(encoded(PICTURE), 300)).reason == "truncated_image"


def test_what_follows_a_jpeg_is_not_counted_as_its_scans() -> None:
    assert mean_gap(read(encoded(PICTURE, quality=95) + b"\xff\xda" * 1000), PICTURE) < 4


def test_a_run_length_coded_bmp_is_refused_unread() -> None:
    data = bytearray(encoded(Image.new("L", (64, 64)), "BMP"))
    data[30] = 1
    assert refused(bytes(data)).reason == "unsupported_format"


def test_a_webp_may_have_a_third_of_the_pixels_since_its_decoder_holds_four_copies() -> None:
    width, height = PICTURE.size
    assert read(FILES["WebP"], limits=Limits(max_pixels=3 * width * height)).size == PICTURE.size
    assert refused(FILES["WebP"], Limits(max_pixels=3 * width * height - 1)).reason == "too_many_pixels"


def webp_bomb() -> bytes:
    chunk = b"\0\0\0\0" + (16_383).to_bytes(3, "little") * 2
    body = b"WEBPVP8X" + struct.pack("<I", len(chunk)) + chunk + encoded(PICTURE, "WEBP")[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


def png_bomb() -> bytes:
    return encoded(Image.new("1", (10_000, 10_000)), "PNG")


def tiff_bomb() -> bytes:
    """64 x 64 pixels in one tile of 40,000 x 40,000."""
    tags = {256: 64, 257: 64, 258: 8, 259: 5, 262: 1, 277: 1, 322: 40_000, 323: 40_000, 324: 8, 325: 4}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<I", 12) + b"\x80\0\0\0" + struct.pack("<H", len(tags)) + entries + b"\0\0\0\0"


@pytest.mark.parametrize("bomb", [webp_bomb, png_bomb, tiff_bomb])
def test_bombs_are_refused_before_their_pixels_are_allocated(bomb: Callable[[], bytes]) -> None:
    program = (
        "import resource, sys\n"
        "from handler.decode import Limits, decode\n"
        "from handler.errors import TooManyPixels\n"
        "data = sys.stdin.buffer.read()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    decode(data, Limits(), 128)\n    sys.exit(3)\nexcept TooManyPixels:\n    pass\n"
        "assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000\n"
    )
    subprocess.run([sys.executable, "-c", program], input=bomb(), check=True, timeout=60)


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"lossless": True, "exact": True}])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_webp_tells_its_size_before_it_is_opened(mode: str, options: dict[str, bool]) -> None:
    for size in ((321, 123), (33, 700)):
        assert webp_size(encoded(PICTURE.convert(mode).resize(size), "WEBP", **options)) == size
