"""The way from a client to its gateway: through which proxy, and with whose certificates, as the environment has it."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any, TypeVar
from urllib.request import getproxies, proxy_bypass

import httpx

from gateway.answers import ApiError, NoAnswer

Http = TypeVar("Http", httpx.Client, httpx.AsyncClient)
PROBLEM = "application/problem+json"
OF_A_PROXY = frozenset({502, 503, 504})
"""What a proxy says while the gateway behind it is away."""


class Route:
    """Direct to this machine, whatever the environment says: no photograph leaves it then."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._variable, self._proxy = _proxy(_url(base_url))

    def open(self, library: Callable[..., Http], **options: Any) -> Http:
        """Raises NoAnswer where the environment names what cannot be used."""
        certificates = _certificates()
        try:
            return library(base_url=self._base_url, proxy=self._proxy, verify=certificates, trust_env=False, **options)
        except ImportError as error:
            raise NoAnswer(
                f"{self._variable} names a SOCKS proxy, which needs `pip install 'httpx[socks]'`; "
                "no_proxy names the hosts to ask without a proxy."
            ) from error

    def silence(self, error: httpx.TransportError) -> NoAnswer:
        """What to tell of a request without an answer."""
        if not self._proxy:
            return NoAnswer(f"{self._base_url} gave no answer ({error}): is it running, and the address right?")
        return NoAnswer(
            f"The proxy {self._proxy.url}, of {self._variable}, brought no answer from {self._base_url} ({error}): "
            "do both run, and are their addresses right? no_proxy names the hosts to ask without a proxy."
        )

    def failure(self, response: httpx.Response, document: Mapping[str, Any]) -> ApiError | NoAnswer:
        """What to tell of an answer that is no success."""
        if response.status_code in OF_A_PROXY or _is_a_gateways(response, document):
            return ApiError(response.status_code, document)
        return self.stranger(words(response))

    def stranger(self, said: str) -> NoAnswer:
        """What to tell of an answer that is not a gateway's."""
        via = f" through the proxy {self._proxy.url}, of {self._variable}," if self._proxy else ""
        return NoAnswer(
            f"What answers at {self._base_url}{via} is no gateway: it said {said}. "
            "Is the address right, or does the login page of a network answer in its place?"
        )


def words(response: httpx.Response) -> str:
    """By which the user may know who answers."""
    return f"{response.status_code} with {response.headers.get('content-type', 'no content type')}"


def _is_a_gateways(response: httpx.Response, document: Mapping[str, Any]) -> bool:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == PROBLEM and isinstance(document.get("reason"), str)


def _url(address: str) -> httpx.URL:
    try:
        return httpx.URL(address)
    except httpx.InvalidURL as error:
        raise ValueError(
            f"{address!r} is no address of a gateway ({error}): give it the form http://host:port."
        ) from error


def _proxy(url: httpx.URL) -> tuple[str, httpx.Proxy | None]:
    """And the environment's variable that names it."""
    named = getproxies()
    if _is_here(url.host) or _is_excepted(url, named.get("no", "")):
        return "", None
    for kind in (url.scheme, "all"):
        if address := named.get(kind):
            names = (f"{kind}_proxy", f"{kind}_proxy".upper())
            variable = next((name for name in names if os.environ.get(name)), "the system's settings")
            return variable, _read(address, variable)
    return "", None


def _is_here(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost"
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _is_excepted(url: httpx.URL, no_proxy: str) -> bool:
    if "*" in (entry.strip() for entry in no_proxy.split(",")):
        return True
    return bool(proxy_bypass(url.host) or proxy_bypass(url.netloc.decode()))


def _read(address: str, variable: str) -> httpx.Proxy:
    try:
        proxy = httpx.Proxy(address if "://" in address else f"http://{address}")
    except (httpx.InvalidURL, ValueError):  # whose texts may hold a password
        proxy = None
    if not proxy or not proxy.url.host:
        raise NoAnswer(f"{variable} names no proxy that can be asked: give it the form http://host:port, or unset it.")
    return proxy


def _certificates() -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        if not (path := os.environ.get("SSL_CERT_FILE")):
            raise
        raise NoAnswer(
            f"SSL_CERT_FILE={path} is no file of certificates that can be read ({error}): correct it, or unset it."
        ) from error
