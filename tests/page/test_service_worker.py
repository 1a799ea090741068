"""What the service worker keeps: the page of this version, whatever answers in its server's place, and no other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Page

from tests.page.conftest import Site, Visitor, heading

pytestmark = pytest.mark.browser


class BadGateway(BaseHTTPRequestHandler):
    """A proxy whose server is gone."""

    def do_GET(self) -> None:
        self.send_error(502)

    def log_message(self, *_: object) -> None:
        pass


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
