"""The head of a request: what in it cannot be served, and how it reads without the wish for another protocol."""

from __future__ import annotations

from gateway.problems import Problem

LARGEST = 32 * 2**10
Headers = list[tuple[bytes, bytes]]


def fault(method: bytes, version: str, url: bytes, headers: Headers) -> Problem | None:
    """Why no request with such a head is answered."""
    if len(url) + sum(len(name) + len(value) for name, value in headers) > LARGEST:
        return Problem("head_too_large")
    if method == b"CONNECT":  # httptools cannot read its address
        return Problem("unknown_method")
    if version not in ("1.0", "1.1"):
        return Problem("malformed_request")
    hosts = sum(name == b"host" for name, _ in headers)
    if hosts > 1 or (hosts == 0 and version != "1.0"):
        return Problem("malformed_request", "Send the header `Host` once: HTTP/1.1 requires it.")
    codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
    if codings and (codings != [b"chunked"] or version == "1.0"):  # else a proxy may see other requests than we do
        return Problem("malformed_request", "Send the header `Transfer-Encoding` once, as `chunked`, or leave it out.")
    return None


def without_upgrade(method: bytes, version: str, url: bytes, headers: Headers) -> bytes:
    """The same head as bytes, and for the parser a request like any other: it takes both headers to ask for more."""
    lines = [name + b": " + value for name, value in headers if name != b"upgrade"]
    return b"\r\n".join([b"%b %b HTTP/%b" % (method, url, version.encode()), *lines, b"", b""])
