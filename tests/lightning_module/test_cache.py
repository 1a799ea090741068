"""The pixel cache: keyed by content and geometry, continued after an interruption, plain about what it cannot read."""

from __future__ import annotations

import errno
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from handler.decode import decode
from handler.geometry import Geometry
from lightning_module import cache
from lightning_module.datasets import Table
from lightning_module.datasets.errors import UnreadableImages

SIZE = Geometry(size=28)


def picture(colour: int) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (40, 30), (colour, 2 * colour, 255 - colour)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def table(tmp_path: Path) -> Table:
    root = tmp_path / "images"
    root.mkdir()
    for number in range(6):
        (root / f"{number}.png").write_bytes(picture(10 * number))
    columns = {"path": [f"{number}.png" for number in range(6)], "diagnosis": "nv", "malignant": False}
    return Table.of(columns, root=root, layout="drawn", licence="none")


def test_rows_are_what_serving_would_compute(table: Table, tmp_path: Path) -> None:
    pixels = cache.build(table, SIZE, tmp_path / "cache")
    assert pixels.shape == (6, 28, 28, 3)
    for row in range(6):
        with Image.open(table.root / f"{row}.png") as image:
            np.testing.assert_array_equal(pixels[row], SIZE.apply(image))


def test_a_second_build_reads_no_image(table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = cache.build(table, SIZE, tmp_path / "cache")
    monkeypatch.setattr(cache, "decode", None)
    np.testing.assert_array_equal(cache.build(table, SIZE, tmp_path / "cache"), first)


def test_what_other_code_decoded_is_decoded_again(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.build(table, SIZE, tmp_path / "cache")
    changed = shutil.copytree(cache.SOURCES, tmp_path / "handler")
    with (changed / "decode.py").open("a") as source:
        source.write("# otherwise\n")
    monkeypatch.setattr(cache, "SOURCES", changed)
    monkeypatch.setattr(cache, "decode", lambda *_: Image.new("RGB", (40, 30), "white"))
    assert cache.build(table, SIZE, tmp_path / "cache").min() == 255


def test_content_order_and_geometry_each_need_an_array_of_their_own(table: Table, tmp_path: Path) -> None:
    for geometry in (SIZE, Geometry(size=28, crop=0.5), Geometry(size=29)):
        cache.build(table, geometry, tmp_path / "cache")
    cache.build(table.take([1, 0, 2, 3, 4, 5]), SIZE, tmp_path / "cache")
    (table.root / "3.png").write_bytes(picture(77))
    cache.build(table, SIZE, tmp_path / "cache")
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 5


def test_who_starts_together_decodes_once(table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []

    def counted(*words: Any) -> Image.Image:
        decoded.append(words)
        return decode(*words)

    monkeypatch.setattr(cache, "decode", counted)
    with ThreadPoolExecutor(4) as ranks:
        arrays = list(ranks.map(lambda _: cache.build(table, SIZE, tmp_path / "cache"), range(4)))
    assert len(decoded) == len(table)
    for array in arrays:
        np.testing.assert_array_equal(array, arrays[0])


def test_moving_the_folder_changes_nothing(table: Table, tmp_path: Path) -> None:
    before = cache.content(table)
    table.root.rename(tmp_path / "elsewhere")
    assert cache.content(Table(table.frame, tmp_path / "elsewhere", table.layout, table.licence)) == before


def test_an_interrupted_build_continues_where_it_stopped(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "CHUNK", 2)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    real, seen = cache.decode, []

    def interrupted(data: bytes, *rest: object) -> Image.Image:
        seen.append(data)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return real(data, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(cache, "decode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache.build(table, SIZE, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.npy"))
    monkeypatch.setattr(cache, "decode", lambda data, *rest: seen.append(data) or real(data, *rest))
    seen.clear()
    pixels = cache.build(table, SIZE, tmp_path / "cache")
    assert len(seen) == 4
    monkeypatch.setattr(cache, "decode", real)
    np.testing.assert_array_equal(pixels, cache.build(table, SIZE, tmp_path / "fresh"))


@pytest.mark.parametrize("left", [b"", b"half an array", None])
def test_a_damaged_array_is_made_again(table: Table, tmp_path: Path, left: bytes | None) -> None:
    whole = np.array(cache.build(table, SIZE, tmp_path / "cache"))
    [path] = (tmp_path / "cache").glob("*.npy")
    path.write_bytes(path.read_bytes()[:-1000] if left is None else left)
    np.testing.assert_array_equal(cache.build(table, SIZE, tmp_path / "cache"), whole)


@pytest.mark.parametrize(("rows", "array"), [("", None), ("4", b"half an array"), ("4", b"")])
def test_a_damaged_beginning_is_begun_again(table: Table, tmp_path: Path, rows: str, array: bytes | None) -> None:
    whole = np.array(cache.build(table, SIZE, tmp_path / "cache"))
    [path] = (tmp_path / "cache").glob("*.npy")
    partial = path.rename(path.with_suffix(".partial"))
    if array is not None:
        partial.write_bytes(array)
    partial.with_suffix(".rows").write_text(rows)
    np.testing.assert_array_equal(cache.build(table, SIZE, tmp_path / "cache"), whole)


def test_every_unreadable_image_is_named_each_time(table: Table, tmp_path: Path) -> None:
    wrong = {"0.png": b"", "1.png": b"<html>not found</html>", "4.png": picture(40)[:50]}
    for name, content in wrong.items():
        (table.root / name).write_bytes(content)
    for _ in range(2):
        with pytest.raises(UnreadableImages) as refusal:
            cache.build(table, SIZE, tmp_path / "cache")
        assert set(refusal.value.reasons) == set(wrong)
    assert str(refusal.value).startswith("3 of 6 images cannot be read")
    for number, name in enumerate(wrong):
        (table.root / name).write_bytes(picture(number))
    assert cache.build(table, SIZE, tmp_path / "cache").shape[0] == 6


def fails_with(number: int) -> Any:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_disk_without_room_is_told_before_anything_is_decoded(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "posix_fallocate", fails_with(errno.ENOSPC))
    monkeypatch.setattr(cache, "decode", None)
    with pytest.raises(
        OSError, match=r"No space left on device for \d+ MB of decoded images.*data\.cache_folder"
    ) as told:
        cache.build(table, SIZE, tmp_path / "cache")
    assert str(tmp_path / "cache") in str(told.value)
    assert "\n" not in str(told.value)
    assert not list((tmp_path / "cache").glob("*.partial"))


def test_room_is_on_disk_before_the_first_image_is(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(*_: object) -> None:
        [partial] = (tmp_path / "cache").glob("*.partial")
        assert partial.stat().st_blocks * 512 >= 40 * 256 * 256 * 3
        raise KeyboardInterrupt

    many = table.take([row % 6 for row in range(40)])
    monkeypatch.setattr(cache, "decode", look)
    with pytest.raises(KeyboardInterrupt):
        cache.build(many, Geometry(size=256), tmp_path / "cache")


def test_a_file_system_that_reserves_no_room_is_filled_all_the_same(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "posix_fallocate", fails_with(errno.EOPNOTSUPP))
    assert cache.build(table, SIZE, tmp_path / "cache").shape == (6, 28, 28, 3)
