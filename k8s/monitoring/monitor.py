"""`make monitor`: a Prometheus and an Alertmanager on this machine that watch the running stack with our rules.

    make monitor ARGS="--scrape 1s --for 5s"     a drill: alerts fire after 5 s instead of after their `for:`

Only `for:` is shortened in a drill, in a copy that goes with this command; the expressions are those of rules.yaml.
"""

from __future__ import annotations

import argparse
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from stack import scratch, signals
from stack.child import die_with_parent

HERE = Path(__file__).resolve().parent
RULES = HERE / "rules.yaml"
ALERTMANAGER = HERE / "alertmanager.yaml"
PROGRAMS = {"prometheus": ("prometheus",), "alertmanager": ("alertmanager", "prometheus-alertmanager")}
START_SECONDS = 30
STOP_SECONDS = 10
# Past a proxy of the environment, which is not meant for this machine.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class MonitorError(Exception):
    """Something that keeps the two programs from running, and what to do."""


def hurried(rules: str, seconds: str) -> str:
    """The same rules with every `for:` replaced by this duration; expressions and all else stay as they are."""
    document = yaml.safe_load(rules)
    for group in document["groups"]:
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = seconds
    return yaml.safe_dump(document, sort_keys=False, width=1000)


def configuration(targets: Mapping[str, str], scrape: str, alertmanager: str, rules: Path) -> dict[str, Any]:
    """Prometheus' configuration; targets by job. The labels stand for those that an operator adds to pods."""
    labels = {"namespace": "local", "pod": "local"}
    return {
        "global": {"scrape_interval": scrape, "scrape_timeout": scrape, "evaluation_interval": scrape},
        "rule_files": [str(rules)],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [target], "labels": labels}]}
            for job, target in targets.items()
        ],
    }


class Monitor:
    """Both programs on loopback, with their data in a folder that goes with them.

    Entered once both answer, or as soon as `end` is set.
    """

    def __init__(
        self,
        targets: Mapping[str, str],
        *,
        port: int = 9090,
        alerts_port: int = 9093,
        scrape: str = "5s",
        hold: str | None = None,
        end: threading.Event | None = None,
    ) -> None:
        self.address = f"127.0.0.1:{port}"
        self.alerts_address = f"127.0.0.1:{alerts_port}"
        self.targets = dict(targets)
        self.scrape = scrape
        self.hold = hold
        self.end = end or threading.Event()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.folder = scratch.make()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def ended(self) -> str | None:
        """The name of a program that has ended by itself, if one has."""
        return next((name for name, process in self.processes.items() if process.poll() is not None), None)

    def log(self, name: str) -> str:
        """The last lines that a program wrote."""
        return "\n".join((self.folder / f"{name}.log").read_text(errors="replace").splitlines()[-5:])

    def stop(self) -> None:
        """Ends both; what they stored is deleted."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> None:
        for option, address in (("--port", self.address), ("--alerts-port", self.alerts_address)):
            _require_free(option, address)
        rules = RULES.read_text(encoding="utf-8")
        own = self.folder / "rules.yaml"
        own.write_text(hurried(rules, self.hold) if self.hold else rules, encoding="utf-8")
        config = self.folder / "prometheus.yaml"
        config.write_text(
            yaml.safe_dump(configuration(self.targets, self.scrape, self.alerts_address, own)), encoding="utf-8"
        )
        self._run(
            "alertmanager",
            f"--config.file={ALERTMANAGER}",
            f"--storage.path={self.folder / 'alertmanager'}",
            f"--web.listen-address={self.alerts_address}",
            # Without this it looks for peers on every network.
            "--cluster.listen-address=",
        )
        self._run(
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={self.folder / 'prometheus'}",
            f"--web.listen-address={self.address}",
            # An alert that fires before Alertmanager is known is told again after this; the default is a minute.
            "--rules.alert.resend-delay=5s",
        )
        for name, address in (("alertmanager", self.alerts_address), ("prometheus", self.address)):
            self._await_ready(name, address)

    def _run(self, name: str, *arguments: str) -> None:
        program = next((found for known in PROGRAMS[name] if (found := shutil.which(known))), None)
        if program is None:
            raise MonitorError(
                f"{name} is not installed. On Debian or Ubuntu: apt-get install prometheus prometheus-alertmanager; "
                "elsewhere unpack both from their projects' releases into a folder on PATH; or use compose.yaml."
            )
        with (self.folder / f"{name}.log").open("wb") as log:
            # A group of its own, so that Ctrl-C reaches this command first and it ends them in order.
            self.processes[name] = subprocess.Popen(
                [program, *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def _await_ready(self, name: str, address: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(f"http://{address}/-/ready"):
            if self.ended() or time.monotonic() > deadline:
                raise MonitorError(f"{name} did not start on {address}:\n{self.log(name)}")
            if self.end.wait(0.1):
                return


def main(argv: Sequence[str] | None = None) -> int:
    """Runs both until a signal asks for the end, or one of them ends."""
    options = _parser().parse_args(argv)
    targets = {"dermserve-gateway": options.gateway, "dermserve-torchserve": options.torchserve}
    for job, target in targets.items():
        if not _answers(f"http://{target}/metrics"):
            print(f"Nobody answers at http://{target}/metrics ({job}); is `make serve` running? Watching all the same.")
    end = threading.Event()
    for number in signals.of_end():
        signal.signal(number, lambda *_: end.set())
    ports = {"port": options.port, "alerts_port": options.alerts_port}
    try:
        with Monitor(targets, **ports, scrape=options.scrape, hold=options.hold, end=end) as monitor:
            if not end.is_set():
                _introduce(monitor)
            while not end.wait(0.5):
                if name := monitor.ended():
                    raise MonitorError(f"{name} ended by itself:\n{monitor.log(name)}")
    except MonitorError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _introduce(monitor: Monitor) -> None:
    print(f"Prometheus    http://{monitor.address}/alerts   scrapes every {monitor.scrape}")
    print(f"Alertmanager  http://{monitor.alerts_address}")
    print(f"Rules         {RULES.relative_to(HERE.parents[1])}, explained in k8s/monitoring/runbooks.md")
    if monitor.hold:
        print(f"A drill: alerts fire after {monitor.hold}.")
    print("Ctrl-C ends both.", flush=True)


def _parser() -> argparse.ArgumentParser:
    kept_as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="make monitor", description=__doc__, formatter_class=kept_as_written)
    gateway = f"127.0.0.1:{os.environ.get('PORT') or os.environ.get('DERMSERVE_PORT') or 8000}"
    torchserve = f"127.0.0.1:{os.environ.get('DERMSERVE_METRICS_PORT') or 8082}"
    parser.add_argument("--gateway", default=gateway, metavar="HOST:PORT", help="default: %(default)s, from PORT")
    help_text = "default: %(default)s, from DERMSERVE_METRICS_PORT"
    parser.add_argument("--torchserve", default=torchserve, metavar="HOST:PORT", help=help_text)
    parser.add_argument("--port", type=int, default=9090, help="Prometheus' port (default: %(default)s)")
    parser.add_argument("--alerts-port", type=int, default=9093, help="Alertmanager's port (default: %(default)s)")
    parser.add_argument("--scrape", default="5s", help="between two scrapes (default: %(default)s)")
    parser.add_argument("--for", dest="hold", metavar="DURATION", help="a drill: fire after this instead of `for:`")
    return parser


def _require_free(option: str, address: str) -> None:
    host, _, port = address.partition(":")
    try:
        socket.create_server((host, int(port))).close()
    except OSError as error:
        raise MonitorError(f"{address} cannot be used ({error.strerror}): give another with {option}.") from None


def _answers(url: str) -> bool:
    try:
        with DIRECT.open(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):
        return False


if __name__ == "__main__":
    sys.exit(main())
