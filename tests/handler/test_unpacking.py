"""A predictor loads from the archive that is shipped, and leaves nothing behind."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

from handler.bundle import MANIFEST, WEIGHTS, Bundle
from handler.errors import BundleError
from handler.predictor import Predictor
from lightning_module import archive
from tests.handler import drawing
from tests.handler.drawing import encoded

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def packed(sigmoid_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packed") / "lesion.mar"
    archive.archive(sigmoid_bundle, path)
    return path


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def rewritten(source: Path, target: Path, name: str, content: bytes) -> Path:
    """A copy of the archive in which one entry has another content."""
    with zipfile.ZipFile(source) as read, zipfile.ZipFile(target, "w") as written:
        for entry in read.infolist():
            if entry.filename != name:
                written.writestr(entry, read.read(entry))
        written.writestr(name, content)
    return target


def refusal(path: Path) -> str:
    with pytest.raises(BundleError) as caught:
        Predictor.load(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_archive_gives_what_its_bundle_gives(sigmoid_bundle: Path, packed: Path, scratch: Path) -> None:
    items = [encoded(drawing.lesion(1))]
    predictor = Predictor.load(packed, "fp32", threads=1)
    assert predictor.predict(items) == Predictor.load(sigmoid_bundle, "fp32", threads=1).predict(items)
    assert list(scratch.iterdir()) != []
    del predictor
    gc.collect()
    assert list(scratch.iterdir()) == []


def test_the_shipped_archive_answers() -> None:
    [answer] = Predictor.load(ROOT / "model_store" / "lesion.mar", threads=1).predict([encoded(drawing.lesion(2))])
    assert "label" in answer.wire()


@pytest.mark.usefixtures("scratch")
def test_only_what_the_manifest_names_is_unpacked(packed: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(rewritten(packed, tmp_path / "more.mar", "bundle/surprise.txt", b"!"))
    found = {path.relative_to(bundle.folder).as_posix() for path in bundle.folder.rglob("*") if path.is_file()}
    assert found == {MANIFEST, *bundle.manifest.files}


def test_nothing_is_written_outside_the_folder(packed: Path, scratch: Path, tmp_path: Path) -> None:
    hostile = json.dumps({"files": {"../escaped.txt": "0" * 64}}).encode()
    path = rewritten(packed, tmp_path / "hostile.mar", f"bundle/{MANIFEST}", hostile)
    with zipfile.ZipFile(path, "a") as opened:
        opened.writestr("bundle/../escaped.txt", b"!")
    assert str(path) in refusal(path)
    assert {entry.name for entry in tmp_path.rglob("*")} == {"scratch", "hostile.mar"}
    assert list(scratch.iterdir()) == []


def test_a_file_that_is_not_the_one_described_is_refused(packed: Path, scratch: Path, tmp_path: Path) -> None:
    assert WEIGHTS in refusal(rewritten(packed, tmp_path / "other.mar", f"bundle/{WEIGHTS}", b"other"))
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"no zip file", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "lesion.mar"
    path.write_bytes(content)
    assert str(path) in refusal(path)


def test_an_archive_that_would_fill_the_disk_is_refused(
    packed: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(packed) as opened:
        whole = sum(entry.file_size for entry in opened.infolist() if entry.filename.startswith("bundle/"))
    monkeypatch.setattr("handler.unpacking.MOST_BYTES", whole)
    Predictor.load(packed, "fp32", threads=1)
    monkeypatch.setattr("handler.unpacking.MOST_BYTES", whole - 1)
    assert "no bundle is so large" in refusal(packed)
    gc.collect()
    assert list(scratch.iterdir()) == []


def test_a_cut_archive_is_refused(packed: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.mar"
    path.write_bytes(packed.read_bytes()[:-2000])
    assert str(path) in refusal(path)


def test_a_manifest_that_only_a_bomb_could_have_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "bomb.mar"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as written:
        written.writestr(f"bundle/{MANIFEST}", b" " * 2**28)
    program = (
        "import resource, sys\n"
        "from handler.bundle import Bundle\n"
        "from handler.errors import BundleError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    Bundle.load(sys.argv[1])\n    sys.exit(3)\nexcept BundleError as error:\n    print(error)\n"
        "assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000\n"
    )
    told = subprocess.run([sys.executable, "-c", program, path], check=True, timeout=60, capture_output=True, text=True)
    assert str(path) in told.stdout
    assert MANIFEST in told.stdout
