from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from stack import cores, probe, torchserve
from stack.problem import BadSetting, PortTaken
from stack.settings import ROOT, Settings

OF_THE_GATEWAY = {
    *("DERMSERVE_INFERENCE_URL", "DERMSERVE_MANAGEMENT_URL", "DERMSERVE_MODEL_NAME", "DERMSERVE_MIN_READY_WORKERS"),
    "DERMSERVE_GOLDEN_IMAGE",
}
PORTS = ("DERMSERVE_INFERENCE_PORT", "DERMSERVE_MANAGEMENT_PORT", "DERMSERVE_METRICS_PORT")


def test_defaults_are_the_documented_ports() -> None:
    settings = Settings.read({})
    assert (settings.inference_port, settings.management_port, settings.metrics_port) == (8080, 8081, 8082)
    assert settings.gateway_port == 8000
    assert settings.archive == ROOT / "model_store" / "lesion.mar"


def test_workers_and_threads_do_not_exceed_the_cores() -> None:
    settings = Settings.read({})
    assert settings.workers * settings.threads <= cores.available()


@pytest.mark.parametrize("backend", ["torch-cuda", "torch-cuda:1"])
def test_one_worker_has_the_gpu_unless_more_are_asked_for(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "available", lambda: 8)
    assert Settings.read({"DERMSERVE_BACKEND": backend}).workers == 1
    assert Settings.read({"DERMSERVE_BACKEND": backend, "DERMSERVE_WORKERS": "2"}).workers == 2
    assert Settings.read({"DERMSERVE_BACKEND": "torch-cpu"}).workers == 4


def test_threads_follow_a_chosen_number_of_workers() -> None:
    assert Settings.read({"DERMSERVE_WORKERS": "1"}).threads == cores.available()
    assert Settings.read({"DERMSERVE_WORKERS": "64"}).threads == 1


def test_ports_and_model_store_come_from_the_environment(tmp_path: Path) -> None:
    settings = Settings.read({"PORT": "9000", "DERMSERVE_METRICS_PORT": "9002", "DERMSERVE_MODEL_STORE": str(tmp_path)})
    assert settings.gateway_url == "http://127.0.0.1:9000"
    assert settings.metrics_url == "http://127.0.0.1:9002"
    assert settings.archive == tmp_path / "lesion.mar"


def test_the_gateways_port_has_two_names_and_port_wins() -> None:
    named = {"DERMSERVE_PORT": "9000"}
    assert Settings.read(named).ports(gateway=True)["DERMSERVE_PORT"] == 9000
    assert Settings.read(named | {"PORT": ""}).gateway_port == 9000
    assert Settings.read(named | {"PORT": "9001"}).ports(gateway=True)["PORT"] == 9001


@pytest.mark.parametrize("text", ["two", "0", "-1", "1.5", "1000"])
def test_a_bad_number_names_its_variable(text: str) -> None:
    with pytest.raises(BadSetting, match="DERMSERVE_WORKERS"):
        Settings.read({"DERMSERVE_WORKERS": text})


@pytest.mark.parametrize("port", ["80000", "0", "-1", "http"])
def test_a_port_that_is_none_names_its_variable(port: str) -> None:
    with pytest.raises(BadSetting, match=f"^PORT='{port}' is not a whole number from 1 to 65535$"):
        Settings.read({"PORT": port})


@pytest.mark.parametrize("backend", ["", "int8", "torch-cpu", "torch-cuda", "torch-cuda:1"])
def test_a_known_backend_may_be_chosen(backend: str) -> None:
    Settings.read({"DERMSERVE_BACKEND": backend})


@pytest.mark.parametrize("backend", ["int4", "cuda", "torch-cuda:x"])
def test_an_unknown_backend_is_told_before_anything_starts(backend: str) -> None:
    with pytest.raises(BadSetting, match=f"^DERMSERVE_BACKEND='{backend}' is not int8, bf16, fp32, torch-cpu or"):
        Settings.read({"DERMSERVE_BACKEND": backend})


def test_predictions_may_be_kept_to_this_machine_where_metrics_are_open() -> None:
    open_to_all = torchserve.addresses(Settings.read({}), "0.0.0.0")
    assert open_to_all["TS_INFERENCE_ADDRESS"] == "http://0.0.0.0:8080"
    kept = torchserve.addresses(Settings.read({"DERMSERVE_INFERENCE_HOST": "127.0.0.1"}), "0.0.0.0")
    assert kept == open_to_all | {"TS_INFERENCE_ADDRESS": "http://127.0.0.1:8080"}


@pytest.mark.parametrize("host", ["localhost", "10.0.0.1", "127.0.0.1:8080"])
def test_an_address_that_the_gateway_would_not_find_is_refused(host: str) -> None:
    with pytest.raises(BadSetting, match=f"^DERMSERVE_INFERENCE_HOST='{host}' is not 127.0.0.1 or 0.0.0.0$"):
        Settings.read({"DERMSERVE_INFERENCE_HOST": host})


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(BadSetting) as told:
        Settings.read({"PORT": "x", "DERMSERVE_THREADS": "0", "DERMSERVE_CONFIG": "/nope"})
    named = {re.split("[=:]", line)[0] for line in str(told.value).splitlines()}
    assert named == {"DERMSERVE_CONFIG", "DERMSERVE_THREADS", "PORT"}


@pytest.mark.parametrize("variable", ["DERMSERVE_WORKERS", "DERMSERVE_THREADS"])
def test_a_count_that_no_machine_has_is_a_slip_of_the_keyboard(variable: str) -> None:
    with pytest.raises(BadSetting, match=f"^{variable}='99999' is not a whole number from 1 to "):
        Settings.read({variable: "99999"})


@pytest.mark.parametrize("variable", ["PORT", "DERMSERVE_INFERENCE_PORT", "DERMSERVE_METRICS_PORT"])
def test_two_servers_cannot_have_one_port(variable: str) -> None:
    settings = Settings.read({"DERMSERVE_MANAGEMENT_PORT": "9000", variable: "9000"})
    with pytest.raises(BadSetting, match="the same port, 9000") as told:
        settings.ports(gateway=True)
    assert variable in str(told.value)
    assert "DERMSERVE_MANAGEMENT_PORT" in str(told.value)


def test_the_port_of_a_gateway_elsewhere_does_not_count() -> None:
    settings = Settings.read({"DERMSERVE_INFERENCE_PORT": "8000"})
    assert "PORT" not in settings.ports(gateway=False)


def test_every_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        taken = {"PORT": one.getsockname()[1], "DERMSERVE_METRICS_PORT": other.getsockname()[1]}
        with pytest.raises(PortTaken) as told:
            probe.require_free(taken)
    for line, (variable, port) in zip(str(told.value).splitlines(), taken.items(), strict=True):
        assert line.startswith(f"port {port} is taken")
        assert variable in line


@pytest.mark.parametrize("verb", ["serve", "torchserve"])
def test_help_prints_every_setting(verb: str) -> None:
    command = [sys.executable, "-m", "stack", verb, "--help"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    code = "".join(
        path.read_text() for path in [*(ROOT / "stack").glob("*.py"), ROOT / "handler" / "lesion_handler.py"]
    )
    used = set(re.findall(r"DERMSERVE_[A-Z_]+", code)) - OF_THE_GATEWAY
    for variable in {*used, "PORT"}:
        assert re.search(rf"^  {variable} +\S", said, re.MULTILINE), variable


def test_wrong_settings_of_the_gateway_are_told_before_anything_starts() -> None:
    ports = dict(zip(("PORT", *PORTS), map(str, probe.free_ports(4)), strict=True))
    environment = os.environ | ports | {"DERMSERVE_API_KEYS_FILE": "/nope", "DERMSERVE_MODEL_STORE": "/nowhere"}
    command = [sys.executable, "-m", "stack", "serve"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "stack: DERMSERVE_API_KEYS_FILE=/nope: No such file or directory\n"


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


def test_torchserve_gets_what_was_set_and_no_configuration_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TS_CONFIG_FILE", "TS_MODEL_STORE", "TS_LOAD_MODELS", "TS_DISABLE_TOKEN_AUTHORIZATION"):
        monkeypatch.setenv(name, "elsewhere")
    monkeypatch.setenv("TS_DEFAULT_WORKERS_PER_MODEL", "9")
    settings = Settings.read({"DERMSERVE_WORKERS": "3", "DERMSERVE_THREADS": "2"})
    given = torchserve.command(settings, tmp_path).environment
    assert "elsewhere" not in given.values()
    assert (given["TS_DEFAULT_WORKERS_PER_MODEL"], given["DERMSERVE_THREADS"]) == ("3", "2")


def test_a_path_is_escaped_where_java_reads_an_address(tmp_path: Path) -> None:
    folder = tmp_path / "a#b?c%20d"
    folder.mkdir()
    (folder / "config.properties").write_text(f"model_store={tmp_path}\n")
    command = torchserve.command(Settings.read({"DERMSERVE_CONFIG": str(folder / "config.properties")}), tmp_path)
    [log] = [argument for argument in command.arguments if "log4j" in argument]
    assert log.endswith("/a%23b%3Fc%2520d/log4j2.xml")


def test_how_memory_is_kept_is_ours_unless_the_environment_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    monkeypatch.setenv("MALLOC_ARENA_MAX", "7")
    given = torchserve.command(Settings.read({}), tmp_path).environment
    assert (given["MALLOC_ARENA_MAX"], given["GLIBC_TUNABLES"]) == ("7", "glibc.malloc.hugetlb=1")
