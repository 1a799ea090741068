"""What the programs may use at worst fits into what they are given, on a cluster and in compose.yaml. In MiB."""

from __future__ import annotations

import re
import zipfile
from typing import Any

import yaml

from gateway.settings import Settings
from k8s.validate.build import ROOT
from stack import properties
from tests.k8s.conftest import Manifests, container

MIB = 2**20
# Measured, with the costliest images that are taken; comments in k8s/base/deployment.yaml say the same.
WORKER = 600
JAVA_ITSELF = 150
CONNECTIONS = 64
ARGUMENTS = properties.read(ROOT / "config.properties")["vmargs"]
HEAP, YOUNG, DIRECT = (
    int(re.findall(rf"-{option}(\d+)m", ARGUMENTS)[0]) for option in ("Xmx", "Xmn", "XX:MaxDirectMemorySize=")
)
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]["dermserve"]


def environment(manifests: Manifests, name: str) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container(manifests, name)["env"]}


def limit(manifests: Manifests, name: str) -> int:
    return int(container(manifests, name)["resources"]["limits"]["memory"].removesuffix("Mi"))


def torchserve(workers: str) -> int:
    return int(workers) * WORKER + HEAP + DIRECT + JAVA_ITSELF


def test_the_gateways_bodies_fit_into_its_memory(cpu: Manifests) -> None:
    held = int(environment(cpu, "gateway")["DERMSERVE_MAX_BYTES_IN_MEMORY"]) // MIB
    assert 2 * held + CONNECTIONS <= limit(cpu, "gateway")


def test_java_and_workers_fit_into_torchserves_memory(cpu: Manifests) -> None:
    assert torchserve(environment(cpu, "torchserve")["DERMSERVE_WORKERS"]) <= limit(cpu, "torchserve")


def test_both_programs_and_the_unpacked_archive_fit_into_composes_memory(cpu: Manifests) -> None:
    given = int(COMPOSE["mem_limit"].removesuffix("m"))
    assert given >= limit(cpu, "torchserve") + limit(cpu, "gateway")
    with zipfile.ZipFile(ROOT / "model_store/lesion.mar") as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist()) // MIB + 1
    assert torchserve(COMPOSE["environment"]["DERMSERVE_WORKERS"]) + limit(cpu, "gateway") + unpacked <= given


def test_what_gateways_hold_at_once_fits_into_javas_memory(cpu: Manifests) -> None:
    on_cluster = environment(cpu, "gateway")["DERMSERVE_MAX_BYTES_IN_MEMORY"]
    in_compose = COMPOSE["environment"]["DERMSERVE_MAX_BYTES_IN_MEMORY"]
    for held in (int(on_cluster), int(in_compose), Settings().max_bytes_in_memory):
        assert 3 * held <= (HEAP - YOUNG) * MIB
        assert held + 32 * MIB <= DIRECT * MIB
