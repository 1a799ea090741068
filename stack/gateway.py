"""What `make serve` knows of the gateway: its address, what of its settings cannot come true, why it is not ready."""

from __future__ import annotations

import asyncio
import json
import urllib.error
from collections.abc import Mapping

from stack import probe
from stack.problem import BadSetting

MODEL = "lesion"
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
CURES = {
    "not_draining": "it was told to drain, by a POST to /drain: end whatever sends that",
    "management_answers": "TorchServe's management address does not tell of the model; its lines above say why",
    "workers_ready": "fewer workers are READY than DERMSERVE_MIN_READY_WORKERS: lower it, or raise DERMSERVE_WORKERS",
    "golden_prediction": "its own image gets no prediction: unset DERMSERVE_GOLDEN_IMAGE, or read its lines above",
    "model_known": "the model does not describe itself; its lines above say why",
}
"""By the names of /readyz, each of which fails too where one before it does."""


def url(host: str, port: int) -> str:
    """Where a gateway that listens on this host is reached from here."""
    here = EVERYWHERE.get(host, host)
    return f"http://{f'[{here}]' if ':' in here else here}:{port}"


def require_possible(environment: Mapping[str, str], workers: int) -> None:
    """Raises BadSetting for what would never be ready with this model and so many workers."""
    wrong = []
    name, least = environment.get("DERMSERVE_MODEL_NAME"), environment.get("DERMSERVE_MIN_READY_WORKERS", "")
    if name is not None and name != MODEL:
        wrong.append(f"DERMSERVE_MODEL_NAME={name!r}: the model is served as {MODEL}; unset it")
    if least.isdecimal() and int(least) > workers:
        wrong.append(
            f"DERMSERVE_MIN_READY_WORKERS={least} is more than the number of workers, {workers}: lower it, or raise "
            "DERMSERVE_WORKERS"
        )
    if wrong:
        raise BadSetting("\n".join(wrong))


async def why_not_ready(address: str) -> str:
    """The first check that fails, and its cure, in one line."""
    try:
        await asyncio.to_thread(probe.ask, f"{address}/readyz", None)
    except urllib.error.HTTPError as error:
        with error:
            checks = json.loads(error.read()).get("checks", {})
        for name, cure in CURES.items():
            if not checks.get(name, True):
                return f"its check {name} fails: {cure}"
        return f"{address}/readyz answers {error.code}"
    except OSError as error:
        return f"nobody answers at {address}: {error}"
    return "it has become ready just now: give it longer"
