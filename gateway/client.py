"""A typed Python client, sync and async. Predictions are idempotent, so busy answers and lost connections are retried.

with Client("http://127.0.0.1:8000") as client:
    prediction = client.predict(Path("left-arm.jpg"))
    print(prediction.label, prediction.probability, prediction.notice)
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Generic, Self

import httpx

from gateway.answers import ApiError, Comparison, Description, Lesion, NoAnswer, Prediction
from gateway.batch import BUSY, Batch, Image, Images, content
from gateway.route import Http, Route

__all__ = ["ApiError", "AsyncClient", "Client", "Comparison", "Description", "Lesion", "NoAnswer", "Prediction"]


class Patience:
    """How often and how long after to ask again; lost connections wait longer each time, busy servers name the time."""

    def __init__(self, retries: int, longest_s: float) -> None:
        self._retries = retries
        self._longest_s = longest_s

    def while_busy(self) -> Iterator[float]:
        """Seconds to wait before each further attempt at images for which the server had no time."""
        for attempt in range(1, self._retries + 1):
            wait = max(1.0, 0.1 * 2**attempt)
            if wait <= self._longest_s:
                yield wait * random.uniform(1.0, 1.25)

    def after(self, attempt: int, outcome: httpx.Response | httpx.TransportError) -> float | None:
        """Seconds until the next attempt; None: this outcome stands."""
        if attempt > self._retries:
            return None
        wait = 0.1 * 2**attempt
        if isinstance(outcome, httpx.Response):
            if outcome.status_code not in BUSY:
                return None
            named = outcome.headers.get("retry-after", "")
            wait = max(wait, float(named) if named.isdigit() else 0.0)
        elif isinstance(outcome, httpx.ReadTimeout | httpx.UnsupportedProtocol):
            return None
        return None if wait > self._longest_s else wait * random.uniform(1.0, 1.25)


class _Asker(Generic[Http]):
    """What both clients are made of: the connection, what they send, and how they read the outcome."""

    _library: Callable[..., Http]

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8000",
        api_key: str | None = None,
        *,
        timeout: float = 60.0,
        retries: int = 3,
        longest_wait: float = 30.0,
    ) -> None:
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._route = Route(base_url)
        self._http: Http = self._route.open(self._library, timeout=timeout, headers=headers)
        self._patience = Patience(retries, longest_wait)

    def _settled(self, outcome: httpx.Response | httpx.TransportError) -> dict[str, Any]:
        if isinstance(outcome, httpx.TransportError):
            raise self._route.silence(outcome) from outcome
        try:
            document = outcome.json()
        except ValueError:
            document = {}
        if not outcome.is_success:
            raise ApiError(outcome.status_code, document if isinstance(document, dict) else {})
        return dict(document)


def _raw(image: Image) -> dict[str, Any]:
    return {"content": content(image), "headers": {"content-type": "application/octet-stream"}}


class Client(_Asker[httpx.Client]):
    """Asks a gateway; raises ApiError for a problem, NoAnswer where no answer came at all.

    A gateway on this machine is asked directly, others through the proxy of `http_proxy`, `https_proxy` or `all_proxy`.
    """

    _library = httpx.Client

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def predict(self, image: Image) -> Prediction:
        """Probability and decision for one image."""
        return Prediction.model_validate(self._ask("POST", "/v1/predict", _raw(image)))

    def explain(self, image: Image) -> Prediction:
        """The same with `heatmap`, a PNG as data URI."""
        return Prediction.model_validate(self._ask("POST", "/v1/explain", _raw(image)))

    def predict_many(self, images: Images) -> list[Prediction | ApiError]:
        """One entry an image, in order; a refused image is an ApiError in the list and disturbs no other.

        Images that find the server busy are sent again, alone. Raises ApiError if the server failed on all of them.

        A mapping gives the images names; files have their own.
        """
        batch = Batch(images)
        if not batch.left():
            return []
        try:
            batch.settle(self._ask("POST", "/v1/predict", batch.form()))
        except ApiError as error:
            if not batch.is_alone(error):
                raise
            batch.refuse(error)
            return batch.answers()
        for wait in self._patience.while_busy():
            if not batch.left():
                break
            time.sleep(wait)
            try:
                batch.settle(self._ask("POST", "/v1/predict", batch.form()))
            except ApiError as error:
                batch.refuse(error)
                break  # busy as a whole, it has been asked again already
            except NoAnswer:
                break  # the others keep their answers
        return batch.answers()

    def compare(self, images: Images) -> Comparison:
        """Several lesions of one patient, ranked, the ugly duckling marked."""
        batch = Batch(images)
        return batch.compared(self._ask("POST", "/v1/compare", batch.form()))

    def model(self) -> Description:
        """Manifest and card of the served model."""
        return Description.model_validate(self._ask("GET", "/v1/model", {}))

    def ready(self) -> bool:
        """Whether the gateway says that predictions work."""
        try:
            return self._http.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def _ask(self, method: str, path: str, request: dict[str, Any]) -> dict[str, Any]:
        attempt = 1
        while True:
            outcome: httpx.Response | httpx.TransportError
            try:
                outcome = self._http.request(method, path, **request)
            except httpx.TransportError as error:
                outcome = error
            wait = self._patience.after(attempt, outcome)
            if wait is None:
                return self._settled(outcome)
            time.sleep(wait)
            attempt += 1


class AsyncClient(_Asker[httpx.AsyncClient]):
    """`Client` for asyncio: the same methods, awaited."""

    _library = httpx.AsyncClient

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def predict(self, image: Image) -> Prediction:
        return Prediction.model_validate(await self._ask("POST", "/v1/predict", _raw(image)))

    async def explain(self, image: Image) -> Prediction:
        return Prediction.model_validate(await self._ask("POST", "/v1/explain", _raw(image)))

    async def predict_many(self, images: Images) -> list[Prediction | ApiError]:
        batch = Batch(images)
        if not batch.left():
            return []
        try:
            batch.settle(await self._ask("POST", "/v1/predict", batch.form()))
        except ApiError as error:
            if not batch.is_alone(error):
                raise
            batch.refuse(error)
            return batch.answers()
        for wait in self._patience.while_busy():
            if not batch.left():
                break
            await asyncio.sleep(wait)
            try:
                batch.settle(await self._ask("POST", "/v1/predict", batch.form()))
            except ApiError as error:
                batch.refuse(error)
                break  # busy as a whole, it has been asked again already
            except NoAnswer:
                break  # the others keep their answers
        return batch.answers()

    async def compare(self, images: Images) -> Comparison:
        batch = Batch(images)
        return batch.compared(await self._ask("POST", "/v1/compare", batch.form()))

    async def model(self) -> Description:
        return Description.model_validate(await self._ask("GET", "/v1/model", {}))

    async def ready(self) -> bool:
        try:
            return (await self._http.get("/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    async def _ask(self, method: str, path: str, request: dict[str, Any]) -> dict[str, Any]:
        attempt = 1
        while True:
            outcome: httpx.Response | httpx.TransportError
            try:
                outcome = await self._http.request(method, path, **request)
            except httpx.TransportError as error:
                outcome = error
            wait = self._patience.after(attempt, outcome)
            if wait is None:
                return self._settled(outcome)
            await asyncio.sleep(wait)
            attempt += 1
