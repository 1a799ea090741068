"""The API as an OpenAPI 3.1 document, every answer and every error of every operation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from gateway.health import Readiness
from gateway.operations import DRAINING
from gateway.problems import KINDS, MEDIA_TYPE
from gateway.schemas import ABSTENTION, COMPARISON, EXPLANATION, MANY, MODEL, PREDICTION, SCHEMAS, Schema, problem, ref
from gateway.settings import Settings

KEY_PROBLEMS = ("unauthorized", "rate_limited")
IMAGE_PROBLEMS = (
    "empty_body",
    "malformed_upload",
    "malformed_request",
    "head_too_large",
    "slow_client",
    "too_large",
    "too_many_files",
    "too_many_pixels",
    "not_an_image",
    "unsupported_format",
    "truncated_image",
    "too_small",
    "busy",
    "internal",
    "prediction_failed",
    "backend_unavailable",
    "shutting_down",
    "backend_timeout",
)

MODEL_PROBLEMS = ("malformed_request", "head_too_large", "internal", "backend_unavailable", "shutting_down")


def document(settings: Settings) -> dict[str, Any]:
    """What this gateway offers under these settings."""
    locked = settings.api_keys_file is not None
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Dermserve",
            "version": "1",
            "summary": "Calibrated probability of malignancy for dermoscopic images of skin lesions.",
            "description": "Research use only, not a medical device. For dermoscopic images alone: not every other one "
            "is recognised and answered with `abstain`. Images live in memory for the request and are never stored or "
            "logged. Predictions are idempotent: a request may always be sent again.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "Predictions", "description": "Images in, probabilities out."},
            {"name": "Operations", "description": "For probes, hooks and scrapers; no API key."},
        ],
        "security": [{"bearer": []}, {"header": []}] if locked else [{}],
        "paths": {
            "/v1/predict": {"post": _predict(settings, locked)},
            "/v1/explain": {"post": _explain(settings, locked)},
            "/v1/compare": {"post": _compare(settings, locked)},
            "/v1/model": {"get": _model(locked)},
            **_operations(),
        },
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _predict(settings: Settings, locked: bool) -> Schema:
    return {
        "operationId": "predict",
        "tags": ["Predictions"],
        "summary": "Probability and decision for one image or many",
        "description": "One image, as the raw body or as one field `file`, is answered with its prediction. Several "
        "fields `file` are answered with a list; an image that is refused does not disturb the others. Only "
        "if the server is at fault and none has an answer, the request ends as one image does: 429, 502, 503 or 504.",
        "parameters": [REQUEST_ID],
        "requestBody": _images(settings),
        "responses": {
            "200": _ok(
                {"anyOf": [ref("Prediction"), ref("Results")]},
                "The prediction, or one result a file",
                one=PREDICTION,
                abstention=ABSTENTION,
                many=MANY,
            ),
            **_errors(IMAGE_PROBLEMS, locked),
        },
    }


def _explain(settings: Settings, locked: bool) -> Schema:
    return {
        **_predict(settings, locked),
        "operationId": "explain",
        "summary": "The same, with a class-activation map",
        "description": "As /v1/predict, and each prediction carries `heatmap`: where the network saw what speaks for "
        "malignancy, aligned with the square that it was given from the middle of the image; and its `legend`.",
        "responses": {
            "200": _ok(
                {"anyOf": [ref("Explanation"), ref("Results")]},
                "The explanation, or one result a file",
                one=EXPLANATION,
            ),
            **_errors(IMAGE_PROBLEMS, locked),
        },
    }


def _compare(settings: Settings, locked: bool) -> Schema:
    return {
        "operationId": "compare",
        "tags": ["Predictions"],
        "summary": "Several lesions of one patient, ranked",
        "description": "Ranks the lesions by score and marks the ugly duckling: the one that differs most from the "
        "patient's others in features and score. Needs three different images that can be analysed; a file that is "
        "sent twice counts once.",
        "parameters": [REQUEST_ID],
        "requestBody": {"required": True, "content": {"multipart/form-data": _form(settings, fewest=2)}},
        "responses": {
            "200": _ok(ref("Comparison"), "The lesions by rank", three=COMPARISON),
            **_errors((*IMAGE_PROBLEMS, "too_few_files"), locked),
        },
    }


def _model(locked: bool) -> Schema:
    return {
        "operationId": "model",
        "tags": ["Predictions"],
        "summary": "Manifest and model card of the served model",
        "parameters": [REQUEST_ID],
        "responses": {
            "200": _ok(ref("Model"), "Manifest and card", model=MODEL),
            **_errors((*MODEL_PROBLEMS, "unauthorized") if locked else MODEL_PROBLEMS, locked=False),
        },
    }


def _operations() -> Schema:
    def operation(name: str, summary: str, responses: Schema, **more: str) -> Schema:
        return {
            "operationId": name,
            "tags": ["Operations"],
            "security": [{}],
            "summary": summary,
            **more,
            "responses": responses,
        }

    readiness = {"ready": True, "checks": asdict(Readiness(True, True, True, True, True))}
    unready = {"ready": False, "checks": {**readiness["checks"], "workers_ready": False}}  # type: ignore[dict-item]
    text = {"text/plain": {"schema": {"type": "string"}}}
    return {
        "/livez": {"get": operation("livez", "Does this process answer?", {"200": _ok({"type": "object"}, "Yes")})},
        "/readyz": {
            "get": operation(
                "readyz",
                "May traffic be sent here?",
                {
                    "200": _ok(ref("Readiness"), "A prediction has succeeded, workers are READY", ready=readiness),
                    "503": _ok(ref("Readiness"), "No; `checks` says why", unready=unready),
                },
            )
        },
        "/drain": {
            "post": operation(
                "drain",
                "Become unready, wait until nothing is in flight (from this machine only)",
                {
                    "200": _ok(ref("Drained"), "Nothing is in flight, or the deadline is over"),
                    **_errors(("malformed_request", "head_too_large", "forbidden"), locked=False),
                },
                description=DRAINING,
            )
        },
        "/metrics": {
            "get": operation("metrics", "For Prometheus", {"200": {"description": "Metrics", "content": text}})
        },
    }


REQUEST_ID: Schema = {
    "name": "X-Request-ID",
    "in": "header",
    "required": False,
    "description": "comes back in the answer and stands in the logs; made up here if it is missing or unfit",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,64}$"},
}
ANSWERED_ID: Schema = {"X-Request-ID": {"description": "the id of this request", "schema": {"type": "string"}}}
RETRY_AFTER: Schema = {"Retry-After": {"description": "seconds to wait", "schema": {"type": "integer"}}}


def _images(settings: Settings) -> Schema:
    raw: Schema = {"schema": {"type": "string", "format": "binary"}}
    return {
        "required": True,
        "description": f"Up to {settings.max_image_bytes} bytes an image, {settings.max_files} images and "
        f"{settings.max_request_bytes} bytes in one request.",
        "content": {
            "multipart/form-data": _form(settings, fewest=1),
            **dict.fromkeys(("image/jpeg", "image/png", "application/octet-stream"), raw),
        },
    }


def _form(settings: Settings, fewest: int) -> Schema:
    file = {"type": "string", "format": "binary"}
    files = {"type": "array", "items": file, "minItems": fewest, "maxItems": settings.max_files}
    return {
        "schema": {"type": "object", "required": ["file"], "properties": {"file": files}},
        "encoding": {"file": {"contentType": "image/jpeg, image/png, application/octet-stream"}},
    }


def _ok(schema: Schema, description: str, **examples: object) -> Schema:
    content: Schema = {"schema": schema}
    if examples:
        content["examples"] = {name: {"value": value} for name, value in examples.items()}
    return {"description": description, "headers": ANSWERED_ID, "content": {"application/json": content}}


def _errors(reasons: Iterable[str], locked: bool) -> Schema:
    responses: Schema = {}
    for reason in (*reasons, *(KEY_PROBLEMS if locked else ())):
        kind = KINDS[reason]
        response = responses.setdefault(
            str(kind.status),
            {
                "description": "",
                "headers": ANSWERED_ID | (RETRY_AFTER if kind.status in (429, 503) else {}),
                "content": {MEDIA_TYPE: {"schema": ref("Problem"), "examples": {}}},
            },
        )
        titles = [title for title in (response["description"], f"{kind.title} (`{reason}`)") if title]
        response["description"] = "; ".join(titles)
        response["content"][MEDIA_TYPE]["examples"][reason] = {"value": problem(reason)}
    return dict(sorted(responses.items()))
