"""Where the gateway listens."""

from __future__ import annotations

import errno
import socket


def require_usable(host: str, port: int) -> None:
    """Raises ValueError, with what to do, where nobody could listen: uvicorn would tell an error number."""
    try:
        for family, kind, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            why = f"port {port} of {host} is taken: stop its owner, or set PORT to another port"
        elif error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
            why = f"DERMSERVE_GATEWAY_HOST={host} is no address of this machine: 127.0.0.1 is, 0.0.0.0 is every one"
        else:
            why = f"port {port} of {host} cannot be listened on: {error.strerror}; set PORT to another one"
        raise ValueError(why) from None
