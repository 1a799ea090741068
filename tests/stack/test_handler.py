"""TorchServe's adapter where there is no TorchServe: the GPU that it was given, and metrics that cannot be told."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handler.errors import NotAnImage

with warnings.catch_warnings():
    # TorchServe reads its own version and leaves the file open.
    warnings.simplefilter("ignore", ResourceWarning)
    from ts.context import Context, RequestProcessor

    from handler import lesion_handler


@pytest.mark.parametrize(
    ("chosen", "gpu", "backend"),
    [
        ("torch-cuda", 1, "torch-cuda:1"),
        ("torch-cuda", None, "torch-cuda"),
        ("int8", 1, "int8"),
        ("torch-cpu", 0, "torch-cpu"),
    ],
)
def test_a_worker_computes_on_the_gpu_that_torchserve_gave_it(
    monkeypatch: pytest.MonkeyPatch, chosen: str, gpu: int | None, backend: str
) -> None:
    monkeypatch.setenv("DERMSERVE_BACKEND", chosen)
    context: Any = SimpleNamespace(system_properties={"gpu_id": gpu})
    assert lesion_handler.backend(Path("nowhere"), context) == backend


def test_metrics_that_cannot_be_told_cost_no_answer_and_are_told_to_be_lost(caplog: pytest.LogCaptureFixture) -> None:
    handler: Any = lesion_handler.LesionHandler()
    refusal = NotAnImage("The body is not an image.")
    handler.predictor = SimpleNamespace(predict=lambda items, **_: [refusal] * len(items), timings={"decode": 0.1})
    handler.batch_size, handler.model_name = 8, "lesion"
    handler.afterwards = ThreadPoolExecutor(1)
    context: Any = SimpleNamespace(
        get_request_header=lambda *_: None,
        set_response_content_type=lambda *_: None,
        set_response_status=lambda *_, **__: None,
        metrics=SimpleNamespace(get_metric=lambda *_: (_ for _ in ()).throw(KeyError("no such metric"))),
    )
    [answer] = handler.handle([{"body": b"hello"}], context)
    handler.afterwards.shutdown(wait=True)
    assert "not_an_image" in answer
    assert "metrics of a batch are lost" in caplog.text


def test_explanations_are_asked_for_all_of_a_batch_by_the_method_of_that_name() -> None:
    asked: list[tuple[list[bytes], bool]] = []

    def predict(items: list[bytes], *, explain: bool = False) -> list[NotAnImage]:
        asked.append((items, explain))
        return [NotAnImage("The body is not an image.")] * len(items)

    handler: Any = lesion_handler.LesionHandler()
    handler.predictor = SimpleNamespace(predict=predict, timings={})
    handler.afterwards = SimpleNamespace(submit=lambda *_: None)
    context = Context("lesion", "", {}, 2, None, None)
    context.request_processor = [RequestProcessor({}), RequestProcessor({})]
    assert len(handler.explain_handle([{"body": b"one"}, {"body": b"two"}], context)) == 2
    assert asked == [([b"one", b"two"], True)]
