"""`make monitor` starts both programs, says where they are, and ends without a trace."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from k8s.monitoring import monitor
from stack.probe import free_ports
from tests.monitoring.prometheus import await_true

ROOT = Path(__file__).resolve().parents[2]
TARGETS = {"dermserve-gateway": "127.0.0.1:8000", "dermserve-torchserve": "127.0.0.1:8082"}


def test_prometheus_accepts_the_configuration(tmp_path: Path) -> None:
    config = tmp_path / "prometheus.yaml"
    config.write_text(yaml.safe_dump(monitor.configuration(TARGETS, "5s", "127.0.0.1:9093", monitor.RULES)))
    done = subprocess.run(["promtool", "check", "config", str(config)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_local_jobs_are_those_of_the_cluster() -> None:
    manifest = yaml.safe_load((ROOT / "k8s/components/monitoring/pod-monitor.yaml").read_text())
    endpoints = manifest["spec"]["podMetricsEndpoints"]
    assert [endpoint["relabelings"][0]["replacement"] for endpoint in endpoints] == list(TARGETS)
    scraped = yaml.safe_load(monitor.RULES.read_text())
    named = [rule["expr"] for group in scraped["groups"] for rule in group["rules"] if "job" in rule["expr"]]
    assert all("dermserve-" in expression for expression in named)


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    [port, alerts_port] = free_ports(2)
    with (
        pytest.raises(monitor.MonitorError, match=r"alertmanager is not installed.*apt-get install"),
        monitor.Monitor({}, port=port, alerts_port=alerts_port),
    ):
        pass


def test_a_program_that_speaks_no_http_is_nobody_to_watch() -> None:
    def greet(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1024)
            connection.sendall(b"SSH-2.0-OpenSSH\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=greet, args=(listener,), daemon=True).start()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        command = [sys.executable, str(ROOT / "k8s/monitoring/monitor.py"), "--gateway", address]
        done = subprocess.run(command, env={"PATH": ""}, capture_output=True, text=True, check=False)
    assert f"Nobody answers at http://{address}/metrics (dermserve-gateway)" in done.stdout
    assert "is not installed" in done.stderr


def test_a_taken_port_is_said() -> None:
    [port, alerts_port] = free_ports(2)
    with httpx.Client() as client, monitor.Monitor(TARGETS, port=port, alerts_port=alerts_port) as first:
        assert client.get(f"http://{first.address}/-/ready").status_code == 200
        with (
            pytest.raises(monitor.MonitorError, match=rf"127\.0\.0\.1:{port} cannot be used .*--port"),
            monitor.Monitor(TARGETS, port=port, alerts_port=alerts_port),
        ):
            pass
        assert first.ended() is None


def read_until(process: subprocess.Popen[str], word: str) -> str:
    assert process.stdout is not None
    lines = [process.stdout.readline()]
    while lines[-1] and word not in lines[-1]:
        lines.append(process.stdout.readline())
    return "".join(lines)


@contextlib.contextmanager
def watching(port: int, alerts_port: int, folder: Path) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, str(ROOT / "k8s/monitoring/monitor.py"), "--port", str(port)]
    words += ["--alerts-port", str(alerts_port)]
    environment = os.environ | {"TMPDIR": str(folder)}
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def nobody_listens(*ports: int) -> bool:
    with contextlib.suppress(OSError):
        for port in ports:
            socket.create_server(("127.0.0.1", port)).close()
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_command_ends_both_when_it_is_told_to(tmp_path: Path, number: signal.Signals) -> None:
    ports = free_ports(2)
    with watching(*ports, tmp_path) as process:
        read_until(process, "Ctrl-C")
        assert list(tmp_path.iterdir()) != []
        process.send_signal(number)
        assert process.wait(30) == 0
    assert nobody_listens(*ports)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("times", [1, 2])
def test_the_command_ends_programs_that_still_start(tmp_path: Path, times: int) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("alertmanager", "prometheus"):
        (programs / name).write_text(f"#!/bin/sh\n: > {programs}/{name}.began\nexec sleep 60\n")
        (programs / name).chmod(0o700)
    [port, alerts_port, nobody] = free_ports(3)
    command = [sys.executable, str(ROOT / "k8s/monitoring/monitor.py"), "--gateway", f"127.0.0.1:{nobody}"]
    command += ["--port", str(port), "--alerts-port", str(alerts_port)]
    environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            await_true(lambda: len(list(programs.glob("*.began"))) == 2, lambda: list(programs.iterdir()))
            for _ in range(times):
                process.send_signal(signal.SIGINT)
            told, _ = process.communicate(timeout=15)
        finally:
            process.kill()
    assert (process.returncode, "Ctrl-C" in told) == (0, False)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's end")
def test_a_killed_command_takes_both_along_and_the_next_one_what_they_stored(tmp_path: Path) -> None:
    ports = free_ports(2)
    with watching(*ports, tmp_path) as killed:
        read_until(killed, "Ctrl-C")
        left = list(tmp_path.iterdir())
        killed.kill()
    await_true(lambda: nobody_listens(*ports), lambda: ports)
    with watching(*ports, tmp_path) as process:
        read_until(process, "Ctrl-C")
        assert [folder for folder in left if folder.exists()] == []
        process.terminate()
        assert process.wait(30) == 0


def test_the_command_runs_until_it_is_interrupted() -> None:
    [port, alerts_port, nobody] = free_ports(3)
    command = [sys.executable, str(ROOT / "k8s/monitoring/monitor.py"), "--port", str(port)]
    command += ["--alerts-port", str(alerts_port), "--gateway", f"127.0.0.1:{nobody}", "--for", "1s", "--scrape", "1s"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process, httpx.Client(timeout=30) as client:
        try:
            told = read_until(process, "Ctrl-C")
            assert f"Nobody answers at http://127.0.0.1:{nobody}/metrics (dermserve-gateway)" in told
            assert f"http://127.0.0.1:{port}/alerts" in told

            def received() -> set[str]:
                alerts = client.get(f"http://127.0.0.1:{alerts_port}/api/v2/alerts").json()
                return {alert["labels"]["alertname"] for alert in alerts}

            await_true(lambda: "DermserveMetricsAbsent" in received(), received)
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
        finally:
            process.kill()
    for closed in (port, alerts_port):
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{closed}/")
