from __future__ import annotations

from pathlib import Path

import pytest

from stack import cores
from stack.problem import BadSetting
from stack.settings import ROOT, Settings


def test_defaults_are_the_documented_ports() -> None:
    settings = Settings.read({})
    assert (settings.inference_port, settings.management_port, settings.metrics_port) == (8080, 8081, 8082)
    assert settings.gateway_port == 8000
    assert settings.archive == ROOT / "model_store" / "lesion.mar"


def test_workers_and_threads_do_not_exceed_the_cores() -> None:
    settings = Settings.read({})
    assert settings.workers * settings.threads <= cores.available()


def test_threads_follow_a_chosen_number_of_workers() -> None:
    assert Settings.read({"DERMSERVE_WORKERS": "1"}).threads == cores.available()
    assert Settings.read({"DERMSERVE_WORKERS": "64"}).threads == 1


def test_ports_and_model_store_come_from_the_environment(tmp_path: Path) -> None:
    settings = Settings.read({"PORT": "9000", "DERMSERVE_METRICS_PORT": "9002", "DERMSERVE_MODEL_STORE": str(tmp_path)})
    assert settings.gateway_url == "http://127.0.0.1:9000"
    assert settings.metrics_url == "http://127.0.0.1:9002"
    assert settings.archive == tmp_path / "lesion.mar"


@pytest.mark.parametrize("text", ["two", "0", "-1", "1.5"])
def test_a_bad_number_names_its_variable(text: str) -> None:
    with pytest.raises(BadSetting, match="DERMSERVE_WORKERS"):
        Settings.read({"DERMSERVE_WORKERS": text})


def test_a_missing_configuration_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="DERMSERVE_CONFIG"):
        Settings.read({"DERMSERVE_CONFIG": str(tmp_path / "config.properties")})


@pytest.mark.parametrize(("told", "expected"), [("100000 100000", 1), ("150000 100000", 2), ("50000 100000", 1)])
def test_a_container_limit_counts(tmp_path: Path, told: str, expected: int) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text(told)
    assert cores.available(quota) == min(expected, cores.available(tmp_path / "none"))


def test_no_container_limit(tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text("max 100000")
    assert cores.available(quota) == cores.available(tmp_path / "none")
