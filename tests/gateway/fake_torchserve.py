"""A TorchServe made of switches: speaks the wire, and can be busy, slow, dying, without workers or gone."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

from aiohttp import web

from stack.probe import free_ports

NOTICE = "Research use only. Not a medical device."
LEGEND = "Red marks what raised the score. No medical finding."
SHA256 = "ab" * 32
MANIFEST = {
    "schema_version": 1,
    "name": "lesion",
    "version": "1.0",
    "sha256": SHA256,
    "architecture": "resnet18",
    "reference_scores": {"edges": [0.0, 0.1, 0.5, 1.0], "counts": [80, 15, 5]},
    "notice": NOTICE,
}
NO_WORKER = (
    'Model "lesion" has no worker to serve inference request. Please use scale workers API to add workers. '
    "If this is a sequence inference, please check if it is closed, or expired; or exceeds maxSequenceJobQueueSize"
)


def prediction(score: float | None) -> dict[str, Any]:
    """An answer of the handler."""
    label = "abstain" if score is None else "malignant" if score >= 0.11 else "benign"
    return {
        "label": label,
        "probability": score,
        "threshold": 0.11,
        "sensitivity": 0.95,
        "reasons": [] if score is not None else ["blurred"],
        "quality": {"sharpness": 0.8, "exposure": 0.9, "familiarity": 0.7},
        "model": {"name": "lesion", "version": "1.0", "sha256": SHA256},
        "notice": NOTICE,
    }


class FakeTorchServe:
    """Runs in a thread of its own. An "image" is b"IMAGE" with an optional score and features:
    b"IMAGE 0.3 1,0,0"; b"IMAGE abstain" abstains; b"TRUNCATED" is refused; anything else is not an image."""

    def __init__(self) -> None:
        self.inference_port, self.management_port = free_ports(2)
        self.workers = ["READY", "READY"]
        self.starts = 0
        self.pids: dict[int, int] = {}  # of workers that are not those of the start
        self.pending, self.remaining = 0, 100
        self.queue_full = False
        self.queue_full_after: int | None = None  # so many predictions in all, then the queue is full
        self.deaths = 0  # that many of the next predictions end in a dead worker
        self.death_status = 500
        self.hang_ups = 0  # that many of the next predictions end in a closed connection
        self.delay = 0.0
        self.heatmap = "data:image/png;base64,iVBORw0KGgo="
        self.fail: tuple[int, dict[str, Any]] | None = None
        self.hold: threading.Event | None = None
        self.management_hangs = False
        self.describes_itself = True
        self.started = 0
        self.finished = 0
        self.abandoned = 0
        self.most_at_once = self._at_once = 0
        self.descriptions = 0
        self.request_ids: list[str | None] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._runners: list[web.AppRunner] = []
        self.start()

    @property
    def inference_url(self) -> str:
        return f"http://127.0.0.1:{self.inference_port}"

    @property
    def management_url(self) -> str:
        return f"http://127.0.0.1:{self.management_port}"

    def environment(self, port: int) -> dict[str, str]:
        """What a gateway that runs as a process needs to listen there and ask this."""
        return {
            "PORT": str(port),
            "DERMSERVE_INFERENCE_URL": self.inference_url,
            "DERMSERVE_MANAGEMENT_URL": self.management_url,
            "DERMSERVE_POLL_INTERVAL_S": "0.05",
        }

    def start(self) -> None:
        self.starts += 1
        self.pids = {}
        self._do(self._start())

    def stop(self) -> None:
        """As a killed TorchServe: both ports refuse connections."""
        self._do(self._stop())

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _start(self) -> None:
        inference = web.Application(client_max_size=2**26)
        inference.router.add_post("/predictions/lesion", self._predict)
        inference.router.add_post("/explanations/lesion", self._predict)
        management = web.Application()
        management.router.add_get("/models/lesion", self._describe)
        for app, port in ((inference, self.inference_port), (management, self.management_port)):
            runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
            self._runners.append(runner)

    async def _stop(self) -> None:
        while self._runners:
            await self._runners.pop().cleanup()

    async def _predict(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            return await self._serve(request, body)
        finally:
            self._at_once -= 1

    async def _serve(self, request: web.Request, body: bytes) -> web.StreamResponse:
        self.started += 1
        self.request_ids.append(request.headers.get("x-request-id"))
        try:
            await asyncio.sleep(self.delay)
            while self.hold and not self.hold.is_set():
                await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            self.abandoned += 1
            raise
        if self.hang_ups:
            self.hang_ups -= 1
            assert request.transport
            request.transport.close()
            return web.Response()
        if self.deaths:
            self.deaths -= 1
            return _error(self.death_status, "InternalServerException", "Worker died.")
        full = self.queue_full_after is not None and self.started > self.queue_full_after
        if self.queue_full or full or not self.workers:
            return _error(503, "ServiceUnavailableException", NO_WORKER)
        if self.fail:
            return web.json_response(self.fail[1], status=self.fail[0])
        self.finished += 1
        return self._answer(body, explain="explanations" in request.path)

    def _answer(self, body: bytes, *, explain: bool) -> web.Response:
        if body.startswith(b"TRUNCATED"):
            error = {"reason": "truncated_image", "message": "The file ends early. Copy it again."}
            return web.json_response({"error": error}, status=422)
        if not body.startswith((b"IMAGE", b"\xff\xd8")):
            error = {"reason": "not_an_image", "message": "This is no image. Send a JPEG or PNG."}
            return web.json_response({"error": error}, status=415)
        words = body.decode().split() if body.startswith(b"IMAGE") else ["IMAGE"]
        score = None if "abstain" in words else float(words[1]) if len(words) > 1 else 0.031
        answer = prediction(score)
        if explain:
            answer["heatmap"], answer["legend"] = self.heatmap, LEGEND
            answer["features"] = [float(x) for x in words[2].split(",")] if len(words) > 2 else [1.0, 0.0, 0.0]
        return web.json_response(answer)

    def _worker(self, i: int, status: str) -> dict[str, Any]:
        pid = self.pids.get(i, 100 * self.starts + i)
        return {"id": str(9000 + i), "startTime": f"start {self.starts}", "status": status, "pid": pid}

    async def _describe(self, request: web.Request) -> web.Response:
        while self.management_hangs:
            await asyncio.sleep(0.005)
        model: dict[str, Any] = {
            "modelName": "lesion",
            "modelVersion": "1.0",
            "workers": [self._worker(i, status) for i, status in enumerate(self.workers)],
            "jobQueueStatus": {"pendingRequests": self.pending, "remainingCapacity": self.remaining},
        }
        if request.query.get("customized") == "true" and self.describes_itself:
            self.descriptions += 1
            model["customizedMetadata"] = {"manifest": MANIFEST, "card": "# Lesion\n\nA model card."}
        return web.Response(text=json.dumps([model]), content_type="application/json")


def _error(code: int, kind: str, message: str) -> web.Response:
    return web.json_response({"code": code, "type": kind, "message": message}, status=code)
