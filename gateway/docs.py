"""`/openapi.json`, and `/docs`: the same document as a page, made here, without a script or a third party."""

from __future__ import annotations

import json
import re
from html import escape
from importlib.resources import files
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.openapi import document
from gateway.page import SECURITY_HEADERS
from gateway.problems import KINDS
from gateway.settings import Settings

ADDRESS = b"http://address.invalid"
CALLS = {
    "/v1/predict": "curl -F file=@left-arm.jpg {url}/v1/predict\n\ncurl --data-binary @left-arm.jpg \\\n"
    '     -H "Content-Type: image/jpeg" {url}/v1/predict',
    "/v1/explain": "curl -F file=@left-arm.jpg {url}/v1/explain",
    "/v1/compare": "curl -F file=@left-arm.jpg -F file=@back.jpg -F file=@leg.jpg \\\n     {url}/v1/compare",
    "/v1/model": "curl {url}/v1/model",
    "/drain": "curl -X POST {url}/drain",
}
PYTHON = """from pathlib import Path

from gateway.client import Client

with Client("{url}") as client:
    prediction = client.predict(Path("left-arm.jpg"))
    print(prediction.label, prediction.probability, prediction.notice)"""


def routes(settings: Settings) -> list[Route]:
    """Both forms of the documentation, and the style of the page."""
    api = document(settings)
    machine = json.dumps(api, ensure_ascii=False).encode()
    style = files("gateway").joinpath("docs.css").read_bytes()

    async def openapi(_: Request) -> Response:
        return Response(machine, media_type="application/json", headers={"cache-control": "no-cache"})

    parts = render(api, ADDRESS.decode()).encode().split(ADDRESS)

    async def page(request: Request) -> Response:
        html = escape(f"{request.url.scheme}://{request.url.netloc}").encode().join(parts)
        return Response(html, media_type="text/html", headers={**SECURITY_HEADERS, "Cache-Control": "no-store"})

    async def css(_: Request) -> Response:
        return Response(style, media_type="text/css", headers=SECURITY_HEADERS)

    return [
        Route("/openapi.json", openapi, methods=["GET"]),
        Route("/docs", page, methods=["GET"]),
        Route("/docs.css", css, methods=["GET"]),
    ]


def render(api: dict[str, Any], url: str) -> str:
    """The document as HTML."""
    info = api["info"]
    links = "".join(f'<li><a href="#{_anchor(path)}">{escape(path)}</a></li>' for path in api["paths"])
    operations = "".join(
        _operation(path, method, operation, url)
        for path, methods in api["paths"].items()
        for method, operation in methods.items()
    )
    key = (
        "<p>This server asks for an API key: send it as <code>Authorization: Bearer &lt;key&gt;</code> "
        "or as <code>X-API-Key</code>.</p>"
        if {} not in api["security"]
        else ""
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(info["title"])} API</title>
<link rel="icon" href="/static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/docs.css">
</head>
<body>
<header>
<h1>{escape(info["title"])} API</h1>
<p>{escape(info["summary"])} <strong>{_text(info["description"])}</strong></p>
<nav aria-label="Contents"><ul>{links}<li><a href="#python">Python</a></li><li><a href="#fields">Fields</a></li>
<li><a href="#errors">Errors</a></li><li><a href="/openapi.json">openapi.json</a></li>
<li><a href="/">the page</a></li></ul></nav>
</header>
<main>
{key}
{operations}
<section id="python"><h2>Python</h2><p>Typed, sync (<code>Client</code>) and async (<code>AsyncClient</code>);
busy and lost requests are sent again.</p>{_code(PYTHON.format(url=url))}</section>
<section id="fields"><h2>Fields</h2>
<div class="wide"><table><thead><tr><th>In</th><th>Field</th><th>What it is</th></tr></thead>
<tbody>{_fields(api["components"]["schemas"])}</tbody></table></div></section>
<section id="errors"><h2>Errors</h2>
<p>Every error is <code>application/problem+json</code> (RFC 9457). Decide by <code>reason</code>, which stays;
show <code>detail</code>, which says what to do.</p>
<div class="wide"><table><thead><tr><th>Status</th><th>reason</th><th>What it means</th><th>What to do</th></tr></thead>
<tbody>{_reasons()}</tbody></table></div></section>
</main>
</body>
</html>
"""


def _operation(path: str, method: str, operation: dict[str, Any], url: str) -> str:
    call = CALLS.get(path, "curl {url}" + path).format(url=url)
    return f"""<section id="{_anchor(path)}">
<h2><span class="method">{method.upper()}</span> {escape(path)}</h2>
<p>{_text(operation["summary"])}. {_text(operation.get("description", ""))}</p>
{_code(call)}
{"".join(_response(status, response) for status, response in operation["responses"].items())}
</section>"""


def _response(status: str, response: dict[str, Any]) -> str:
    content = next(iter(response["content"].values()))
    examples = "".join(
        f"<h3>{escape(name)}</h3>{_code(json.dumps(_short(example['value']), indent=2, ensure_ascii=False))}"
        for name, example in content.get("examples", {}).items()
    )
    summary = f"<b>{status}</b> {_text(response['description'])}"
    if not examples:
        return f'<p class="answer">{summary}</p>'
    return f"<details{' open' if status == '200' else ''}><summary>{summary}</summary>{examples}</details>"


def _fields(schemas: dict[str, Any]) -> str:
    return "".join(
        f"<tr><td>{name}</td><td><code>{field}</code></td><td>{_text(facts['description'])}</td></tr>"
        for name, schema in schemas.items()
        for field, facts in schema.get("properties", {}).items()
        if "description" in facts
    )


def _reasons() -> str:
    return "".join(
        f'<tr id="{reason}"><td>{kind.status}</td><td><code>{reason}</code></td>'
        f"<td>{escape(kind.title)}</td><td>{_text(kind.advice)}</td></tr>"
        for reason, kind in sorted(KINDS.items(), key=lambda item: item[1].status)
    )


def _short(value: Any) -> Any:
    """Examples without the long tails of data URIs."""
    if isinstance(value, dict):
        return {key: _short(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_short(item) for item in value]
    if isinstance(value, str) and value.startswith("data:"):
        return value[:32] + "..."
    return value


def _anchor(path: str) -> str:
    return "api" + re.sub(r"\W+", "-", path)


def _text(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _code(text: str) -> str:
    return f'<pre tabindex="0"><code>{escape(text)}</code></pre>'
