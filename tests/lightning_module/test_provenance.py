"""A folder is named after its publisher only if it holds the publisher's images."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightning_module.datasets import load, synthetic
from lightning_module.datasets.provenance import MARKER
from lightning_module.datasets.publishing import PUBLISHERS


def undrawn(folder: Path, layout: str = "ham10000") -> Path:
    """A folder that does not tell that it is drawn."""
    synthetic.render(folder, 12, layout=layout, size=(20, 20))
    (folder / MARKER).unlink()
    return folder


def renamed(folder: Path, old: str, new: str) -> Path:
    """The folder with other image ids."""
    for image in folder.rglob("*.jpg"):
        image.rename(image.with_name(image.name.replace(old, new)))
    for table in folder.glob("*.csv"):
        table.write_text(table.read_text().replace(old, new))
    return folder


@pytest.mark.parametrize("layout", list(PUBLISHERS))
def test_drawn_images_are_called_so_in_every_layout(tmp_path: Path, layout: str) -> None:
    found = load(synthetic.render(tmp_path / "drawn", 12, layout=layout, size=(20, 20)), allow_missing=True)
    assert (found.fingerprint().name, found.fingerprint().licence) == ("synthetic", "drawn by this program")


def test_the_publishers_images_have_its_name_and_licence(tmp_path: Path) -> None:
    found = load(renamed(undrawn(tmp_path / "ham"), "ISIC_00000", "ISIC_00254")).fingerprint()
    assert (found.name, found.licence) == ("ham10000", "CC BY-NC 4.0")


@pytest.mark.parametrize("own", ["clinic_00000", "ISIC_00990"])
def test_somebodys_own_images_are_not_called_the_publishers(tmp_path: Path, own: str) -> None:
    table = load(renamed(undrawn(tmp_path / "own"), "ISIC_00000", own))
    assert table.layout == "ham10000"
    assert table.fingerprint().name == "data in the layout of ham10000"
    assert table.fingerprint().licence == "licence of its owner"


def test_a_part_keeps_the_name_of_the_whole(tmp_path: Path) -> None:
    assert load(synthetic.render(tmp_path / "drawn", 12, size=(20, 20))).take([0, 1]).fingerprint().name == "synthetic"
