"""preStop of the gateway: ask it to drain, and return when the last request in flight has been answered."""

from __future__ import annotations

import http.client
import os
import sys
import urllib.request

# Longer than the gateway's own delay and deadline together, shorter than the pod's grace period.
PATIENCE_S = 45.0
# Past a proxy of the environment, which is not meant for this machine.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def drain(port: int, patience_s: float = PATIENCE_S) -> str:
    """Ask, wait, and say how it went; a gateway that is already gone has nothing left to drain."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/drain", method="POST")
    try:
        with DIRECT.open(request, timeout=patience_s) as answer:
            return f"drained: {answer.read().decode()}"
    except (OSError, http.client.HTTPException) as reason:
        return f"not drained: {reason}"


if __name__ == "__main__":
    from first_process import await_handler, tell

    outcome = drain(int(os.environ.get("PORT", "8000")))
    await_handler()
    tell(outcome)
    sys.exit(0 if outcome.startswith("drained") else 1)
