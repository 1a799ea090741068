"""The Python client, sync and async, against a gateway in front of the fake TorchServe."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from gateway.client import ApiError, AsyncClient, Client, NoAnswer, Prediction
from gateway.keys import generate
from gateway.patience import Outcome, Patience
from tests.gateway.conftest import Gateway, until
from tests.gateway.fake_torchserve import LEGEND, NOTICE, FakeTorchServe

Start = Callable[..., Gateway]


def test_one_image_as_bytes_or_path(standing: Gateway, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"IMAGE 0.3 1,0")
    with Client(standing.url) as client:
        for image in (path, path.read_bytes()):
            prediction = client.predict(image)
            assert (prediction.label, prediction.probability, prediction.notice) == ("malignant", 0.3, NOTICE)
            assert prediction.model.version == "1.0"
        explained = client.explain(path)
        assert explained.heatmap
        assert explained.heatmap.startswith("data:image/png")
        assert explained.legend == LEGEND


def test_many_images_and_their_refusals(standing: Gateway) -> None:
    with Client(standing.url) as client:
        good, bad = client.predict_many({"a.jpg": b"IMAGE 0.3", "b.pdf": b"%PDF"})
        assert isinstance(good, Prediction)
        assert good.filename == "a.jpg"
        assert isinstance(bad, ApiError)
        assert (bad.reason, bad.status, bad.filename) == ("not_an_image", 415, "b.pdf")


def test_one_refused_image_is_an_entry_too_and_none_is_no_entry(standing: Gateway) -> None:
    async def ask() -> list[Prediction | ApiError]:
        async with AsyncClient(standing.url) as client:
            assert await client.predict_many([]) == []
            return await client.predict_many({"b.pdf": b"%PDF"})

    with Client(standing.url) as client:
        assert client.predict_many([]) == []
        for [bad] in (client.predict_many({"b.pdf": b"%PDF"}), asyncio.run(ask())):
            assert isinstance(bad, ApiError)
            assert (bad.reason, bad.filename) == ("not_an_image", "b.pdf")
        with pytest.raises(ApiError, match="too_many_files"):
            client.predict_many([b"IMAGE"] * 33)


def test_many_images_that_the_server_all_fails_on_are_one_error(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    torchserve.fail = (500, {"code": 500, "type": "InternalServerException", "message": "Prediction failed"})
    with Client(gateway.url) as client, pytest.raises(ApiError, match="prediction_failed") as failed:
        client.predict_many([b"IMAGE 0.3", b"IMAGE 0.2"])
    assert failed.value.status == 502


def test_a_comparison_the_model_and_readiness(standing: Gateway) -> None:
    images = {"a": b"IMAGE 0.05 1,0", "b": b"IMAGE 0.05 1,0.1", "c": b"IMAGE 0.9 0,1", "d": b"%PDF"}
    with Client(standing.url) as client:
        comparison = client.compare(images)
        assert comparison.ugly_duckling == 2
        assert comparison.lesions[0].filename == "c"
        assert comparison.lesions[-1].error
        first = comparison.lesions[0].model_dump()
        alone = client.predict(images["c"]).model_dump(exclude={"filename", "heatmap", "legend"})
        assert first.items() >= alone.items()
        assert client.model().manifest["architecture"] == "resnet18"
        assert client.ready()


def test_the_async_client_does_the_same(standing: Gateway) -> None:
    async def ask() -> None:
        async with AsyncClient(standing.url) as client:
            assert (await client.predict(b"IMAGE 0.3")).probability == 0.3
            assert (await client.explain(b"IMAGE 0.3 1,0")).heatmap
            assert len(await client.predict_many({"a": b"IMAGE", "b": b"%PDF"})) == 2
            assert (await client.compare({"a": b"IMAGE", "b": b"IMAGE"})).ugly_duckling is None
            assert (await client.model()).card
            assert await client.ready()
            with pytest.raises(ApiError, match="not_an_image"):
                await client.predict(b"%PDF")

    asyncio.run(ask())


def test_a_refused_image_is_an_error_with_reason_and_advice(standing: Gateway) -> None:
    with Client(standing.url) as client, pytest.raises(ApiError) as refused:
        client.predict(b"TRUNCATED")
    error = refused.value
    assert (error.status, error.reason) == (422, "truncated_image")
    assert "Copy it again" in error.detail
    assert error.request_id


def test_a_busy_server_is_asked_again(start: Start, torchserve: FakeTorchServe) -> None:
    gateway = start()
    torchserve.queue_full = True
    before = torchserve.started

    async def ask() -> float | None:
        async with AsyncClient(gateway.url) as client:
            asking = asyncio.create_task(client.predict(b"IMAGE 0.3"))
            while torchserve.started == before:
                await asyncio.sleep(0.01)
            torchserve.queue_full = False
            return (await asking).probability

    assert asyncio.run(ask()) == 0.3


def test_images_that_find_the_server_busy_are_sent_again(start: Start, torchserve: FakeTorchServe) -> None:
    gateway = start()
    torchserve.queue_full = True
    before = torchserve.started

    async def ask() -> list[Prediction | ApiError]:
        async with AsyncClient(gateway.url) as client:
            images = {"a.jpg": b"IMAGE 0.3", "b.pdf": b"%PDF", "c.jpg": b"IMAGE 0.1"}
            asking = asyncio.create_task(client.predict_many(images))
            while torchserve.started < before + len(images):
                await asyncio.sleep(0.01)
            torchserve.queue_full = False
            return await asking

    first, refused, last = asyncio.run(ask())
    assert [answer.filename for answer in (first, refused, last)] == ["a.jpg", "b.pdf", "c.jpg"]
    assert isinstance(refused, ApiError)
    assert refused.status == 415
    assert [answer.probability for answer in (first, last) if isinstance(answer, Prediction)] == [0.3, 0.1]


def test_an_image_that_stays_busy_does_not_cost_the_others_their_answers(
    start: Start, torchserve: FakeTorchServe
) -> None:
    gateway = start()
    torchserve.queue_full = True
    before = torchserve.started
    with Client(gateway.url, retries=2) as client:
        empty, busy = client.predict_many({"a.jpg": b"", "b.jpg": b"IMAGE 0.1"})
    assert isinstance(empty, ApiError)
    assert isinstance(busy, ApiError)
    assert [(answer.filename, answer.status) for answer in (empty, busy)] == [("a.jpg", 400), ("b.jpg", 429)]
    assert torchserve.started - before == 1 + 3  # in the form, and alone with two retries


def test_a_server_that_goes_meanwhile_does_not_cost_the_others_their_answers(
    start: Start, torchserve: FakeTorchServe
) -> None:
    gateway = start()
    torchserve.queue_full = True
    before = torchserve.started

    async def ask() -> list[Prediction | ApiError]:
        async with AsyncClient(gateway.url, retries=1) as client:
            asking = asyncio.create_task(client.predict_many({"a.jpg": b"", "b.jpg": b"IMAGE 0.1"}))
            while torchserve.started == before:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(gateway.stop)
            return await asking

    answers = asyncio.run(ask())
    assert [answer.status for answer in answers if isinstance(answer, ApiError)] == [400, 429]


def test_a_server_that_is_not_there_is_an_error_after_some_tries() -> None:
    with Client("http://127.0.0.1:9", retries=1) as client:
        with pytest.raises(NoAnswer, match=r"http://127.0.0.1:9 gave no answer .*refused"):
            client.predict(b"IMAGE")
        assert not client.ready()


def test_the_async_client_says_the_same_of_a_server_that_is_not_there() -> None:
    async def ask() -> None:
        async with AsyncClient("http://127.0.0.1:9", retries=0) as client:
            with pytest.raises(NoAnswer):
                await client.model()

    asyncio.run(ask())


def test_a_path_as_text_is_not_sent_as_an_image(standing: Gateway) -> None:
    with Client(standing.url) as client:
        with pytest.raises(TypeError, match=r"Path\('/tmp/lesion.jpg'\)"):
            client.predict("/tmp/lesion.jpg")  # type: ignore[arg-type]
        for images in (["a.jpg"], "a.jpg", {"a": "a.jpg"}):
            with pytest.raises(TypeError, match="Path"):
                client.predict_many(images)  # type: ignore[arg-type]


def test_the_same_file_twice_is_two_entries(standing: Gateway, tmp_path: Path) -> None:
    path, other = tmp_path / "a.jpg", tmp_path / "b.jpg"
    path.write_bytes(b"IMAGE 0.3")
    other.write_bytes(b"IMAGE 0.1")
    with Client(standing.url) as client:
        answers = client.predict_many([path, other, path])
        assert [answer.filename for answer in answers] == ["a.jpg", "b.jpg", "a.jpg"]
        scores = [answer.probability for answer in answers if isinstance(answer, Prediction)]
        assert scores == [0.3, 0.1, 0.3]
        assert client.compare([path, other, path]).lesions[1].same_as == 0


@pytest.mark.parametrize(
    ("outcome", "waits"),
    [
        (httpx.Response(429, headers={"retry-after": "2"}), True),
        (httpx.Response(503), True),
        (httpx.Response(503, headers={"retry-after": "600"}), False),
        (httpx.Response(500), False),
        (httpx.Response(415), False),
        (httpx.Response(200), False),
        (httpx.ConnectError("refused"), True),
        (httpx.RemoteProtocolError("lost"), True),
        (httpx.ReadTimeout("slow"), False),
        (httpx.DecodingError("no gzip"), False),
    ],
)
def test_what_is_asked_again(outcome: Outcome, waits: bool) -> None:
    wait = Patience(retries=3, longest_s=30).after(1, outcome)
    assert (wait is not None) is waits
    if wait and isinstance(outcome, httpx.Response) and "retry-after" in outcome.headers:
        assert wait >= 2
    assert Patience(retries=3, longest_s=30).after(4, outcome) is None


def test_the_key_is_sent(start: Start, tmp_path: Path) -> None:
    key, line = generate("client")
    path = tmp_path / "keys"
    path.write_text(line)
    gateway = start(api_keys_file=path, wait=False)
    until(gateway.ready)
    with Client(gateway.url, api_key=key) as client:
        assert client.predict(b"IMAGE").label
    with Client(gateway.url) as client, pytest.raises(ApiError, match="unauthorized"):
        client.predict(b"IMAGE")


def test_importing_the_client_needs_no_server() -> None:
    servers = "{'starlette', 'uvicorn', 'prometheus_client'}"
    check = f"import sys, gateway.client; print({servers} & {{name.split('.')[0] for name in sys.modules}})"
    said = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "set()"
