"""What the kubelet and kube-state-metrics would say of the pod, names and labels as theirs: no cluster is here."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

METRICS = """\
# TYPE container_memory_working_set_bytes gauge
container_memory_working_set_bytes{container="torchserve"} 7e+08
container_memory_working_set_bytes{container="gateway"} 9e+07
# TYPE container_cpu_usage_seconds_total counter
container_cpu_usage_seconds_total{container="torchserve"} 100
container_cpu_usage_seconds_total{container="gateway"} 10
# TYPE kube_pod_container_resource_limits gauge
kube_pod_container_resource_limits{container="torchserve",resource="memory"} 1.6e+09
kube_pod_container_resource_limits{container="gateway",resource="memory"} 4e+08
# TYPE kube_pod_container_status_restarts_total counter
kube_pod_container_status_restarts_total{container="torchserve"} 0
kube_pod_container_status_restarts_total{container="gateway"} 0
"""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = METRICS.encode()
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A scraper that hangs up is no news."""


@contextmanager
def stand_in() -> Iterator[str]:
    """The address of a server with these metrics."""
    server = _Server(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
