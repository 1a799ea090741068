"""Every setting of the stack, from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stack import cores, properties
from stack.problem import BadSetting

ROOT = Path(__file__).resolve().parents[1]
MOST_WORKERS = 4


@dataclass(frozen=True)
class Settings:
    """Where things are, where they listen, and how many cores they use."""

    config: Path
    model_store: Path
    inference_port: int = 8080
    management_port: int = 8081
    metrics_port: int = 8082
    gateway_port: int = 8000
    workers: int = 2
    threads: int = 1
    start_seconds: float = 60.0

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """The environment's settings, checked; raises BadSetting with the variable's name."""
        config = Path(environment.get("DERMSERVE_CONFIG", ROOT / "config.properties")).resolve()
        if not config.is_file():
            raise BadSetting(f"{config} is missing: set DERMSERVE_CONFIG to TorchServe's config.properties")
        store = environment.get("DERMSERVE_MODEL_STORE") or properties.read(config).get("model_store", "model_store")
        usable = cores.available()
        workers = _whole(environment, "DERMSERVE_WORKERS", min(usable, MOST_WORKERS))
        return cls(
            config=config,
            model_store=(config.parent / store).resolve(),
            inference_port=_whole(environment, "DERMSERVE_INFERENCE_PORT", 8080),
            management_port=_whole(environment, "DERMSERVE_MANAGEMENT_PORT", 8081),
            metrics_port=_whole(environment, "DERMSERVE_METRICS_PORT", 8082),
            gateway_port=_whole(environment, "PORT", 8000),
            workers=workers,
            threads=_whole(environment, "DERMSERVE_THREADS", max(1, usable // workers)),
            start_seconds=float(_whole(environment, "DERMSERVE_START_SECONDS", 60)),
        )

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
        return f"http://127.0.0.1:{self.gateway_port}"


def _whole(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise BadSetting(f"{name}={text!r} is not a positive whole number")
    return int(text)
