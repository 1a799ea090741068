"""The real gateway on a free port before an arranged TorchServe, and a real Chromium in front of it."""

from __future__ import annotations

import os
import shutil
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import uvicorn
from playwright.sync_api import Browser, ConsoleMessage, FilePayload, Page, Response, expect, sync_playwright

from gateway.app import create
from gateway.settings import Settings
from lightning_module.datasets.rendering import lesion_jpeg
from stack.probe import free_ports
from tests.page.upstream import ArrangedTorchServe, answer
from tests.torchserve import TorchServe

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str | None:
    """Where Debian's Chromium, or another, lies on this machine."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Site:
    """The gateway in a thread; it can be stopped and started again on its port, as on a bad connection."""

    def __init__(self, upstream: ArrangedTorchServe | TorchServe, **settings: Any) -> None:
        [self.port] = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self._settings = Settings(
            port=self.port,
            inference_url=upstream.inference_url,
            management_url=upstream.management_url,
            poll_interval_s=0.1,
            **settings,
        )

    def start(self) -> None:
        """Returns once the gateway says that it is ready."""
        config = uvicorn.Config(
            create(self._settings),
            host="127.0.0.1",
            port=self.port,
            log_level="critical",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.url}/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.02)
        raise TimeoutError("the gateway did not become ready")

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)


@dataclass
class Visitor:
    """A page in Chromium, and everything it did that a test may want to judge."""

    page: Page
    site: Site
    requested: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    answers: list[Response] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("request", lambda request: self.requested.append(request.url))
        self.page.on("response", lambda answer: self.answers.append(answer))
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda error: self.violations.append(str(error)))

    def _listen(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text or "TrustedScript" in message.text:
            self.violations.append(message.text)

    def open(self, path: str = "/") -> Page:
        self.page.goto(f"{self.site.url}{path}")
        expect(self.page.locator("#status")).to_have_attribute("data-state", "ready")
        return self.page

    def choose(self, *files: FilePayload) -> None:
        self.page.locator("#choose").set_input_files(list(files))

    def drop(self, *files: FilePayload) -> None:
        """As a hand does it: files carried over the page and let go."""
        carried = [[file["name"], file["mimeType"], b64encode(file["buffer"]).decode()] for file in files]
        self.page.evaluate(
            """(carried) => {
                const dataTransfer = new DataTransfer();
                for (const [name, type, content] of carried) {
                    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
                    dataTransfer.items.add(new File([bytes], name, { type }));
                }
                for (const event of ["dragenter", "dragover", "drop"])
                    document.querySelector("#intake").dispatchEvent(
                        new DragEvent(event, { dataTransfer, bubbles: true, cancelable: true }));
            }""",
            carried,
        )

    def paste(self, file: FilePayload) -> None:
        self.page.evaluate(
            """([name, type, content]) => {
                const clipboardData = new DataTransfer();
                const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
                clipboardData.items.add(new File([bytes], name, { type }));
                document.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
            }""",
            [file["name"], file["mimeType"], b64encode(file["buffer"]).decode()],
        )


def heading(page: Page, words: str) -> None:
    """Wait until this heading can be seen."""
    expect(page.get_by_role("heading", name=words)).to_be_visible()


Lesions = Callable[..., FilePayload]
SIZES: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 860}},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
}


@pytest.fixture(scope="session")
def upstream() -> Iterator[ArrangedTorchServe]:
    server = ArrangedTorchServe()
    yield server
    server.close()


@pytest.fixture(scope="session")
def site(upstream: ArrangedTorchServe) -> Iterator[Site]:
    site = Site(upstream)
    site.start()
    yield site
    site.stop()


@pytest.fixture
def fragile(upstream: ArrangedTorchServe) -> Iterator[Site]:
    """A gateway of its own, for tests that stop it."""
    site = Site(upstream)
    site.start()
    yield site
    site.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Ends with its module: while Playwright runs, no other test of this thread could run an event loop."""
    path = chromium()
    if path is None:
        reason = f"no Chromium on PATH ({', '.join(NAMES)}): apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        print(f"skipped: {reason}")
        pytest.skip(reason)
    with sync_playwright() as playwright:
        expect.set_options(timeout=20_000)
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visitor]]:
    """Opens visitors; at the end, none may have asked a third party or broken the content security policy."""
    visitors: list[Visitor] = []

    def come(site: Site, size: str = "desktop", **options: Any) -> Visitor:
        context = browser.new_context(**({"service_workers": "block"} | SIZES[size] | options))
        visitor = Visitor(context.new_page(), site)
        visitor.watch()
        visitors.append(visitor)
        return visitor

    yield come
    for visitor in visitors:
        visitor.page.context.close()
        own = (f"{visitor.site.url}/", f"blob:{visitor.site.url}/", "data:")
        assert [url for url in visitor.requested if not url.startswith(own)] == []
        assert visitor.violations == []


@pytest.fixture(params=list(SIZES))
def visitor(visit: Callable[..., Visitor], site: Site, request: pytest.FixtureRequest) -> Visitor:
    """Somebody in front of the page, once at a desk and once with a phone."""
    found = visit(site, request.param)
    found.open()
    return found


@pytest.fixture
def desk(visit: Callable[..., Visitor], site: Site) -> Visitor:
    """Somebody at a desk."""
    found = visit(site)
    found.open()
    return found


@pytest.fixture
def lesion(upstream: ArrangedTorchServe) -> Lesions:
    """lesion(name, probability or None, *reasons, look=, angle=): a drawn image and the answer it will get."""
    seeds = iter(range(1000))

    def draw(
        name: str, probability: float | None, *reasons: str, look: str = "nv", angle: float = 0.0, **more: Any
    ) -> FilePayload:
        seed = next(seeds)
        image = lesion_jpeg(look, seed, seed, (240, 180))
        upstream.arrange(image, answer(probability, *reasons, **more), angle)
        return {"name": name, "mimeType": "image/jpeg", "buffer": image}

    return draw
