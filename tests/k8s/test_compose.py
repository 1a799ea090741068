"""compose.yaml fits together: mounts, addresses and job names on both sides, and nothing open to the world."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from gateway.settings import PREFIX, Settings
from k8s.validate.build import ROOT
from stack import properties, torchserve
from stack.settings import MEANINGS
from stack.settings import Settings as StackSettings

FOLDER = ROOT / "k8s/compose"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = SERVICES["dermserve"]


def read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    return document


def mounts(service: str) -> dict[str, Path]:
    """What is mounted from this repository, by its place in the container."""
    pairs = [mount.split(":")[:2] for mount in SERVICES[service]["volumes"] if mount.startswith(".")]
    return {place: ROOT / source for source, place in pairs}


def addressed(address: str) -> bool:
    """Whether host:port is a service of the stack and the port one that it opens."""
    host, port = re.sub(r"^https?://", "", address).split(":")
    return any(published.endswith(f":{port}") for published in SERVICES[host]["ports"])


def test_every_mounted_file_exists() -> None:
    assert all(
        source.exists() for service in ("prometheus", "alertmanager", "grafana") for source in mounts(service).values()
    )


@pytest.mark.parametrize("service", SERVICES)
def test_ports_are_open_on_this_machine_only(service: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[service].get("ports", []))


def test_our_container_is_locked_down() -> None:
    assert OURS["read_only"] is True
    assert OURS["cap_drop"] == ["ALL"]
    assert OURS["user"] == "10001:10001"
    assert OURS["mem_limit"]


def test_no_container_needs_another_to_be_there_first() -> None:
    # After a reboot docker starts them in any order, and never again one that could not join the other's network.
    assert [name for name, service in SERVICES.items() if "network_mode" in service] == []


def test_only_the_gateway_can_ask_torchserve() -> None:
    theirs = {name: str(value) for name, value in OURS["environment"].items()}
    chosen = torchserve.addresses(StackSettings.read(theirs), "0.0.0.0")
    reachable = [name for name, url in chosen.items() if not url.startswith("http://127.0.0.1:")]
    assert reachable == ["TS_METRICS_ADDRESS"]


def test_there_is_time_for_the_last_answer() -> None:
    assert OURS["command"] == ["python", "-m", "stack", "pod"]
    gateway = Settings()
    longest = gateway.drain_delay_s + 2 * gateway.drain_deadline_s
    # TorchServe itself needs about three seconds.
    assert int(OURS["stop_grace_period"].removesuffix("s")) >= longest + 5


def test_settings_and_image_exist() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields} | set(MEANINGS)
    assert set(OURS["environment"]) <= known
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"dermserve:{version}-cpu" in OURS["image"]


def test_prometheus_scrapes_both_processes_under_the_names_of_the_rules() -> None:
    metrics_port = properties.read(ROOT / "config.properties")["metrics_address"].rpartition(":")[2]
    jobs = {job["job_name"]: job["static_configs"][0] for job in read("prometheus.yaml")["scrape_configs"]}
    assert {name: job["targets"] for name, job in jobs.items()} == {
        "dermserve-gateway": [f"dermserve:{OURS['environment']['PORT']}"],
        "dermserve-torchserve": [f"dermserve:{metrics_port}"],
    }
    rules = (ROOT / "k8s/monitoring/rules.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r'job="([\w-]+)"', rules)) <= set(jobs)
    assert all(set(job["labels"]) == {"namespace", "pod"} for job in jobs.values())


def test_prometheus_finds_its_rules_and_alertmanager() -> None:
    config = read("prometheus.yaml")
    (pattern,) = config["rule_files"]
    assert [place for place in mounts("prometheus") if PurePosixPath(place).match(pattern)]
    (alertmanagers,) = config["alerting"]["alertmanagers"]
    assert all(addressed(target) for each in alertmanagers["static_configs"] for target in each["targets"])
    check = ["promtool", "check", "config", "--syntax-only", str(FOLDER / "prometheus.yaml")]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("service", ["prometheus", "alertmanager"])
def test_a_configuration_is_mounted_where_it_is_looked_for(service: str) -> None:
    (file,) = [word.partition("=")[2] for word in SERVICES[service]["command"] if word.startswith("--config.file=")]
    assert mounts(service)[file].is_file()


def test_grafana_is_provisioned_with_the_source_and_every_dashboard() -> None:
    placed = mounts("grafana")
    assert placed["/etc/grafana/provisioning/datasources/prometheus.yaml"] == FOLDER / "grafana-datasource.yaml"
    assert placed["/etc/grafana/provisioning/dashboards/dermserve.yaml"] == FOLDER / "grafana-dashboards.yaml"
    (source,) = read("grafana-datasource.yaml")["datasources"]
    assert (source["type"], source["isDefault"]) == ("prometheus", True)
    assert addressed(source["url"])
    (provider,) = read("grafana-dashboards.yaml")["providers"]
    folder = placed[provider["options"]["path"]]
    assert {path.stem for path in folder.glob("*.json")} == {"service", "model", "pods"}
    home = PurePosixPath(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (placed[str(home.parent)] / home.name).is_file()
