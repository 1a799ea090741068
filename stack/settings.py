"""Every setting of the stack, from the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stack import cores, gateway, properties
from stack.problem import BadSetting

ROOT = Path(__file__).resolve().parents[1]
MOST_WORKERS = 4
SANE_COUNT = 64
"""More than so many, on fewer cores, is a slip of the finger that would fill the memory."""
HIGHEST_PORT = 65535
HOSTS = ("127.0.0.1", "0.0.0.0")
BACKEND = re.compile(r"int8|bf16|fp32|torch-cpu|torch-cuda(:\d+)?")

MEANINGS = {
    "PORT": ("8000", "the gateway's port: page and API"),
    "DERMSERVE_PORT": ("8000", "the same; PORT wins"),
    "DERMSERVE_GATEWAY_HOST": ("127.0.0.1", "the gateway's address: this machine alone, or 0.0.0.0 for anybody"),
    "DERMSERVE_INFERENCE_PORT": ("8080", "TorchServe's port for predictions"),
    "DERMSERVE_INFERENCE_HOST": ("0.0.0.0, serve 127.0.0.1", "its address: anybody, or this machine or pod alone"),
    "DERMSERVE_MANAGEMENT_PORT": ("8081", "TorchServe's port for its management, on loopback"),
    "DERMSERVE_METRICS_PORT": ("8082", "TorchServe's port for its metrics"),
    "DERMSERVE_WORKERS": (f"cores, at most {MOST_WORKERS}", "processes that predict; 1 for torch-cuda"),
    "DERMSERVE_THREADS": ("cores / workers", "threads of each of them"),
    "DERMSERVE_BACKEND": ("what suits the machine", "int8, bf16, fp32, torch-cpu or torch-cuda"),
    "DERMSERVE_MODEL_STORE": ("model_store", "folder with lesion.mar and its .sha256"),
    "DERMSERVE_CONFIG": ("config.properties", "TorchServe's configuration; paths in it begin at its folder"),
    "TEMP": ("a new folder", "where `torchserve` unpacks the archive and has its sockets"),
    "DERMSERVE_START_SECONDS": ("60", "longest wait for TorchServe, and for the gateway, to come up"),
}


@dataclass(frozen=True)
class Settings:
    """Where things are, where they listen, and how many cores they use."""

    config: Path
    model_store: Path
    inference_host: str | None
    inference_port: int
    management_port: int
    metrics_port: int
    gateway_host: str
    gateway_port: int
    gateway_port_variable: str
    workers: int
    threads: int
    start_seconds: float

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """The environment's settings, checked; raises BadSetting with one line for each variable that is wrong."""
        wrong: list[str] = []

        def whole(name: str, default: int | None = None, highest: int | None = None) -> int:
            text = environment.get(name) or str(default or MEANINGS[name][0])
            if text.isdecimal() and 1 <= int(text) <= (highest or int(text)):
                return int(text)
            wrong.append(f"{name}={text!r} is not a whole number {f'from 1 to {highest}' if highest else 'above 0'}")
            return 1

        config = Path(environment.get("DERMSERVE_CONFIG", ROOT / "config.properties")).resolve()
        store = environment.get("DERMSERVE_MODEL_STORE")
        if not config.is_file():
            wrong.append(f"DERMSERVE_CONFIG: {config} is missing; name TorchServe's config.properties")
        elif not store:
            store = properties.read(config).get("model_store")
        backend = environment.get("DERMSERVE_BACKEND")
        if backend and not BACKEND.fullmatch(backend):
            wrong.append(f"DERMSERVE_BACKEND={backend!r} is not {MEANINGS['DERMSERVE_BACKEND'][1]}")
        mine = "DERMSERVE_PORT" if environment.get("DERMSERVE_PORT") and not environment.get("PORT") else "PORT"
        host = environment.get("DERMSERVE_INFERENCE_HOST") or None
        if host and host not in HOSTS:
            wrong.append(f"DERMSERVE_INFERENCE_HOST={host!r} is not {' or '.join(HOSTS)}")
        usable = cores.available()
        most = max(usable, SANE_COUNT)
        # A second process on a GPU doubles the memory and only waits for the first.
        usual = 1 if (backend or "").startswith("torch-cuda") else min(usable, MOST_WORKERS)
        workers = whole("DERMSERVE_WORKERS", usual, most)
        settings = cls(
            config=config,
            model_store=(config.parent / (store or "model_store")).resolve(),
            inference_host=host,
            inference_port=whole("DERMSERVE_INFERENCE_PORT", highest=HIGHEST_PORT),
            management_port=whole("DERMSERVE_MANAGEMENT_PORT", highest=HIGHEST_PORT),
            metrics_port=whole("DERMSERVE_METRICS_PORT", highest=HIGHEST_PORT),
            gateway_host=environment.get("DERMSERVE_GATEWAY_HOST", MEANINGS["DERMSERVE_GATEWAY_HOST"][0]),
            gateway_port=whole(mine, highest=HIGHEST_PORT),
            gateway_port_variable=mine,
            workers=workers,
            threads=whole("DERMSERVE_THREADS", max(1, usable // workers), most),
            start_seconds=float(whole("DERMSERVE_START_SECONDS")),
        )
        if wrong:
            raise BadSetting("\n".join(wrong))
        return settings

    def ports(self, gateway: bool) -> dict[str, int]:
        """Every port by its variable; raises BadSetting where two are the same."""
        ports = {
            "DERMSERVE_INFERENCE_PORT": self.inference_port,
            "DERMSERVE_MANAGEMENT_PORT": self.management_port,
            "DERMSERVE_METRICS_PORT": self.metrics_port,
        }
        if gateway:
            ports[self.gateway_port_variable] = self.gateway_port
        wrong = []
        for port in sorted(set(ports.values())):
            names = [name for name, other in ports.items() if other == port]
            if len(names) > 1:
                wrong.append(f"{' and '.join(names)} are the same port, {port}: each needs one of its own")
        if wrong:
            raise BadSetting("\n".join(wrong))
        return ports

    @property
    def archive(self) -> Path:
        return self.model_store / "lesion.mar"

    @property
    def inference_url(self) -> str:
        return f"http://127.0.0.1:{self.inference_port}"

    @property
    def management_url(self) -> str:
        return f"http://127.0.0.1:{self.management_port}"

    @property
    def metrics_url(self) -> str:
        return f"http://127.0.0.1:{self.metrics_port}"

    @property
    def gateway_url(self) -> str:
        return gateway.url(self.gateway_host, self.gateway_port)


def describe() -> str:
    """Every variable, its default and what it does, as text."""
    return "\n".join(f"  {name:26} {default:24} {meaning}" for name, (default, meaning) in MEANINGS.items())
