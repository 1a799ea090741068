"""The real TorchServe for tests, on free ports and with an archive of a synthetic bundle; one for the whole session.

@pytest.mark.stack
def test_something(torchserve: TorchServe) -> None:
    answer = httpx.post(f"{torchserve.inference_url}/predictions/lesion", content=torchserve.example)
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from handler.seal import sealed
from stack import archive as archives
from stack import probe
from stack.child import die_with_parent

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 180
STOP_SECONDS = 60


class TorchServe:
    """`python -m stack torchserve` on free ports: what a container runs."""

    def __init__(self, model_store: Path, workers: int = 1, environment: Mapping[str, str] | None = None) -> None:
        self.model_store = model_store
        self.workers = workers
        self.extra = dict(environment or {})
        ports = probe.free_ports(5)
        self.inference_port, self.management_port, self.metrics_port, *self.grpc_ports = ports
        self.inference_url = f"http://127.0.0.1:{self.inference_port}"
        self.management_url = f"http://127.0.0.1:{self.management_port}"
        self.metrics_url = f"http://127.0.0.1:{self.metrics_port}"
        # The folder holds Unix sockets, whose paths may have no more than 107 characters.
        self.scratch = tempfile.TemporaryDirectory(prefix="ts-", ignore_cleanup_errors=True)
        self.log = Path(self.scratch.name) / "log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """For `python -m stack`, and for whatever else should find this TorchServe."""
        inference, management = self.grpc_ports
        return (
            os.environ
            | {
                "TEMP": self.scratch.name,
                "DERMSERVE_MODEL_STORE": str(self.model_store),
                "DERMSERVE_WORKERS": str(self.workers),
                "DERMSERVE_THREADS": "1",
                "DERMSERVE_INFERENCE_PORT": str(self.inference_port),
                "DERMSERVE_MANAGEMENT_PORT": str(self.management_port),
                "DERMSERVE_METRICS_PORT": str(self.metrics_port),
                "DERMSERVE_INFERENCE_URL": self.inference_url,
                "DERMSERVE_MANAGEMENT_URL": self.management_url,
                "TS_GRPC_INFERENCE_PORT": str(inference),
                "TS_GRPC_MANAGEMENT_PORT": str(management),
            }
            | self.extra
        )

    @property
    def example(self) -> bytes:
        """A golden image of the archive."""
        return archives.golden_image(self.model_store / "lesion.mar")

    def __enter__(self) -> Self:
        self.start()
        self.wait_ready()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts it and does not wait."""
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stack", "torchserve"],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def wait_ready(self) -> None:
        """Returns once every worker is ready to predict."""
        assert self.process is not None
        deadline = time.monotonic() + START_SECONDS
        while self.ready_workers() < self.workers:
            if self.process.poll() is not None or time.monotonic() > deadline:
                told = self.log.read_text(errors="replace")
                self.stop()
                raise RuntimeError(f"TorchServe did not come up:\n{told}")
            time.sleep(0.05)

    def describe(self) -> dict[str, Any]:
        """The management API's word on the model."""
        [told] = httpx.get(f"{self.management_url}/models/lesion").json()
        return dict(told)

    def ready_workers(self) -> int:
        """How many workers can predict now."""
        try:
            return sum(worker["status"] == "READY" for worker in self.describe()["workers"])
        except (httpx.HTTPError, ValueError, KeyError):
            return 0

    def predict(self, image: bytes, verb: str = "predictions") -> httpx.Response:
        """POSTs the raw bytes."""
        return httpx.post(f"{self.inference_url}/{verb}/lesion", content=image, timeout=60)

    def stop(self) -> int:
        """SIGTERM, then SIGKILL for whatever is left; the exit code."""
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            return self.process.wait()
        finally:
            self.scratch.cleanup()


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic bundle of random weights that abstains when it is shown a blank image."""
    from lightning_module import synthetic_bundle

    folder = synthetic_bundle.make(tmp_path_factory.mktemp("bundle") / "lesion")
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["quality"] |= {"min_sharpness": 0.02, "min_exposure": 0.02}
    (folder / "bundle.json").write_text(json.dumps(sealed(manifest)))
    return folder


@pytest.fixture(scope="session")
def model_store(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model store with the archive of the synthetic bundle."""
    from lightning_module import archive

    folder = tmp_path_factory.mktemp("model_store")
    archive.archive(bundle, folder / "lesion.mar")
    return folder


@pytest.fixture(scope="session")
def torchserve(model_store: Path) -> Iterator[TorchServe]:
    """The session's TorchServe, with two workers. Tests share it: change nothing in it."""
    with TorchServe(model_store, workers=2) as server:
        yield server
