"""The same picture in two parts of a split is found, however it was resized, re-encoded or turned."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from lightning_module import near_duplicates
from lightning_module.datasets import load, synthetic
from lightning_module.splits import Split, grouped

CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "copied": lambda image: image,
    "halved": lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.BILINEAR),
    "brightened": lambda image: ImageEnhance.Brightness(image).enhance(1.15),
    "mirrored": lambda image: ImageOps.mirror(image),
    "turned": lambda image: image.rotate(90, expand=True),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic.render(tmp_path_factory.mktemp("drawn") / "folder", 40, layout="class_folders", size=(120, 90))


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_across_parts_is_found(folder: Path, tmp_path: Path, change: str) -> None:
    table = load(folder)
    original = int(grouped(table).train[0])
    for row in range(len(table)):
        target = tmp_path / str(table.frame["path"].iat[row])
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(table.image_bytes(row))
    copy = tmp_path / "test" / "dangerous" / "copy.jpg"
    CHANGES[change](Image.open(BytesIO(table.image_bytes(original)))).save(copy, quality=70)
    changed = load(tmp_path)
    pairs = near_duplicates.find(changed, grouped(changed))
    [pair] = [pair for pair in pairs if "test/dangerous/copy.jpg" in pair.paths]
    assert str(table.frame["path"].iat[original]) in pair.paths
    assert pair.parts == ("train", "test")
    assert "copy.jpg" in near_duplicates.report(pairs)


def test_different_lesions_are_no_duplicates(folder: Path) -> None:
    table = load(folder)
    assert near_duplicates.find(table, grouped(table)) == []
    assert near_duplicates.report([]).startswith("No near-duplicates")


def test_a_pair_within_one_part_is_no_leak(folder: Path) -> None:
    table = load(folder)
    everything = Split(np.arange(len(table)), np.array([], dtype=np.int64), np.array([], dtype=np.int64))
    assert near_duplicates.find(table, everything) == []


def test_the_command_prints_its_findings(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    near_duplicates.main([str(folder)])
    assert "No near-duplicates" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="no such folder"):
        near_duplicates.main([str(folder / "nowhere")])


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    folder = synthetic.render(tmp_path / "drawn", 12, layout="class_folders", size=(60, 45))
    victim = next(folder.rglob("*.jpg"))
    victim.write_bytes(b"no image")
    with pytest.raises(SystemExit, match=f"{victim.name}: no JPEG"):
        near_duplicates.main([str(folder)])
