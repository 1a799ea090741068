"""What the smoke test does inside the cluster: as a client, or as an outsider whom the network policies shut out."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

GOLDEN = Path("gateway/golden.jpg")
PATIENCE_S = 15.0
# Past a proxy of the environment: what is asked is in this cluster.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(url: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Status and body, also of a refusal."""
    request = urllib.request.Request(url, data=body, method="POST" if body is not None else "GET")
    request.add_header("content-type", "application/octet-stream")
    if key := os.environ.get("API_KEY"):
        request.add_header("authorization", f"Bearer {key}")
    try:
        with DIRECT.open(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read()


def expect(what: str, truth: bool, seen: object) -> bool:
    """Say how one expectation fared."""
    print(f"{'ok  ' if truth else 'FAIL'} {what}: {seen}", flush=True)
    return truth


def client(address: str) -> bool:
    """Everything that a client of the Service is promised."""
    base = f"http://{address}"
    status, body = ask(f"{base}/v1/predict", GOLDEN.read_bytes())
    answer = json.loads(body) if status == 200 else {}
    results = answer.get("results") or [answer]
    label, notice = results[0].get("label"), results[0].get("notice") or answer.get("notice")
    held = [
        expect("the Service predicts", label in ("malignant", "benign", "abstain"), f"{status} {label}"),
        expect("the answer carries the notice", bool(notice), notice),
    ]
    status, body = ask(f"{base}/v1/predict", b"not an image")
    reason = json.loads(body).get("reason")
    held.append(
        expect("a file that is no image is refused", (status, reason) == (415, "not_an_image"), f"{status} {reason}")
    )
    status, body = ask(f"{base}/v1/model")
    held.append(expect("the model describes itself", status == 200, status))
    status, body = ask(f"{base}/metrics")
    held.append(expect("metrics are there", b"gateway_requests_total" in body, f"{status}, {len(body)} bytes"))
    status, body = ask(f"{base}/drain", b"")
    held.append(expect("nobody outside the pod can drain it", status == 403, status))
    return all(held)


def reachable(address: str) -> bool:
    """Whether a TCP connection opens."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=2):
            return True
    except OSError:
        return False


def denied(address: str) -> bool:
    """Not reachable, three times in a row; a new pod may be open until its policies have reached the node."""
    deadline = time.monotonic() + PATIENCE_S
    refusals = 0
    while refusals < 3 and time.monotonic() < deadline:
        refusals = 0 if reachable(address) else refusals + 1
        time.sleep(0.5)
    return expect(f"{address} does not answer", refusals >= 3, "shut" if refusals >= 3 else "open")


if __name__ == "__main__":
    role, *addresses = sys.argv[1:]
    held = [client(addresses[0])] if role == "client" else []
    held += [denied(address) for address in (addresses[1:] if role == "client" else addresses)]
    sys.exit(0 if all(held) else 1)
