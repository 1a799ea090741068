"""The image's parts: pins, what is trimmed, the bill of materials, the fetched model, what may enter the build."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import subprocess
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from image import sbom, trim
from k8s.validate.build import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = {"cpu": ["serve"], "cuda": ["serve", "gpu"], "train": ["train"]}


def pins(variant: str) -> dict[str, str]:
    text = (ROOT / f"image/requirements-{variant}.txt").read_text(encoding="utf-8")
    return {canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)}


@pytest.mark.parametrize("variant", EXTRAS)
def test_pins_satisfy_the_project(variant: str) -> None:
    pinned = pins(variant)
    extras = [line for extra in EXTRAS[variant] for line in PROJECT["optional-dependencies"][extra]]
    for line in [*PROJECT["dependencies"], *extras]:
        wanted = Requirement(line)
        version = pinned.get(canonicalize_name(wanted.name))
        assert version, f"{wanted.name} is not in requirements-{variant}.txt: run image/lock.sh"
        assert wanted.specifier.contains(version), f"{line}, but {version} is pinned: run image/lock.sh"


@pytest.mark.parametrize("variant", EXTRAS)
def test_every_pin_has_a_hash(variant: str) -> None:
    text = (ROOT / f"image/requirements-{variant}.txt").read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text.strip())
    assert all("--hash=sha256:" in block for block in blocks)


def test_the_cpu_image_carries_no_torch() -> None:
    assert "torch" not in pins("cpu")
    assert "torch" in pins("cuda")


@pytest.mark.parametrize(("variant", "there"), [("cpu", False), ("cuda", False), ("train", True)])
def test_only_the_trainer_carries_triton(variant: str, there: bool) -> None:
    assert ("triton" in pins(variant)) == there


@pytest.mark.parametrize("variant", ["cpu", "cuda"])
def test_the_serving_images_carry_nothing_that_only_tests_need(variant: str) -> None:
    named = {
        extra: {canonicalize_name(Requirement(line).name) for line in lines}
        for extra, lines in PROJECT["optional-dependencies"].items()
    }
    assert not set(pins(variant)) & (named["dev"] - named["serve"] - named["gpu"])


def test_nothing_enters_the_build_but_what_is_named() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert lines[lines.index("*") - 1 :].count("*") == 1
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = set()
    for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            copied |= set(line.split()[1:-1])
    assert {name.replace("${VARIANT}", "*") for name in copied} == allowed


@pytest.mark.parametrize("tool", ["docker", "podman", "buildah"])
def test_pip_reaches_the_sites_own_index_with_every_tool(tool: str, tmp_path: Path) -> None:
    program = tmp_path / tool
    program.write_text('#!/bin/sh\nfor word; do case $word in id=*) echo "$word"; cat "${word#*src=}";; esac; done\n')
    program.chmod(0o755)
    bundle = tmp_path / "bundle.crt"
    bundle.write_text("the site's certificates\n")
    environment = os.environ | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PIP_INDEX_URL": "https://pypi.example.org/simple",
        "PIP_CERT": str(bundle),
    }
    words = [ROOT / "image/build.sh", "--tool", tool]
    told = subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout
    assert "cert = /run/build/ca.crt\nindex-url = https://pypi.example.org/simple\n" in told
    assert f"id=ca,src={bundle}\nthe site's certificates\n" in told
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"--mount=type=secret,(\S+)", dockerfile) == [
        "id=pip,target=/etc/pip.conf",
        "id=ca,target=/run/build/ca.crt",
    ]


def test_every_image_carries_labels_a_bill_of_materials_and_no_root() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    stages = dict(re.findall(r"^FROM \S+ AS (\w+)\n(.*?)(?=^FROM |\Z)", text, re.MULTILINE | re.DOTALL))
    labels = re.search(r"^LABEL (.*)$", stages["runtime"], re.MULTILINE)
    assert labels
    wanted = {f"org.opencontainers.image.{key}" for key in ("title", "description", "version", "revision", "licenses")}
    assert wanted < set(re.findall(r"([\w.]+)=", labels[1]))
    for image in ("serve", "train"):
        assert f"FROM runtime AS {image}\n" in text
        assert "sbom.py --version" in stages[image]
        assert "\nUSER 10001:10001\n" in stages[image]


def test_trim_takes_what_serving_never_loads(tmp_path: Path) -> None:
    kept = tmp_path / "openvino/libs/libopenvino_intel_cpu_plugin.so"
    gone = tmp_path / "openvino/libs/libopenvino_intel_gpu_plugin.so"
    folder = tmp_path / "numpy/core/tests/test_it.py"
    for path in (kept, gone, folder):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1234")
    assert trim.trim(tmp_path, "cpu") == 8
    assert kept.exists()
    assert not gone.exists()
    assert not folder.parent.exists()


@pytest.mark.parametrize(("variant", "there"), [("cpu", False), ("cuda", False), ("train", True)])
def test_only_the_trainer_can_convert_networks_of_torch(variant: str, there: bool, tmp_path: Path) -> None:
    frontend = tmp_path / "openvino/libs/libopenvino_pytorch_frontend.so.2641"
    frontend.parent.mkdir(parents=True)
    frontend.write_bytes(b"1234")
    trim.trim(tmp_path, variant)
    assert frontend.exists() == there


def test_the_bill_of_materials_is_complete_and_the_same_twice(tmp_path: Path) -> None:
    status = tmp_path / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    status.write_text(
        "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9+deb12u10\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n",
        encoding="utf-8",
    )
    site = tmp_path / "venv/lib/python3.11/site-packages"
    metadata = site / "Some_Package-1.2.dist-info/METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text(
        "Metadata-Version: 2.4\nName: Some_Package\nVersion: 1.2\nLicense-Expression: MIT\n", encoding="utf-8"
    )
    jar = site / "ts/frontend/model-server.jar"
    jar.parent.mkdir(parents=True)
    jar.write_bytes(b"jar")
    archive = tmp_path / "app/model_store/lesion.mar"
    archive.parent.mkdir(parents=True)
    archive.write_bytes(b"mar")
    document = sbom.bill("0.1.0", root=tmp_path, prefix=tmp_path / "venv")
    found = {entry["name"]: entry for entry in document["components"]}
    assert set(found) == {"libc6", "some-package", "model-server", "lesion"}
    assert found["libc6"]["purl"] == "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=amd64"
    assert found["some-package"]["licenses"] == [{"expression": "MIT"}]
    assert found["lesion"]["hashes"][0]["content"] == hashlib.sha256(b"mar").hexdigest()
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert json.dumps(document) == json.dumps(sbom.bill("0.1.0", root=tmp_path, prefix=tmp_path / "venv"))


@pytest.fixture
def fetcher() -> ModuleType:
    """The init container's script, which is not in a package."""
    spec = importlib.util.spec_from_file_location("fetch", ROOT / "k8s/components/model-init/fetch.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_fetched_model_is_kept_only_with_the_right_hash(fetcher: ModuleType, tmp_path: Path) -> None:
    source = tmp_path / "source.mar"
    source.write_bytes(b"archive")
    digest = hashlib.sha256(b"archive").hexdigest()
    store = tmp_path / "store"
    store.mkdir()
    with pytest.raises(SystemExit, match="check MODEL_URL and MODEL_SHA256"):
        fetcher.fetch(source.as_uri(), "0" * 64, store)
    with pytest.raises(SystemExit, match="cannot be fetched"):
        fetcher.fetch((tmp_path / "absent.mar").as_uri(), digest, store)
    assert list(store.iterdir()) == []
    assert fetcher.fetch(source.as_uri(), digest.upper(), store) == digest
    assert (store / "lesion.mar").read_bytes() == b"archive"
    assert (store / "lesion.mar.sha256").read_text(encoding="utf-8").split() == [digest, "lesion.mar"]
