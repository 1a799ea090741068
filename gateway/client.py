"""A typed Python client, sync and async. Predictions are idempotent, so busy answers and lost connections are retried.

with Client("http://127.0.0.1:8000") as client:
    prediction = client.predict(Path("left-arm.jpg"))
    print(prediction.label, prediction.probability, prediction.notice)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, Generic, Self, TypeAlias, TypeVar

import httpx

from gateway.answers import ApiError, Comparison, Description, Lesion, NoAnswer, Prediction
from gateway.batch import Batch, Image, Images, content
from gateway.patience import Outcome, Patience
from gateway.route import Http, Route, words

__all__ = ["ApiError", "AsyncClient", "Client", "Comparison", "Description", "Lesion", "NoAnswer", "Prediction"]

T = TypeVar("T")
Dialogue: TypeAlias = Generator[httpx.Request | float, Any, T]
"""Yields a request, and is sent its outcome, or seconds to wait; each client does both in its own way."""


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

    def _prediction(self, path: str, image: Image) -> Dialogue[Prediction]:
        request = {"content": content(image), "headers": {"content-type": "application/octet-stream"}}
        return self._answer("POST", path, request, Prediction.model_validate)

    def _predictions(self, images: Images) -> Dialogue[list[Prediction | ApiError]]:
        batch = Batch(images)
        if not batch.left():
            return []
        try:
            yield from self._answer("POST", "/v1/predict", batch.form(), batch.settle)
        except ApiError as error:
            if not batch.is_alone(error):
                raise
            batch.refuse(error)
            return batch.answers()
        for wait in self._patience.while_busy():
            if not batch.left():
                break
            yield wait
            try:
                yield from self._answer("POST", "/v1/predict", batch.form(), batch.settle)
            except ApiError as error:
                batch.refuse(error)
                break  # busy as a whole, it has been asked again already
            except NoAnswer:
                break  # the others keep their answers
        return batch.answers()

    def _comparison(self, images: Images) -> Dialogue[Comparison]:
        batch = Batch(images)
        return self._answer("POST", "/v1/compare", batch.form(), batch.compared)

    def _description(self) -> Dialogue[Description]:
        return self._answer("GET", "/v1/model", {}, Description.model_validate)

    def _readiness(self) -> Dialogue[bool]:
        outcome: Outcome = yield self._http.build_request("GET", "/readyz")
        try:
            return self._settled(outcome, lambda document: document["ready"] is True)
        except (ApiError, NoAnswer):
            return False

    def _answer(
        self, method: str, path: str, request: dict[str, Any], read: Callable[[dict[str, Any]], T]
    ) -> Dialogue[T]:
        attempt = 1
        while True:
            outcome: Outcome = yield self._http.build_request(method, path, **request)
            wait = self._patience.after(attempt, outcome)
            if wait is None:
                return self._settled(outcome, read)
            yield wait
            attempt += 1

    def _settled(self, outcome: Outcome, read: Callable[[dict[str, Any]], T]) -> T:
        if isinstance(outcome, httpx.TransportError):
            raise self._route.silence(outcome) from outcome
        if isinstance(outcome, httpx.DecodingError):
            raise self._route.stranger(f"what cannot be unpacked ({outcome})") from outcome
        try:
            document = outcome.json()
        except ValueError:
            document = None
        if not outcome.is_success:
            raise self._route.failure(outcome, document if isinstance(document, dict) else {})
        try:
            return read(document)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise self._route.stranger(words(outcome)) from error


class Client(_Asker[httpx.Client]):
    """Asks a gateway; raises ApiError for a problem, NoAnswer where no gateway answered.

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
        return self._hold(self._prediction("/v1/predict", image))

    def explain(self, image: Image) -> Prediction:
        """The same with `heatmap`, a PNG as data URI."""
        return self._hold(self._prediction("/v1/explain", image))

    def predict_many(self, images: Images) -> list[Prediction | ApiError]:
        """One entry an image, in order; a refused image is an ApiError in the list and disturbs no other.

        Images that find the server busy are sent again, alone. Raises ApiError if the server failed on all of them.

        A mapping gives the images names; files have their own.
        """
        return self._hold(self._predictions(images))

    def compare(self, images: Images) -> Comparison:
        """Several lesions of one patient, ranked, the ugly duckling marked."""
        return self._hold(self._comparison(images))

    def model(self) -> Description:
        """Manifest and card of the served model."""
        return self._hold(self._description())

    def ready(self) -> bool:
        """Whether the gateway says that predictions work."""
        return self._hold(self._readiness())

    def _hold(self, dialogue: Dialogue[T]) -> T:
        outcome: Outcome | None = None
        while True:
            try:
                step = dialogue.send(outcome)
            except StopIteration as end:
                result: T = end.value
                return result
            outcome = None
            if isinstance(step, float):
                time.sleep(step)
                continue
            try:
                outcome = self._http.send(step)
            except (httpx.TransportError, httpx.DecodingError) as error:
                outcome = error


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
        return await self._hold(self._prediction("/v1/predict", image))

    async def explain(self, image: Image) -> Prediction:
        return await self._hold(self._prediction("/v1/explain", image))

    async def predict_many(self, images: Images) -> list[Prediction | ApiError]:
        return await self._hold(self._predictions(images))

    async def compare(self, images: Images) -> Comparison:
        return await self._hold(self._comparison(images))

    async def model(self) -> Description:
        return await self._hold(self._description())

    async def ready(self) -> bool:
        return await self._hold(self._readiness())

    async def _hold(self, dialogue: Dialogue[T]) -> T:
        outcome: Outcome | None = None
        while True:
            try:
                step = dialogue.send(outcome)
            except StopIteration as end:
                result: T = end.value
                return result
            outcome = None
            if isinstance(step, float):
                await asyncio.sleep(step)
                continue
            try:
                outcome = await self._http.send(step)
            except (httpx.TransportError, httpx.DecodingError) as error:
                outcome = error
