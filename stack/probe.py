"""Questions that tell whether the stack works: free ports, ready workers, a real prediction."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import http.client
import json
import random
import socket
import urllib.request
from collections.abc import Mapping
from typing import Any

from stack.problem import NotReady, PortTaken

# Below what Linux and other systems take for outgoing connections (from 32768 or 49152), and Kubernetes' NodePorts.
QUIET_PORTS = range(16384, 30000)
PAUSE = 0.1
LONGEST_PAUSE = 2.0


def require_free(ports: Mapping[str, int]) -> None:
    """Raises PortTaken with a line for each port that somebody listens on, and the variable that it is set with."""
    taken = []
    for variable, port in ports.items():
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))
            except OSError as error:
                in_use = error.errno == errno.EADDRINUSE
                why = "is taken (another make serve?)" if in_use else f"cannot be used: {error}"
                taken.append(f"port {port} {why}: stop its owner, or set {variable} to another port")
    if taken:
        raise PortTaken("\n".join(taken))


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on. The kernel gives them to no outgoing connection before somebody does."""
    ports: list[int] = []
    for port in random.SystemRandom().sample(QUIET_PORTS, len(QUIET_PORTS)):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            ports.append(port)
        if len(ports) == count:
            break
    return ports


async def model(management_url: str) -> dict[str, Any]:
    """What TorchServe says of the model; an OSError while it does not answer."""
    [told] = json.loads(await asyncio.to_thread(ask, f"{management_url}/models/lesion", None))
    return dict(told)


async def workers_ready(management_url: str, count: int) -> None:
    """Returns once so many workers are ready."""
    while True:
        try:
            workers = (await model(management_url)).get("workers", [])
            if sum(worker["status"] == "READY" for worker in workers) >= count:
                return
        except (OSError, ValueError):
            pass
        await asyncio.sleep(PAUSE)


async def predict(inference_url: str, image: bytes) -> dict[str, Any]:
    """A real prediction; raises NotReady if the answer is an error."""
    try:
        answer = json.loads(await asyncio.to_thread(ask, f"{inference_url}/predictions/lesion", image))
    except (OSError, ValueError) as error:
        raise NotReady(f"the golden image of the archive gets no prediction: {error}") from None
    return dict(answer)


async def answers(url: str) -> None:
    """Returns once a GET is answered with 200; asks ever less often, since each refusal is a line in somebody's log."""
    pause = PAUSE
    while True:
        try:
            await asyncio.to_thread(ask, url, None)
            return
        except OSError:
            await asyncio.sleep(pause)
            pause = min(1.2 * pause, LONGEST_PAUSE)


async def idle(management_url: str) -> None:
    """Returns once TorchServe's queue has been empty for three looks, or TorchServe does not answer any more."""
    empty = 0
    while empty < 3:
        try:
            waiting = (await model(management_url))["jobQueueStatus"]["pendingRequests"]
        except (OSError, ValueError, KeyError):
            return
        empty = 0 if waiting else empty + 1
        await asyncio.sleep(PAUSE)


def ask(url: str, body: bytes | None) -> bytes:
    """The body of a 200; an OSError for any other answer, and for none."""
    headers = {"Content-Type": "application/octet-stream"}
    request = urllib.request.Request(url, data=body, headers=headers)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            told: bytes = answer.read()
            return told
    except http.client.HTTPException as error:  # cut short, or no HTTP
        raise ConnectionError(repr(error)) from None
