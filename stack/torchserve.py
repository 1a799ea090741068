"""TorchServe as a command: Java started directly, because TorchServe's own launcher does not pass signals on."""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from stack import java, properties
from stack.problem import BadSetting
from stack.settings import Settings

CLASS = "org.pytorch.serve.ModelServer"
# Every malloc arena keeps what it was given, and workers have few threads. Huge pages spare them most page walks, which
# on a virtual machine made a process up to three times as slow as its neighbour, depending on the memory it was given.
MALLOC = {"MALLOC_ARENA_MAX": "2", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
# Java reads paths by the locale, and that of C knows no letter beyond ASCII.
LOCALE = {"LC_ALL": "C.UTF-8"} if sys.platform == "linux" else {}
GRPC_PORTS = ("TS_GRPC_INFERENCE_PORT", "TS_GRPC_MANAGEMENT_PORT")


@dataclass(frozen=True)
class Command:
    """What to run, in which environment and folder."""

    arguments: list[str]
    environment: dict[str, str]
    folder: Path

    def replace_process(self) -> NoReturn:
        """Becomes TorchServe: the same process id, so that signals reach Java."""
        os.chdir(self.folder)
        os.execve(self.arguments[0], self.arguments, self.environment)


def command(settings: Settings, scratch: Path, overrides: Mapping[str, str] | None = None) -> Command:
    """TorchServe with the shipped configuration; `scratch` takes the unpacked archive and the workers' sockets.

    `overrides` are TS_ variables, which TorchServe prefers to its configuration file.
    """
    home = _package_folder().parent
    config = settings.config
    jvm = properties.read(config).get("vmargs", "").split()
    arguments = [
        str(java.find()),
        f"-Dmodel_server_home={home}",
        f"-Dlog4j.configurationFile={(config.parent / 'log4j2.xml').as_uri()}",
        f"-Djava.io.tmpdir={scratch}",
        *jvm,
        "-cp",
        str(home / "ts" / "frontend" / "*"),
        CLASS,
        *("--python", str(_worker_program(scratch))),
        *("-f", str(config)),
        *("-s", str(settings.model_store)),
        "-ncs",
    ]
    # What another TorchServe was set by, as TS_MODEL_STORE, would win over the configuration and the arguments: another
    # archive would be served than the one that was verified.
    given = {name: value for name, value in os.environ.items() if not name.startswith("TS_") or name in GRPC_PORTS}
    environment = (
        MALLOC
        | given
        | LOCALE
        | {
            "TS_METRICS_CONFIG": str(config.parent / "metrics.yaml"),
            "TS_DEFAULT_WORKERS_PER_MODEL": str(settings.workers),
            "TS_DECODE_INPUT_REQUEST": "false",
            "DERMSERVE_THREADS": str(settings.threads),
            # Before Java knows its own log settings it would write files into this folder.
            "LOG_LOCATION": str(scratch),
            "METRICS_LOCATION": str(scratch),
        }
    )
    return Command(arguments, environment | dict(overrides or {}), config.parent)


def addresses(settings: Settings, host: str) -> dict[str, str]:
    """TS_ variables for every port of the settings. Whatever the host, management stays on loopback.

    The settings may choose another host for predictions, since those who read the metrics need not be able to predict.
    """
    return {
        "TS_INFERENCE_ADDRESS": f"http://{settings.inference_host or host}:{settings.inference_port}",
        "TS_MANAGEMENT_ADDRESS": settings.management_url,
        "TS_METRICS_ADDRESS": f"http://{host}:{settings.metrics_port}",
    }


def _package_folder() -> Path:
    found = importlib.util.find_spec("ts")
    if found is None or found.origin is None:
        raise BadSetting("TorchServe is not installed here: pip install -e '.[serve]' in a checkout, or make serve")
    return Path(found.origin).parent


def _worker_program(scratch: Path) -> Path:
    """A program that TorchServe can call as `python`; it accepts one word, not a command with arguments."""
    program = scratch / "python"
    script = Path(__file__).with_name("worker.py")
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P {shlex.quote(str(script))} "$@"\n')
    program.chmod(0o700)
    return program
