"""Packs a bundle and the handler into a TorchServe archive: the same input gives the same bytes.

python -m lightning_module archive --bundle bundles/lesion --output model_store/lesion.mar
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import handler
from handler.bundle import CARD, MANIFEST, Bundle, digest
from handler.errors import BundleError

ADAPTER = "lesion_handler.py"
CONFIGURATION = Path(__file__).resolve().parents[1] / "model-config.yaml"
# The oldest time that a zip file can hold.
EPOCH = (1980, 1, 1, 0, 0, 0)


def archive(bundle: Path, output: Path) -> str:
    """Writes `output`, its .sha256 and its model card beside it, and returns the hash."""
    verified = Bundle.load(bundle)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="archive-") as name:
        scratch = Path(name)
        content = _stage(verified, scratch / "content")
        packed = _pack(verified, content, scratch)
        _write_zip(packed, scratch / "archive.mar")
        partial = output.with_name(f".{output.name}.partial")
        shutil.copyfile(scratch / "archive.mar", partial)
        partial.replace(output)
    told = digest(output)
    output.with_name(output.name + ".sha256").write_text(f"{told}  {output.name}\n", encoding="utf-8")
    if (bundle / CARD).exists():
        shutil.copyfile(bundle / CARD, output.parent / CARD)
    return told


def sizes(archive: Path) -> dict[str, int]:
    """Compressed bytes of every file in an archive, largest first."""
    with zipfile.ZipFile(archive) as opened:
        entries = {info.filename: info.compress_size for info in opened.infolist()}
    return dict(sorted(entries.items(), key=lambda entry: -entry[1]))


def _stage(bundle: Bundle, content: Path) -> Path:
    source = Path(handler.__file__).parent
    for path in sorted(source.rglob("*.py")):
        if path.name != ADAPTER:
            _copy(path, content / "handler" / path.relative_to(source))
    for name in [MANIFEST, *bundle.manifest.files]:
        _copy(bundle.folder / name, content / "bundle" / name)
    return content


def _pack(bundle: Bundle, content: Path, scratch: Path) -> Path:
    exported = scratch / "exported"
    exported.mkdir()
    # torch-model-archiver works in <temporary folder>/<model name>, which two runs at once would share.
    private = scratch / "private"
    private.mkdir()
    arguments = {
        "--model-name": bundle.manifest.name,
        "--version": bundle.manifest.version,
        "--handler": str(Path(handler.__file__).with_name(ADAPTER)),
        "--extra-files": str(content),
        "--config-file": str(CONFIGURATION),
        "--export-path": str(exported),
        "--archive-format": "no-archive",
    }
    told = subprocess.run(
        [
            sys.executable,
            "-m",
            "model_archiver.model_packaging",
            *(word for pair in arguments.items() for word in pair),
        ],
        env=os.environ | {"TMPDIR": str(private)},
        capture_output=True,
        text=True,
        check=False,
    )
    packed = exported / bundle.manifest.name
    if told.returncode or not packed.is_dir():
        _, _, why = (told.stderr or told.stdout).strip().rpartition("\n")
        raise BundleError(f"torch-model-archiver failed: {why or 'it says nothing'}")
    _fix_creation_time(packed / "MAR-INF" / "MANIFEST.json", bundle)
    return packed


def _fix_creation_time(path: Path, bundle: Bundle) -> None:
    told = json.loads(path.read_text(encoding="utf-8"))
    told["createdOn"] = bundle.manifest.created.strftime("%d/%m/%Y %H:%M:%S")
    path.write_text(json.dumps(told, indent=2, sort_keys=True), encoding="utf-8")


def _write_zip(folder: Path, output: Path) -> None:
    with zipfile.ZipFile(output, "w") as opened:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            opened.writestr(entry, path.read_bytes(), compresslevel=6)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 when the archive is written."""
    parser = argparse.ArgumentParser(prog="python -m lightning_module archive", description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, required=True, help="folder that holds bundle.json, or an archive of it")
    parser.add_argument("--output", type=Path, default=Path("model_store/lesion.mar"))
    chosen = parser.parse_args(arguments)
    try:
        told = archive(chosen.bundle, chosen.output)
    except (BundleError, OSError) as error:
        print(f"archive: {error}", file=sys.stderr)
        return 1
    print(f"{chosen.output}  {chosen.output.stat().st_size / 2**20:.1f} MiB  sha256 {told}")
    for name, size in list(sizes(chosen.output).items())[:6]:
        print(f"  {size / 2**20:7.2f} MiB  {name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
