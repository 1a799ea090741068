"""What the service worker keeps: the page of this version, whatever answers in its server's place, and no other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Page

from tests.page.conftest import Site, Visitor, heading

pytestmark = pytest.mark.browser


class Silent(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class BadGateway(Silent):
    """A proxy whose server is gone."""

    def do_GET(self) -> None:
        self.send_error(502)


class LoginPage(Silent):
    """A network that wants its user to sign in, whatever was asked for."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<h1>Sign in</h1>")


def installed(visitor: Visitor) -> Page:
    page = visitor.open()
    page.wait_for_function("() => navigator.serviceWorker.controller !== null")
    return page


def test_the_copy_opens_where_a_proxy_answers_that_the_server_is_gone(
    visit: Callable[..., Visitor], fragile: Site
) -> None:
    page = installed(visit(fragile, service_workers="allow"))
    fragile.stop()
    with ThreadingHTTPServer(("127.0.0.1", fragile.port), BadGateway) as proxy:
        serving = threading.Thread(target=proxy.serve_forever)
        serving.start()
        try:
            page.reload()
            heading(page, "Look closer at a skin lesion")
        finally:
            proxy.shutdown()
            serving.join()


def test_a_login_page_does_not_take_the_place_of_the_model_card(visit: Callable[..., Visitor], fragile: Site) -> None:
    page = installed(visit(fragile, service_workers="allow"))
    card = "async () => (await (await fetch('v1/model')).text()).slice(0, 8)"
    known = page.evaluate(card)
    fragile.stop()
    with ThreadingHTTPServer(("127.0.0.1", fragile.port), LoginPage) as network:
        serving = threading.Thread(target=network.serve_forever)
        serving.start()
        try:
            assert page.evaluate(card) == "<h1>Sign"
        finally:
            network.shutdown()
            serving.join()
    assert page.evaluate(card) == known


def test_copies_of_earlier_versions_are_deleted_and_the_model_card_is_kept(
    visit: Callable[..., Visitor], fragile: Site
) -> None:
    visitor = visit(fragile, service_workers="allow")
    earlier = ["dermserve-0123456789ab", "dermserve-model"]
    visitor.page.goto(f"{fragile.url}/livez")
    visitor.page.evaluate("(names) => Promise.all(names.map((name) => caches.open(name)))", earlier)
    kept = installed(visitor).evaluate("caches.keys()")
    assert len(kept) == 2
    assert set(kept) & set(earlier) == {"dermserve-model"}
