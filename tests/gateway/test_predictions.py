"""/v1/predict and /v1/explain: raw bodies, forms, many files, and what the model server refuses."""

from __future__ import annotations

import asyncio
import base64
import gzip
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from gateway.app import create
from tests.gateway.conftest import Gateway, quick
from tests.gateway.fake_torchserve import LEGEND, FakeTorchServe, prediction

Start = Callable[..., Gateway]


def form(*images: tuple[str, bytes]) -> list[tuple[str, tuple[str, bytes]]]:
    return [("file", image) for image in images]


def test_a_raw_body_is_answered_with_the_wire_itself(standing: Gateway) -> None:
    answer = standing.predict(b"IMAGE 0.3")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == prediction(0.3)


def test_a_form_with_one_file_is_answered_the_same(standing: Gateway) -> None:
    answer = standing.http.post("/v1/predict", files=form(("a.jpg", b"IMAGE 0.3")))
    assert answer.json() == prediction(0.3)


def test_several_files_keep_their_order_and_do_not_disturb_each_other(standing: Gateway) -> None:
    files = form(("a.jpg", b"IMAGE 0.3"), ("b.pdf", b"%PDF"), ("c.jpg", b""), ("d.jpg", b"IMAGE abstain"))
    answer = standing.http.post("/v1/predict", files=files)
    assert answer.status_code == 200
    first, second, third, fourth = answer.json()["results"]
    assert first == {"filename": "a.jpg", **prediction(0.3)}
    assert (second["filename"], second["error"]["reason"], second["error"]["status"]) == ("b.pdf", "not_an_image", 415)
    assert third["error"]["reason"] == "empty_body"
    assert (fourth["label"], fourth["probability"]) == ("abstain", None)


def test_a_refused_file_of_many_is_counted_by_its_reason(gateway: Gateway) -> None:
    gateway.http.post("/v1/predict", files=form(("a.jpg", b"IMAGE"), ("b.pdf", b"%PDF"), ("c.pdf", b"%PDF")))
    assert gateway.metric('gateway_problems_total{reason="not_an_image"}') == 2


def test_many_files_arrive_with_the_model_server_only_a_few_at_a_time(start: Start, torchserve: FakeTorchServe) -> None:
    gateway = start(fan_out=2)
    torchserve.delay = 0.02
    torchserve.most_at_once = 0
    answer = gateway.http.post("/v1/predict", files=form(*[(f"{i}.jpg", b"IMAGE 0.1") for i in range(8)]))
    assert len(answer.json()["results"]) == 8
    assert torchserve.most_at_once == 2


def test_an_explanation_has_a_heatmap_and_no_features(standing: Gateway) -> None:
    answer = standing.http.post("/v1/explain", content=b"IMAGE 0.3 1,0").json()
    assert answer.pop("heatmap").startswith("data:image/png;base64,")
    assert answer.pop("legend") == LEGEND
    assert answer == prediction(0.3)
    many = standing.http.post("/v1/explain", files=form(("a", b"IMAGE 0.3 1,0"), ("b", b"IMAGE 0.2 1,0"))).json()
    assert all("features" not in result and "heatmap" in result for result in many["results"])


def test_a_file_sent_with_curls_d_is_told_how_to_send_it(standing: Gateway) -> None:
    image = (Path(__file__).parents[2] / "gateway" / "golden.jpg").read_bytes()
    as_form = {"content-type": "application/x-www-form-urlencoded"}
    answer = standing.predict(image.translate(None, b"\r\n\0"), headers=as_form)
    assert (answer.status_code, answer.json()["reason"]) == (415, "not_an_image")
    assert "--data-binary" in answer.json()["detail"]
    assert standing.predict(image, headers=as_form).status_code == 200
    assert standing.predict(b"", headers=as_form).json()["reason"] == "empty_body"


@pytest.mark.parametrize(
    ("image", "status", "reason"),
    [(b"", 400, "empty_body"), (b"%PDF", 415, "not_an_image"), (b"TRUNCATED", 422, "truncated_image")],
)
def test_a_refused_image_is_a_problem_with_its_reason(
    standing: Gateway, image: bytes, status: int, reason: str
) -> None:
    counter = f'gateway_problems_total{{reason="{reason}"}}'
    before = standing.metric(counter)
    answer = standing.predict(image, headers={"x-request-id": "my-id"})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["reason"], problem["status"], problem["request_id"]) == (reason, status, "my-id")
    assert problem["type"] == f"/docs#{reason}"
    assert problem["title"]
    assert len(problem["detail"]) > 20
    assert standing.metric(counter) == before + 1


def test_the_answer_does_not_depend_on_the_content_type_of_a_raw_body(standing: Gateway) -> None:
    for kind in ("image/jpeg", "application/x-www-form-urlencoded", "application/json", "text/plain; charset=utf-8"):
        assert standing.predict(b"IMAGE 0.3\n", headers={"content-type": kind}).json() == prediction(0.3)


@pytest.mark.parametrize(
    ("content", "content_type", "reason", "advice"),
    [
        (b"--x\r\n", "multipart/form-data", "malformed_upload", "curl -F file=@image.jpg"),
        (b"", "multipart/form-data; boundary=" + "x" * 257, "malformed_upload", "curl -F file=@image.jpg"),
        (b"no boundary here", "multipart/form-data; boundary=x", "malformed_upload", "curl -F file=@image.jpg"),
        (
            b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nIMA',
            "multipart/form-data; boundary=x",
            "malformed_upload",
            "Send the whole of it again",
        ),
        (
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
            "empty_body",
            "in a field named `file`",
        ),
        (b"--x--\r\n", "multipart/form-data; boundary=x", "empty_body", "in a field named `file`"),
    ],
)
def test_a_form_that_cannot_be_read_says_what_to_send(
    standing: Gateway, content: bytes, content_type: str, reason: str, advice: str
) -> None:
    answer = standing.predict(content, headers={"content-type": content_type})
    assert (answer.status_code, answer.json()["reason"]) == (400, reason)
    assert advice in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (gzip.compress(b"IMAGE 0.3", mtime=0), "gzip"),
        (b'{"image": "/9j/4AAQ"}', "JSON"),
        (base64.b64encode(b"\xff\xd8\xff\xe0"), "base64"),
        (b"data:image/png;base64,iVBOR", "base64"),
    ],
)
def test_an_image_in_a_wrapping_is_asked_for_without(standing: Gateway, body: bytes, name: str) -> None:
    for answer in (standing.predict(body), standing.http.post("/v1/explain", files={"file": ("a.jpg", body)})):
        assert (answer.status_code, answer.json()["reason"]) == (415, "not_an_image")
        assert answer.json()["detail"].startswith(f"This is {name}. Send the image's plain bytes")


@pytest.mark.parametrize(
    "part",
    [
        b"X-Long: " + b"a" * 9000 + b"\r\n\r\nb\r\n",
        b'Content-Disposition: form-data; name="a"\r\n\r\nb\r\n--x\r\n' * 100,
    ],
    ids=["long header", "many fields"],
)
def test_a_form_that_is_made_to_cost_is_refused(standing: Gateway, part: bytes) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = standing.predict(b"--x\r\n" + part + b"--x--\r\n", headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (400, "malformed_upload")


def test_other_fields_of_a_form_are_ignored_and_paths_are_cut_from_file_names(standing: Gateway) -> None:
    files = form(("../../etc/a.jpg", b"IMAGE 0.3"), ("C:\\photos\\b.jpg", b"IMAGE 0.2"))
    answer = standing.http.post("/v1/predict", files=files, data={"patient": "somebody"})
    assert [result["filename"] for result in answer.json()["results"]] == ["a.jpg", "b.jpg"]


def test_a_form_is_read_the_same_however_its_bytes_are_cut(standing: Gateway) -> None:
    body = b""
    for name in (b"a.jpg", b"b.jpg"):
        body += b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="%b"\r\n\r\nIMAGE 0.3\r\n' % name
    body += b"--xyz--\r\n"

    def piece_by_piece():  # type: ignore[no-untyped-def]
        for i in range(len(body)):
            yield body[i : i + 1]

    headers = {"content-type": "multipart/form-data; boundary=xyz"}
    answer = standing.http.post("/v1/predict", content=piece_by_piece(), headers=headers)
    assert [result["filename"] for result in answer.json()["results"]] == ["a.jpg", "b.jpg"]


def test_manifest_and_card_come_from_the_handler_and_are_kept(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    for _ in range(3):
        answer = gateway.http.get("/v1/model")
        assert answer.json()["manifest"]["architecture"] == "resnet18"
        assert answer.json()["card"].startswith("# Lesion")
    assert torchserve.descriptions == 1


@pytest.mark.parametrize("delay", [0.0, 0.2])
def test_whoever_has_called_the_application_is_left_alone_after_the_answer(
    torchserve: FakeTorchServe, monkeypatch: pytest.MonkeyPatch, delay: float
) -> None:
    watch_after = 0.1
    monkeypatch.setattr("gateway.api.WATCH_AFTER_S", watch_after)
    torchserve.delay = delay

    async def ask() -> httpx.Response:
        app = create(quick(torchserve))
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x")
        async with app.router.lifespan_context(app), client as http:
            answer = await http.post("/v1/predict", content=b"IMAGE 0.3")
            await asyncio.sleep(1.5 * watch_after)
            return answer

    assert asyncio.run(ask()).json() == prediction(0.3)
