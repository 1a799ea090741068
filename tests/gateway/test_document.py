"""The OpenAPI document tells the truth, and /docs shows it without help from anybody."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import jsonschema
import pytest
import schemathesis
from schemathesis.checks import CHECKS

from gateway import docs
from gateway.client import Prediction
from gateway.openapi import document
from gateway.problems import KINDS
from gateway.schemas import NOTICE
from gateway.settings import Settings
from tests.gateway.conftest import Gateway

Start = Callable[..., Gateway]
API = document(Settings())


def schema(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}", "components": API["components"]}


def operations() -> list[dict[str, Any]]:
    return [operation for methods in API["paths"].values() for operation in methods.values()]


def test_every_route_is_documented_and_every_documented_route_is_there(standing: Gateway) -> None:
    served = {route for route in standing.routes if not route.startswith(("/static", "/docs", "/openapi"))}
    assert set(API["paths"]) == served - {"/", "/sw.js", "/manifest.webmanifest"}


def test_every_reason_is_documented_somewhere(standing: Gateway) -> None:
    locked = document(standing.settings.model_copy(update={"api_keys_file": Path("keys")}))
    text = str(locked["paths"])
    missing = [reason for reason in KINDS if f"'{reason}'" not in text]
    assert missing == ["not_found", "method_not_allowed", "unknown_method"]
    page = standing.http.get("/docs").text
    assert all(f'id="{reason}"' in page for reason in KINDS)


@pytest.mark.parametrize("operation", operations(), ids=lambda operation: operation["operationId"])
def test_every_example_fits_its_schema(operation: dict[str, Any]) -> None:
    for response in operation["responses"].values():
        for content in response["content"].values():
            for example in content.get("examples", {}).values():
                jsonschema.validate(example["value"], {**content["schema"], "components": API["components"]})


def test_the_examples_carry_the_notice_of_the_handler() -> None:
    from handler.notice import NOTICE as SAID

    assert NOTICE == SAID


def test_sensitivity_is_told_as_what_the_threshold_was_chosen_for(standing: Gateway) -> None:
    words = "the sensitivity that the threshold was chosen for, on validation data"
    schemas = standing.http.get("/openapi.json").json()["components"]["schemas"]
    assert words in schemas["Prediction"]["properties"]["sensitivity"]["description"]
    assert words in standing.http.get("/docs").text
    assert words in str(Prediction.__doc__)


def test_drain_is_told_as_what_it_does(standing: Gateway) -> None:
    told = standing.http.get("/openapi.json").json()["paths"]["/drain"]["post"]["description"]
    for words in ("no at once", "Requests are still answered", "nothing is in flight", "DERMSERVE_DRAIN_DEADLINE_S"):
        assert words in told
        assert words in standing.http.get("/docs").text


def test_the_page_explains_every_field_that_the_document_explains(standing: Gateway) -> None:
    page = standing.http.get("/docs").text
    for name, fields in API["components"]["schemas"].items():
        for field, facts in fields.get("properties", {}).items():
            assert "description" not in facts or f"<td>{name}</td><td><code>{field}</code></td>" in page


def test_answers_fit_their_schemas(standing: Gateway) -> None:
    files = [("file", (name, b"IMAGE 0.3 1,0")) for name in "abc"]
    for path, name in (("/v1/predict", "Results"), ("/v1/explain", "Results"), ("/v1/compare", "Comparison")):
        jsonschema.validate(standing.http.post(path, files=[*files, ("file", ("d", b"%PDF"))]).json(), schema(name))
    jsonschema.validate(standing.predict(b"IMAGE abstain").json(), schema("Prediction"))
    jsonschema.validate(standing.http.post("/v1/explain", content=b"IMAGE").json(), schema("Explanation"))
    jsonschema.validate(standing.http.get("/v1/model").json(), schema("Model"))
    jsonschema.validate(standing.predict(b"%PDF").json(), schema("Problem"))
    jsonschema.validate(standing.http.get("/readyz").json(), schema("Readiness"))


def test_a_compared_lesion_is_a_prediction_or_a_failure(standing: Gateway) -> None:
    answer = standing.http.post("/v1/compare", files=[("file", ("a", b"IMAGE")), ("file", ("b", b"%PDF"))]).json()
    for lesion, needed in zip(answer["lesions"], ("threshold", "error"), strict=True):
        del lesion[needed]
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(answer, schema("Comparison"))


def test_the_page_asks_nobody_else_and_runs_no_script(standing: Gateway) -> None:
    answer = standing.http.get("/docs")
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "<script" not in answer.text
    assert "style=" not in answer.text
    linked = re.findall(r'(?:href|src)="([^"]+)"', answer.text)
    assert all(link.startswith(("/", "#")) for link in linked)
    for link in {link for link in linked if link.startswith("/")}:
        assert standing.http.get(link).status_code == 200, link


def test_the_page_shows_a_hostile_host_as_text(standing: Gateway) -> None:
    answer = standing.http.get("/docs", headers={"host": 'a"><script>alert(1)</script>'})
    assert "<script" not in answer.text


def test_the_page_names_the_host_that_it_was_asked_for_and_no_cache_keeps_it(standing: Gateway) -> None:
    answer = standing.http.get("/docs", headers={"host": "clinic.example:8443"})
    assert answer.headers["cache-control"] == "no-store"
    assert 'Client("http://clinic.example:8443")' in unescape(answer.text)
    assert "address.invalid" not in answer.text
    assert "clinic.example" not in standing.http.get("/docs").text


def test_the_page_is_made_once_and_not_for_everybody_who_asks(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Mock(side_effect=docs.render)
    monkeypatch.setattr(docs, "render", made)
    gateway = start(wait=False)
    pages = {gateway.http.get("/docs").text for _ in range(3)}
    assert (len(pages), made.call_count) == (1, 1)


@pytest.mark.parametrize("path", ["/nowhere", "/v1", "/v1/predict/", "/docs/", "/%2e%2e/etc/passwd", "/v1/\N{SNOWMAN}"])
def test_an_unknown_address_is_a_problem(standing: Gateway, path: str) -> None:
    answer = standing.http.get(path, follow_redirects=False)
    assert (answer.status_code, answer.json()["reason"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/predict"), ("DELETE", "/v1/model"), ("GET", "/drain"), ("PUT", "/")]
)
def test_a_wrong_method_is_a_problem_that_names_the_right_one(standing: Gateway, method: str, path: str) -> None:
    answer = standing.http.request(method, path)
    assert (answer.status_code, answer.json()["reason"]) == (405, "method_not_allowed")
    assert answer.headers["allow"]


@pytest.mark.parametrize("locked", [False, True])
def test_schemathesis_finds_nothing(start: Start, tmp_path: Path, locked: bool) -> None:
    """Random valid and invalid requests to every operation; a random body is no image, hence 4xx, never 5xx."""
    import hypothesis

    from gateway.keys import generate

    key, line = generate("tests")
    keys = tmp_path / "keys"
    keys.write_text(f"{line}:0")
    gateway = start(wait=False, **({"api_keys_file": keys} if locked else {}))
    api = schemathesis.openapi.from_url(f"{gateway.url}/openapi.json").exclude(path="/drain")
    checks = [
        check for check in CHECKS.get_all() if check.__name__ not in ("positive_data_acceptance", "max_response_time")
    ]
    if locked:

        @api.auth()
        class Token:
            def get(self, case: schemathesis.Case, context: object) -> str:  # noqa: ARG002
                return key

            def set(self, case: schemathesis.Case, data: str, context: object) -> None:  # noqa: ARG002
                case.headers["Authorization"] = f"Bearer {data}"

    count = 0
    for found in api.get_all_operations():
        operation = found.ok()

        @hypothesis.settings(
            max_examples=15, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck)
        )
        @hypothesis.given(case=operation.as_strategy())
        def send(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=checks)

        send()
        count += 1
    assert count == len(API["paths"]) - 1


def test_the_document_and_the_client_know_every_field_that_the_handler_sends() -> None:
    from gateway.answers import Lesion
    from handler.predictor import Prediction as Sent

    schemas = API["components"]["schemas"]
    known = {*schemas["Prediction"]["properties"], *schemas["Explanation"]["allOf"][1]["properties"]}
    sent = set(Sent.model_fields) - {"features"}  # which /v1/compare keeps for itself
    assert sent == known
    assert sent <= set(Prediction.model_fields)
    assert sent <= set(Lesion.model_fields)
