"""The page: static files held in memory, sent with validators, compression and headers that let nothing else in."""

from __future__ import annotations

import gzip
import json
import mimetypes
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.settings import Settings

FOLDER = Path(__file__).parent / "static"

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types dermserve",
    )
)

SECURITY_HEADERS: dict[str, str] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), interest-cohort=()",
}

MEDIA_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
COMPRESSED = {".js", ".css", ".html", ".svg", ".webmanifest"}
ENTRY, WORKER, MANIFEST = "index.html", "sw.js", "manifest.webmanifest"
LIMITS = b"{limits}"
ANEW, FOR_EVER = "no-cache", "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Asset:
    """One file, ready to send as it is or compressed."""

    media_type: str
    plain: bytes
    packed: bytes | None
    digest: str

    @classmethod
    def of(cls, name: str, content: bytes) -> Asset:
        suffix = Path(name).suffix
        media_type = MEDIA_TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        packed = gzip.compress(content, mtime=0) if suffix in COMPRESSED else None
        return cls(media_type, content, packed, sha256(content).hexdigest()[:20])

    def respond(self, request: Request, caching: str) -> Response:
        """The file, or 304 when the browser already has these very bytes."""
        packed = self.packed is not None and "gzip" in request.headers.get("accept-encoding", "")
        etag = f'"{self.digest}-gz"' if packed else f'"{self.digest}"'
        headers = {**SECURITY_HEADERS, "ETag": etag, "Cache-Control": caching, "Vary": "Accept-Encoding"}
        known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
        if etag in known or "*" in known:
            return Response(status_code=304, headers=headers)
        if packed:
            headers["Content-Encoding"] = "gzip"
        return Response(self.packed if packed else self.plain, media_type=self.media_type, headers=headers)


class Edition:
    """Every file of the page as it is now; the addresses of its parts carry the version of the whole."""

    def __init__(self, settings: Settings) -> None:
        contents = {path.name: path.read_bytes() for path in sorted(FOLDER.iterdir())}
        contents[ENTRY] = contents[ENTRY].replace(LIMITS, escape(json.dumps(limits(settings))).encode())
        self.version = sha256(b"".join(name.encode() + content for name, content in contents.items())).hexdigest()[:12]
        for name in (ENTRY, MANIFEST):
            contents[name] = contents[name].replace(b'"static/', f'"static/{self.version}/'.encode())
        parts = [f"static/{self.version}/{name}" for name in contents if name not in {ENTRY, WORKER, MANIFEST}]
        facts = f"const VERSION = {json.dumps(self.version)};\nconst SHELL = {json.dumps(['./', MANIFEST, *parts])};\n"
        contents[WORKER] = facts.encode() + contents[WORKER]
        self.assets = {name: Asset.of(name, content) for name, content in contents.items()}

    async def at_root(self, request: Request) -> Response:
        """The page itself, its worker and its manifest: asked for anew each time, and seldom sent."""
        return self.assets[request.url.path.rpartition("/")[2] or ENTRY].respond(request, ANEW)

    async def part(self, request: Request) -> Response:
        """A script, a style, an icon; also for a page of the version before, while a new one is rolled out."""
        asset = self.assets.get(request.path_params["name"])
        if asset is None:
            raise HTTPException(404)
        return asset.respond(request, FOR_EVER if request.path_params.get("version") == self.version else ANEW)


def limits(settings: Settings) -> dict[str, int]:
    """What the page need not send because it would be refused."""
    return {
        "image": settings.max_image_bytes,
        "request": settings.max_request_bytes,
        "files": settings.max_files,
    }


def routes(settings: Settings) -> list[BaseRoute]:
    """`/`, the service worker and the manifest at the root, everything else under `/static/<version>/`."""
    edition = Edition(settings)
    return [
        *(Route(f"/{path}", edition.at_root, methods=["GET"]) for path in ("", WORKER, MANIFEST)),
        Route("/static/{version}/{name}", edition.part, methods=["GET"]),
        Route("/static/{name}", edition.part, methods=["GET"]),
    ]
