"""The page: static files held in memory, sent with validators, compression and headers that let nothing else in."""

from __future__ import annotations

import gzip
import json
import mimetypes
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from pathlib import Path

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

    def respond(self, request: Request) -> Response:
        """The file, or 304 when the browser already has these very bytes."""
        packed = self.packed is not None and "gzip" in request.headers.get("accept-encoding", "")
        etag = f'"{self.digest}-gz"' if packed else f'"{self.digest}"'
        headers = {**SECURITY_HEADERS, "ETag": etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
        if etag in known or "*" in known:
            return Response(status_code=304, headers=headers)
        if packed:
            headers["Content-Encoding"] = "gzip"
        return Response(self.packed if packed else self.plain, media_type=self.media_type, headers=headers)


def load(settings: Settings) -> dict[str, Asset]:
    """Every file of the page by its name; the page is told the limits, its service worker what to keep for offline."""
    contents = {path.name: path.read_bytes() for path in sorted(FOLDER.iterdir())}
    contents[ENTRY] = contents[ENTRY].replace(LIMITS, escape(json.dumps(limits(settings))).encode())
    version = sha256(b"".join(name.encode() + content for name, content in contents.items())).hexdigest()[:12]
    shell = ["./", MANIFEST, *(f"static/{name}" for name in contents if name not in {ENTRY, WORKER, MANIFEST})]
    facts = f"const VERSION = {json.dumps(version)};\nconst SHELL = {json.dumps(shell)};\n"
    contents[WORKER] = facts.encode() + contents[WORKER]
    return {name: Asset.of(name, content) for name, content in contents.items()}


def limits(settings: Settings) -> dict[str, int]:
    """What the page need not send because it would be refused."""
    return {
        "image": settings.max_image_bytes,
        "request": settings.max_request_bytes,
        "files": settings.max_files,
    }


def routes(settings: Settings) -> list[BaseRoute]:
    """`/`, the service worker and the manifest at the root, everything else under `/static/`."""
    assets = load(settings)
    at_root = {"/": assets.pop(ENTRY), f"/{WORKER}": assets.pop(WORKER), f"/{MANIFEST}": assets.pop(MANIFEST)}
    placed = {**at_root, **{f"/static/{name}": asset for name, asset in assets.items()}}

    def serve(path: str, asset: Asset) -> Route:
        async def send(request: Request) -> Response:
            return asset.respond(request)

        return Route(path, send, methods=["GET"], name=f"page:{path}", include_in_schema=False)

    return [serve(path, asset) for path, asset in placed.items()]
