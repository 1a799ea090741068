"""Steady load on the gateway, counted on the client's side: python k8s/proof/load.py --seconds 60 --rate 20.

Requests start on a clock, whether or not earlier ones have been answered, so a stall shows up as latency and failures
instead of as fewer requests. Half of them come over kept connections, half open a new one each. Nothing is retried.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import Counter
from pathlib import Path

import aiohttp

IMAGE = Path(__file__).resolve().parents[2] / "gateway" / "golden.jpg"


class Tally:
    """What became of each request."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.models: Counter[str] = Counter()
        self.seconds: list[float] = []
        self.failures: list[str] = []

    def report(self) -> dict[str, object]:
        """Counts and percentiles, ready to print."""
        ordered = sorted(self.seconds)
        share = {
            f"p{p}_ms": round(1000 * ordered[min(len(ordered) - 1, len(ordered) * p // 100)]) for p in (50, 95, 99)
        }
        failed = sum(count for outcome, count in self.outcomes.items() if outcome != "200")
        return {
            "requests": self.outcomes.total(),
            "failed": failed,
            "outcomes": dict(self.outcomes),
            "models": dict(self.models),
            **(share if ordered else {}),
            "max_ms": round(1000 * max(ordered, default=0)),
            "failures": self.failures[:20],
        }


async def ask(session: aiohttp.ClientSession, url: str, body: bytes, tally: Tally, began: float) -> None:
    """One prediction, counted by its status or by the exception that it ended in."""
    start = time.monotonic()
    try:
        async with session.post(f"{url}/v1/predict", data=body) as answer:
            text = await answer.text()
            outcome = str(answer.status)
            if answer.status == 200:
                model = (json.loads(text).get("results") or [json.loads(text)])[0]["model"]
                tally.models[f"{model['version']} {str(model['sha256'])[:8]}"] += 1
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        outcome, text = type(error).__name__, str(error)
    tally.outcomes[outcome] += 1
    tally.seconds.append(time.monotonic() - start)
    if outcome != "200":
        tally.failures.append(f"{start - began:.1f}s after {time.monotonic() - start:.2f}s: {outcome} {text[:160]}")


async def load(url: str, seconds: float, rate: float) -> Tally:
    """`rate` requests a second for `seconds`, and the wait for the last answers."""
    tally, body, began = Tally(), IMAGE.read_bytes(), time.monotonic()
    timeout = aiohttp.ClientTimeout(total=30)
    headers = {"content-type": "application/octet-stream"}
    async with (
        aiohttp.ClientSession(timeout=timeout, headers=headers) as kept,
        aiohttp.ClientSession(
            timeout=timeout, headers=headers, connector=aiohttp.TCPConnector(force_close=True, limit=0)
        ) as fresh,
        asyncio.TaskGroup() as tasks,
    ):
        for number in range(round(seconds * rate)):
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            tasks.create_task(ask((kept, fresh)[number % 2], url, body, tally, began))
    return tally


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:30800")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=20)
    arguments = parser.parse_args()
    print(json.dumps(asyncio.run(load(arguments.url, arguments.seconds, arguments.rate)).report(), indent=1))
