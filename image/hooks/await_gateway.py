"""preStop of TorchServe: when the pod ends, hold SIGTERM back until the gateway has drained and gone.

Kubernetes runs this hook too when it restarts TorchServe alone. The gateway is not draining then, and there is nothing
to wait for.
"""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request

POLL_S = 0.2
# Both hooks start in the same moment: this long the gateway may take to begin draining.
NOTICE_S = 2.0
PATIENCE_S = 50.0


def state(port: int) -> str:
    """`gone`, `draining` or `serving`, as the gateway's /readyz says."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
            return "serving"
    except urllib.error.HTTPError as answer:
        checks = json.loads(answer.read()).get("checks", {})
        return "serving" if checks.get("not_draining", True) else "draining"
    except (OSError, ValueError):
        return "gone"


def await_gateway(port: int, notice_s: float = NOTICE_S, patience_s: float = PATIENCE_S) -> str:
    """Return once the gateway is gone, or has shown that it is not draining; the last state that was seen."""
    began = time.monotonic()
    while True:
        now = state(port)
        waited = time.monotonic() - began
        if now == "gone" or waited > patience_s or (now == "serving" and waited > notice_s):
            return now
        time.sleep(POLL_S)


if __name__ == "__main__":
    from log import tell

    began = time.monotonic()
    seen = await_gateway(int(os.environ.get("PORT", "8000")))
    tell(f"the gateway is {seen} after {time.monotonic() - began:.1f} s: TorchServe may end")
