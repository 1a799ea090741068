"""The page as an HTTP client sees it."""

from __future__ import annotations

import asyncio
import io
import json
import re
from html.parser import HTMLParser

import httpx
import pytest
from PIL import Image
from starlette.applications import Starlette

from gateway.page import FOLDER, SECURITY_HEADERS, routes
from gateway.settings import Settings
from handler.notice import NOTICE

BUDGET = 150_000
NAMES = sorted(path.name for path in FOLDER.iterdir())
AT_ROOT = {"index.html": "/", "sw.js": "/sw.js", "manifest.webmanifest": "/manifest.webmanifest"}


class Client:
    """Asks the page's routes, without a server."""

    def __init__(self, **settings: int) -> None:
        self._app = Starlette(routes=routes(Settings(**settings)))

    def get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self._app), base_url="http://test") as client:
                return await client.get(path, headers=headers)

        return asyncio.run(ask())

    def address(self, name: str) -> str:
        """Where a file of the page is found, by the word of the page itself."""
        version = re.search(r"static/(\w+)/app.js", self.get("/").text)
        assert version
        return AT_ROOT.get(name, f"/static/{version[1]}/{name}")


@pytest.fixture(scope="module")
def client() -> Client:
    return Client()


@pytest.mark.parametrize("name", NAMES)
def test_every_file_has_its_type_validator_and_security_headers(client: Client, name: str) -> None:
    types = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}
    types |= {".png": "image/png", ".webmanifest": "application/manifest+json"}
    address = client.address(name)
    answer = client.get(address)
    assert answer.status_code == 200
    assert answer.headers["content-type"].split(";")[0] == types[f".{name.rsplit('.')[-1]}"]
    caching = "no-cache" if name in AT_ROOT else "public, max-age=31536000, immutable"
    assert answer.headers["cache-control"] == caching
    assert {key: answer.headers.get(key) for key in SECURITY_HEADERS} == SECURITY_HEADERS
    again = client.get(address, headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(address, headers={"if-none-match": '"something else"'}).status_code == 200


def test_policy_lets_no_inline_code_and_no_frame_in() -> None:
    policy = SECURITY_HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "*" not in policy


def test_page_of_another_version_still_gets_its_parts_but_must_ask_again(client: Client) -> None:
    answer = client.get("/static/0123456789ab/app.js")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")
    assert client.get("/static/icon.svg").headers["cache-control"] == "no-cache"
    assert client.get("/static/0123456789ab/nothing.js").status_code == 404
    assert client.get("/static/0123456789ab/..%2fpage.py").status_code == 404


def test_compressed_only_for_those_who_understand_it(client: Client) -> None:
    packed = client.get(client.address("style.css"), headers={"accept-encoding": "gzip"})
    plain = client.get(client.address("style.css"), headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.headers["etag"] != plain.headers["etag"]
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert packed.content == plain.content


def test_all_files_together_fit_the_budget_even_uncompressed() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < BUDGET


def test_page_gives_the_notice_word_for_word_without_script(client: Client) -> None:
    text = re.sub(r"<[^>]+>", "", client.get("/").text)
    assert NOTICE in re.sub(r"\s+", " ", text)


def test_page_has_no_inline_code_and_names_only_files_that_exist(client: Client) -> None:
    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found = dict(attrs)
            assert "style" not in found
            assert not [name for name in found if name.startswith("on")]
            assert tag != "script" or found.get("src")
            target = found.get("src") or found.get("href") or ""
            if tag in ("script", "link", "img"):
                assert client.get(f"/{target}").status_code == 200, target

    Reader().feed(client.get("/").text)


def test_page_is_told_the_limits_of_the_server() -> None:
    client = Client(max_files=7)
    assert "&quot;files&quot;: 7" in client.get("/").text


def test_service_worker_keeps_all_that_the_page_needs_and_changes_with_it(client: Client) -> None:
    script = client.get("/sw.js").text
    facts = re.match(r'const VERSION = "(\w+)";\nconst SHELL = (\[.*\]);', script)
    assert facts
    shell = json.loads(facts[2])
    assert sorted(f"/{path.removeprefix('./')}" for path in shell) == sorted(
        client.address(name) for name in NAMES if name != "sw.js"
    )
    other = Client(max_files=7).get("/sw.js").text
    assert other != script


def test_manifest_names_icons_of_the_promised_size(client: Client) -> None:
    manifest = client.get("/manifest.webmanifest").json()
    assert manifest["display"] == "standalone"
    for icon in manifest["icons"]:
        content = client.get(f"/{icon['src']}").content
        if icon["sizes"] != "any":
            width, height = Image.open(io.BytesIO(content)).size
            assert f"{width}x{height}" == icon["sizes"]
    assert {icon["purpose"] for icon in manifest["icons"]} == {"any", "maskable"}


def test_same_files_give_the_same_bytes() -> None:
    one, other = (Client() for _ in range(2))
    assert one.get("/sw.js").headers["etag"] == other.get("/sw.js").headers["etag"]
