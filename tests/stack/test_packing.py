"""The archive: self-contained, reproducible, and refused when it was changed."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from handler.bundle import Bundle
from handler.errors import BundleError
from lightning_module import archive as packing
from stack import archive, scratch
from stack.problem import BadArchive


def test_the_same_bundle_gives_the_same_bytes(bundle: Path, model_store: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(bundle, copy)
    (copy / "bundle.json").touch()
    packing.archive(copy, tmp_path / "lesion.mar")
    assert (tmp_path / "lesion.mar").read_bytes() == (model_store / "lesion.mar").read_bytes()
    with zipfile.ZipFile(tmp_path / "lesion.mar") as opened:
        manifest = json.loads(opened.read("MAR-INF/MANIFEST.json"))
        assert {entry.date_time for entry in opened.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    # And not the second in which the archiver ran.
    assert manifest["createdOn"] == Bundle.load(bundle).manifest.created.strftime("%d/%m/%Y %H:%M:%S")


def test_the_checksum_is_what_sha256sum_writes(model_store: Path) -> None:
    told = hashlib.sha256((model_store / "lesion.mar").read_bytes()).hexdigest()
    assert (model_store / "lesion.mar.sha256").read_text() == f"{told}  lesion.mar\n"
    assert archive.verify(model_store / "lesion.mar") == told


def test_the_card_lies_beside_the_archive(bundle: Path, model_store: Path) -> None:
    assert (model_store / "MODEL_CARD.md").read_bytes() == (bundle / "MODEL_CARD.md").read_bytes()


def test_the_archive_holds_the_bundle_the_handler_and_nothing_else(bundle: Path, model_store: Path) -> None:
    with zipfile.ZipFile(model_store / "lesion.mar") as opened:
        names = set(opened.namelist())
        manifest = json.loads(opened.read("MAR-INF/MANIFEST.json"))
    vouched = {f"bundle/{name}" for name in ["bundle.json", *Bundle.load(bundle).manifest.files]}
    assert {name for name in names if name.startswith("bundle/")} == vouched
    others = {name for name in names if not name.startswith(("bundle/", "handler/"))}
    assert others == {"MAR-INF/MANIFEST.json", "lesion_handler.py", "model-config.yaml"}
    assert all(name.endswith(".py") for name in names if name.startswith("handler/"))
    assert manifest["model"]["modelName"] == "lesion"
    assert manifest["model"]["handler"] == "lesion_handler.py"


def test_an_unpacked_archive_predicts_without_this_repository(model_store: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(model_store / "lesion.mar") as opened:
        opened.extractall(tmp_path)
    program = (
        "from pathlib import Path; import handler; from handler.predictor import Predictor\n"
        "image = next(Path('bundle/golden').iterdir()).read_bytes()\n"
        "[answer] = Predictor.load('bundle').predict([image])\n"
        "print(Path(handler.__file__).parents[1].resolve() == Path.cwd().resolve(), answer.label)\n"
    )
    told = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert told.stdout.startswith("True "), told.stderr


def test_a_damaged_bundle_is_not_packed(bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(bundle, copy)
    (copy / "weights.safetensors").write_bytes(b"other weights")
    with pytest.raises(BundleError, match=r"weights\.safetensors"):
        packing.archive(copy, tmp_path / "lesion.mar")
    assert not (tmp_path / "lesion.mar").exists()


def test_the_command_tells_sizes_and_fails_with_a_line(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert packing.main(["--bundle", str(bundle), "--output", str(tmp_path / "lesion.mar")]) == 0
    assert "sha256" in capsys.readouterr().out
    assert packing.main(["--bundle", str(tmp_path), "--output", str(tmp_path / "lesion.mar")]) == 1
    assert "bundle.json" in capsys.readouterr().err


def test_packing_needs_neither_torch_nor_openvino() -> None:
    # Loaded by its path: the package around it imports torch for training.
    program = (
        f"import runpy, sys; runpy.run_path({packing.__file__!r}); print({{'torch', 'openvino'}} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"


def test_a_missing_archive_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match="make archive"):
        archive.verify(tmp_path / "lesion.mar")


def test_an_archive_without_checksum_is_refused(model_store: Path, tmp_path: Path) -> None:
    shutil.copy(model_store / "lesion.mar", tmp_path)
    with pytest.raises(BadArchive, match=r"lesion\.mar\.sha256 is missing"):
        archive.verify(tmp_path / "lesion.mar")


def test_a_tampered_archive_is_refused(model_store: Path, tmp_path: Path) -> None:
    shutil.copytree(model_store, tmp_path, dirs_exist_ok=True)
    with zipfile.ZipFile(tmp_path / "lesion.mar", "a") as opened:
        opened.writestr("handler/extra.py", "print('mine now')")
    with pytest.raises(BadArchive, match="sha256 differs"):
        archive.verify(tmp_path / "lesion.mar")


@pytest.mark.parametrize("write", [str.upper, str.lower])
def test_a_checksum_may_be_written_in_capitals(tmp_path: Path, write: Callable[[str], str]) -> None:
    (tmp_path / "lesion.mar").write_bytes(b"hello")
    told = hashlib.sha256(b"hello").hexdigest()
    (tmp_path / "lesion.mar.sha256").write_text(write(told))
    assert archive.verify(tmp_path / "lesion.mar") == told


def test_a_checksum_that_is_no_text_and_a_file_that_is_no_zip_are_told(tmp_path: Path) -> None:
    path = tmp_path / "lesion.mar"
    path.write_bytes(b"hello")
    path.with_name("lesion.mar.sha256").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadArchive, match="sha256 differs"):
        archive.verify(path)
    with pytest.raises(BadArchive, match="no archive"):
        scratch.require_room(tmp_path, "TMPDIR", path)


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lesion.mar"
    path.write_bytes(b"hello")
    with pytest.raises(BadArchive, match="no archive"):
        archive.golden_image(path)


def test_the_golden_image_is_an_image(model_store: Path) -> None:
    assert archive.golden_image(model_store / "lesion.mar").startswith(b"\xff\xd8")


def test_the_shipped_archive_holds_the_handler_of_this_checkout() -> None:
    root = Path(__file__).parents[2]
    sources = {path.relative_to(root).as_posix(): path.read_bytes() for path in (root / "handler").rglob("*.py")}
    sources["lesion_handler.py"] = sources.pop("handler/lesion_handler.py")
    with zipfile.ZipFile(root / "model_store" / "lesion.mar") as opened:
        packed = {name: opened.read(name) for name in opened.namelist() if name.endswith(".py")}
    stale = sorted(name for name in {*sources, *packed} if sources.get(name) != packed.get(name))
    assert stale == [], (
        "make archive BUNDLE=model_store/lesion.mar packs the shipped model with the handler as it is now"
    )
