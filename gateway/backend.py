"""Asks TorchServe, and turns its answers, refusals and failures into ours."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any, Literal, Protocol

from gateway.metrics import Metrics
from gateway.outage import Outage
from gateway.problems import REFUSALS, Problem, busy
from gateway.settings import Settings
from gateway.upload import Upload
from gateway.upstream import Answer, Lost, Pool, Refused

log = logging.getLogger("gateway.backend")
Task = Literal["predictions", "explanations"]
WRAPPINGS = {"gzip": (b"\x1f\x8b",), "JSON": (b"{", b"["), "base64": (b"/9j/", b"iVBORw0KGgo", b"data:")}
DIED = b"Worker died"
DIED_WITH = (500, 507)  # the jobs of a killed worker are answered with the one or the other
# TorchServe says the same of a worker that it has killed since an image kept it busy for too long (20 s): asked again,
# that image would cost the next worker.
EARLY = 1 / 3
# Longer than an honest image takes where none wait, and early enough to ask again.
FORGOTTEN_S = 3.0


class Workforce(Protocol):
    """Who knows how many workers are READY at this moment."""

    async def workers_ready_now(self) -> int: ...


class Backend:
    """One pool of connections to TorchServe's inference and management addresses."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._inference = Pool(settings.inference_url)
        self._management = Pool(settings.management_url)
        self._refusing = Outage(log, f"TorchServe's inference address {settings.inference_url}")
        self.workforce: Workforce | None = None

    def close(self) -> None:
        self._inference.close()
        self._management.close()

    async def ask(self, task: Task, image: Upload, request_id: str) -> bytes:
        """TorchServe's JSON for one image, as it came; a prediction lost early is asked for once more."""
        answer = await self._ask_twice(f"/{task}/{self._settings.model_name}", image, request_id)
        if answer.status == 200:
            return answer.body
        problem = await self._failure(answer)
        if problem.reason == "not_an_image" and (wrapping := _wrapping(image.content)):
            raise Problem(
                "not_an_image", f"This is {wrapping}. Send the image's plain bytes, raw or as the field `file`."
            )
        raise problem

    def worker_was_replaced(self, seen_at: float) -> None:
        """TorchServe, its queue empty, may have lost what the dead worker was at; it then never answers. What was asked
        since, a second time perhaps, is in other hands."""
        self._inference.give_up(min(seen_at, time.monotonic() - FORGOTTEN_S))

    async def _ask_twice(self, path: str, image: Upload, request_id: str) -> Answer:
        loop = asyncio.get_running_loop()
        began = loop.time()
        end = began + self._settings.backend_timeout_s
        for attempt in (1, 2):
            try:
                answer = await self._inference.post(path, image, request_id, end - loop.time())
            except TimeoutError:
                raise _too_late(self._settings.backend_timeout_s) from None
            except Refused as error:
                self._refusing.met(error)
                raise self._unavailable("It does not accept connections.") from None
            except Lost:
                cause = "connection_lost"
            else:
                self._refusing.over()
                if answer.status not in DIED_WITH or DIED not in answer.body:
                    return answer
                cause = "worker_died"
            fields = {"request_id": request_id, "cause": cause, "attempt": attempt}
            log.warning("a prediction was lost: %s", cause, extra={"fields": fields})
            waited = loop.time() - began
            if waited > EARLY * self._settings.backend_timeout_s:
                raise _too_late(waited)
            if attempt == 1:
                self._metrics.retries.labels(cause).inc()
        raise self._unavailable("Its workers are restarting.")

    async def _failure(self, answer: Answer) -> Problem:
        status, error = answer.status, _error(answer.body)
        if error.get("reason") in REFUSALS:
            return Problem(error["reason"], error.get("message"), status=status)
        message = str(error.get("message", ""))
        if status == 413:
            return Problem("too_large", "The model server takes no image of this size. Send a smaller file.")
        if status == 503 and "no worker" in message:
            # The same words for a full queue and for a missing worker: only the management API can tell.
            if self.workforce and await self.workforce.workers_ready_now():
                return busy("queue", "The model server's queue is full.", self._settings.retry_after_s)
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

    async def model(self, *, customized: bool = False, seconds: float = 3.0) -> dict[str, Any]:
        """The management API's description of the model; raises OSError, TimeoutError or ValueError."""
        path = f"/models/{self._settings.model_name}" + ("?customized=true" if customized else "")
        answer = await self._management.get(path, seconds)
        document = json.loads(answer.body)
        if answer.status != 200 or not isinstance(document, list) or not document:
            named = f"the model that DERMSERVE_MODEL_NAME={self._settings.model_name} names"
            raise ValueError(f"the management API answered {answer.status} instead of {named}")
        return dict(document[0])


def _too_late(seconds: float) -> Problem:
    return Problem("backend_timeout", f"The model server gave no answer in {seconds:.3g} s. Try again later.")


def _wrapping(content: bytes) -> str | None:
    """What somebody has put an image into, in the belief that an API wants it so."""
    return next((name for name, beginnings in WRAPPINGS.items() if content.startswith(beginnings)), None)


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
