"""The endpoints under /v1: images in, the model server's answers out."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive

from gateway.backend import Backend, Task
from gateway.comparison import Lesion, compare
from gateway.health import Health
from gateway.intake import ClientGone, Intake
from gateway.keys import Keys
from gateway.problems import Problem, busy
from gateway.settings import Settings
from gateway.traffic import Traffic
from gateway.upload import Body, Upload
from gateway.uploads import receive

T = TypeVar("T")
Json = dict[str, Any]
FRESH = {"cache-control": "no-store"}
WATCH_AFTER_S = 0.5
# The sooner asking again helps, the earlier: a form that fails for several of these is told of the first.
SERVERS_FAULT = ("busy", "backend_unavailable", "backend_timeout", "prediction_failed")


class Api:
    """One instance an application; every method is an endpoint."""

    def __init__(self, settings: Settings, backend: Backend, health: Health, traffic: Traffic, keys: Keys) -> None:
        self._settings = settings
        self._backend = backend
        self._health = health
        self._traffic = traffic
        self._intake = Intake(settings, traffic)
        self._keys = keys

    def routes(self) -> list[Route]:
        return [
            Route("/v1/predict", self.predict, methods=["POST"]),
            Route("/v1/explain", self.explain, methods=["POST"]),
            Route("/v1/compare", self.compare, methods=["POST"]),
            Route("/v1/model", self.model, methods=["GET"]),
        ]

    async def predict(self, request: Request) -> Response:
        return await self._one_or_many(request, "predictions")

    async def explain(self, request: Request) -> Response:
        return await self._one_or_many(request, "explanations")

    async def compare(self, request: Request) -> Response:
        async with self._images(request) as body:
            uploads = body.uploads
            if len(uploads) < 2:
                raise Problem(
                    "too_few_files",
                    "One file arrived. Send two or more images of the same patient, each in a field `file`.",
                )
            firsts = _first_copies(uploads)
            once = sorted(set(firsts))
            asked = self._ask_all("explanations", [uploads[index] for index in once], body, request)
            answers = dict(zip(once, await _unless_gone(request.receive, asked), strict=True))
            _settle([answers[first] for first in firsts], request)
        return _json(comparison(uploads, firsts, answers, request))

    async def model(self, request: Request) -> Response:
        self._admit(request, self._keys.recognise)
        if not self._health.description:
            raise Problem(
                "backend_unavailable",
                "The model is not known yet. Try again in a few seconds.",
                headers={"retry-after": "2"},
            )
        return _answer(self._health.description)

    async def _one_or_many(self, request: Request, task: Task) -> Response:
        async with self._images(request) as body:
            if len(body.uploads) > 1:
                answers = await _unless_gone(request.receive, self._ask_all(task, body.uploads, body, request))
                _settle(answers, request)
                pairs = zip(body.uploads, answers, strict=True)
                return _json({"results": [_without_features(_named(*pair, request)) for pair in pairs]})
            upload = body.uploads[0]
            if upload.problem:
                raise upload.problem
            answer = await _unless_gone(request.receive, self._ask(task, upload, body, request))
        if task == "explanations":
            return _json(_without_features(json.loads(answer)))
        return _answer(answer)

    def _admit(self, request: Request, door: Callable[[str | None, str | None], str | None]) -> str | None:
        name = door(request.headers.get("authorization"), request.headers.get("x-api-key"))
        if name:
            request.state.note["key"] = name
        return name

    @asynccontextmanager
    async def _images(self, request: Request) -> AsyncIterator[Body]:
        name = self._admit(request, self._keys.admit)
        with self._keys.sparing(name, request.scope["state"]):
            self._require_place()
            with self._traffic.flight():
                body = await receive(request, self._settings, self._intake)
                try:
                    request.state.note.update(images=len(body.uploads), bytes=body.held)
                    self._keys.charge(name, len(body.uploads) - 1)
                    request.state.arrived_at = time.perf_counter()
                    if body.raw and not body.uploads[0].size:
                        raise Problem("empty_body")
                    self._require_place()
                    with self._traffic.work():
                        yield body
                finally:
                    body.forget()

    def _require_place(self) -> None:
        if self._traffic.at_work >= self._settings.max_in_flight:
            raise busy(
                "in_flight", "The server is at work on as many requests as it takes.", self._settings.retry_after_s
            )

    async def _ask(self, task: Task, upload: Upload, body: Body, request: Request) -> bytes:
        answer = await self._backend.ask(task, upload, request.state.request_id)
        body.swap(upload, answer)
        return answer

    async def _ask_all(self, task: Task, uploads: list[Upload], body: Body, request: Request) -> list[Json | Problem]:
        """Every image's answer or problem, in order."""
        room = asyncio.Semaphore(self._settings.fan_out)

        async def one(upload: Upload) -> Json | Problem:
            if upload.problem:
                return upload.problem
            async with room:
                try:
                    return dict(json.loads(await self._ask(task, upload, body, request)))
                except Problem as problem:
                    return problem

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(upload)) for upload in uploads]
        return [task.result() for task in tasks]


def _settle(answers: list[Json | Problem], request: Request) -> None:
    """Say what became of each image of a form; raises if it is the server's fault that none has an answer."""
    problems = request.state.problems = [answer for answer in answers if isinstance(answer, Problem)]
    failures = [problem for problem in problems if problem.reason in SERVERS_FAULT]
    if len(failures) == len(answers):
        raise min(failures, key=lambda problem: SERVERS_FAULT.index(problem.reason))


def _first_copies(uploads: list[Upload]) -> list[int]:
    """For each upload the index of the first with the same bytes; what was not kept has no copies."""
    seen: dict[bytes, int] = {}
    return [seen.setdefault(upload.content, index) if upload.size else index for index, upload in enumerate(uploads)]


def comparison(uploads: list[Upload], firsts: list[int], answers: dict[int, Json | Problem], request: Request) -> Json:
    """The answer of /v1/compare: lesions by rank, those that could not be analysed last.

    Copies of a file are one lesion: `firsts` has the index of each upload's first copy, `answers` one for each of
    those. A copy stands where its first copy stands.
    """
    lesions = []
    rows: list[Json] = []
    for index, (upload, first) in enumerate(zip(uploads, firsts, strict=True)):
        row: Json = {"index": index, **_named(upload, answers[first], request)}
        row["same_as"] = first if first != index else None
        features = row.pop("features", None)
        if first == index and row.get("probability") is not None and features:
            lesions.append(Lesion(index, row["probability"], features))
        rows.append(row)
    outcome = compare(lesions)
    for row, first in zip(rows, firsts, strict=True):
        standing = outcome.standings.get(first)
        row["rank"] = standing.rank if standing else None
        row["score"] = row.get("probability")
        row["distance"] = standing.distance if standing else None
        row["score_difference"] = standing.score_difference if standing else None
        row["ugly_duckling"] = row["index"] == outcome.ugly_duckling
    rows.sort(key=lambda row: (row["rank"] is None, row["rank"] or 0, row["index"]))
    notice = next((row["notice"] for row in rows if "notice" in row), None)
    return {"lesions": rows, "ugly_duckling": outcome.ugly_duckling, "reason": outcome.reason, "notice": notice}


def _named(upload: Upload, answer: Json | Problem, request: Request) -> Json:
    if isinstance(answer, Problem):
        return {"filename": upload.filename, "error": answer.document(request.state.request_id)}
    return {"filename": upload.filename, **answer}


def _without_features(answer: Json) -> Json:
    return {key: value for key, value in answer.items() if key != "features"}


def _json(document: Json) -> Response:
    return _answer(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode())


def _answer(content: bytes) -> Response:
    return Response(content, media_type="application/json", headers=FRESH)


async def _unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which ends early if the client hangs up: a dropped client costs no prediction.

    The watch begins late, since most work is done before a watch would have paid for itself.
    """
    me = asyncio.current_task()
    assert me
    watcher: asyncio.Task[None] | None = None
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            pass
        gone = True
        me.cancel()

    def begin() -> None:
        nonlocal watcher
        watcher = asyncio.create_task(watch())

    timer = asyncio.get_running_loop().call_later(WATCH_AFTER_S, begin)
    try:
        return await work
    except asyncio.CancelledError:
        if gone:
            me.uncancel()
            raise ClientGone from None
        raise
    finally:
        timer.cancel()
        if watcher:
            watcher.cancel()
