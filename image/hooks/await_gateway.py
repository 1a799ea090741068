"""preStop of TorchServe: when the pod ends, hold SIGTERM back until the gateway has drained and gone.

Kubernetes runs this hook too when it restarts TorchServe alone. The gateway is not draining then, and there is nothing
to wait for.
"""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

POLL_S = 0.2
# Both hooks start in the same moment, but each is a Python of its own in a container of its own: on a starved node the
# gateway's may begin to drain seconds later.
NOTICE_S = 10.0
# Later than the gateway's delay and its two deadlines (8 + 20 + 20 s), and early enough for TorchServe's own end.
PATIENCE_S = 52.0
# The pod's, since its containers share one network.
SOCKETS = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
ESTABLISHED = "01"
# Past a proxy of the environment, which is not meant for this machine.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def state(port: int) -> str:
    """`serving`, `draining`, `silent` (too busy to say) or `shut` (nobody listens), as the gateway's /readyz says."""
    try:
        with DIRECT.open(f"http://127.0.0.1:{port}/readyz", timeout=2):
            return "serving"
    except urllib.error.HTTPError as answer:
        return "draining" if _draining(answer) else "serving"
    except (OSError, http.client.HTTPException) as error:
        refused = isinstance(getattr(error, "reason", error), ConnectionRefusedError)
        return "shut" if refused else "silent"


def _draining(answer: urllib.error.HTTPError) -> bool:
    try:
        return json.load(answer)["checks"]["not_draining"] is False
    except (ValueError, LookupError, TypeError, OSError, http.client.HTTPException):
        return False


def connections(port: int) -> int:
    """How many are connected to a port of this pod: the gateway keeps its connections until its last answer is out."""
    return sum(local == port and status == ESTABLISHED for local, status in _sockets())


def _sockets() -> Iterator[tuple[int, str]]:
    for table in SOCKETS:
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            _, local, _, status, *_ = line.split()
            yield int(local.rpartition(":")[2], 16), status


def await_gateway(
    port: int, still_asked: Callable[[], int], notice_s: float = NOTICE_S, patience_s: float = PATIENCE_S
) -> str:
    """Return the last state seen: `gone`, or `serving` if no drain began in time, or whatever patience ended in."""
    began = time.monotonic()
    while True:
        now = state(port)
        if now == "shut" and not still_asked():
            now = "gone"
        waited = time.monotonic() - began
        if now == "gone" or waited > patience_s or (now == "serving" and waited > notice_s):
            return now
        time.sleep(POLL_S)


def await_this_gateway() -> str:
    """Wait for the gateway of this pod, and say how it went."""
    began = time.monotonic()
    inference = int(os.environ.get("DERMSERVE_INFERENCE_PORT", "8080"))
    seen = await_gateway(int(os.environ.get("PORT", "8000")), lambda: connections(inference))
    return f"the gateway is {seen} after {time.monotonic() - began:.1f} s"


if __name__ == "__main__":
    from first_process import await_handler, tell

    outcome = await_this_gateway()
    await_handler()
    tell(f"{outcome}: TorchServe may end")
