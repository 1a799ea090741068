"""Asks TorchServe, and turns its answers, refusals and failures into ours."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Literal, Protocol

import aiohttp

from gateway.metrics import Metrics
from gateway.problems import REFUSALS, Problem
from gateway.settings import Settings
from gateway.uploads import busy

Task = Literal["predictions", "explanations"]
DIED = b"Worker died"
LOST = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientPayloadError, ConnectionError)


class Workforce(Protocol):
    """Who knows how many workers are READY at this moment."""

    async def workers_ready_now(self) -> int: ...


class Backend:
    """One pool of connections to TorchServe's inference and management addresses."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._session: aiohttp.ClientSession | None = None
        self._model = f"{settings.management_url}/models/{settings.model_name}"
        self.workforce: Workforce | None = None

    async def open(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
        )

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    async def ask(self, task: Task, image: bytes, request_id: str) -> bytes:
        """TorchServe's JSON for one image, as it came; a prediction lost on the way is asked for once more."""
        try:
            async with asyncio.timeout(self._settings.backend_timeout_s):
                status, body = await self._ask_twice(task, image, request_id)
        except TimeoutError:
            waited = f"{self._settings.backend_timeout_s:g} s"
            raise Problem("backend_timeout", f"The model server gave no answer in {waited}. Try again later.") from None
        if status == 200:
            return body
        raise await self._failure(status, body)

    async def _ask_twice(self, task: Task, image: bytes, request_id: str) -> tuple[int, bytes]:
        for attempt in (1, 2):
            try:
                status, body = await self._post(task, image, request_id)
            except aiohttp.ClientConnectorError:
                raise self._unavailable("It does not accept connections.") from None
            except LOST:
                cause = "connection_lost"
            else:
                if status != 500 or DIED not in body:
                    return status, body
                cause = "worker_died"
            if attempt == 1:
                self._metrics.retries.labels(cause).inc()
        raise self._unavailable("Its workers are restarting.")

    async def _post(self, task: Task, image: bytes, request_id: str) -> tuple[int, bytes]:
        assert self._session
        url = f"{self._settings.inference_url}/{task}/{self._settings.model_name}"
        headers = {"content-type": "application/octet-stream", "x-request-id": request_id}
        async with self._session.post(url, data=image, headers=headers) as answer:
            return answer.status, await answer.read()

    async def _failure(self, status: int, body: bytes) -> Problem:
        error = _error(body)
        if error.get("reason") in REFUSALS:
            return Problem(error["reason"], error.get("message"), status=status)
        message = str(error.get("message", ""))
        if status == 413:
            return Problem("too_large", "The model server takes no image of this size. Send a smaller file.")
        if status == 503 and "no worker" in message:
            # The same words for a full queue and for a missing worker: only the management API can tell.
            if self.workforce and await self.workforce.workers_ready_now():
                return busy(self._settings, "The model server's queue is full.")
            return self._unavailable("It has no worker at the moment.")
        if status == 404:
            return self._unavailable("The model is not loaded.")
        return Problem("prediction_failed", f"The model server answered {status}: {message[:200] or 'no reason given'}")

    def _unavailable(self, why: str) -> Problem:
        return Problem(
            "backend_unavailable",
            f"The model server is not available. {why} Try again in a few seconds.",
            headers={"retry-after": str(max(2, self._settings.retry_after_s))},
        )

    async def model(self, *, customized: bool = False, timeout: float = 3.0) -> dict[str, Any]:
        """The management API's description of the model; raises OSError, TimeoutError or ValueError."""
        assert self._session
        query = {"customized": "true"} if customized else {}
        try:
            async with asyncio.timeout(timeout), self._session.get(self._model, params=query) as answer:
                document = json.loads(await answer.read())
        except aiohttp.ClientError as error:
            raise OSError(str(error)) from None
        if answer.status != 200 or not isinstance(document, list) or not document:
            raise ValueError(f"the management API answered {answer.status} instead of the model")
        return dict(document[0])


def _error(body: bytes) -> dict[str, Any]:
    """The inner part of the handler's errors, or TorchServe's own error."""
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    if not isinstance(document, dict):
        return {}
    inner = document.get("error")
    return inner if isinstance(inner, dict) else document
