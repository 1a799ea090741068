"""`make serve`: what a person sees, from the start to Ctrl-C, and when something is wrong."""

from __future__ import annotations

import concurrent.futures
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

import httpx
import psutil
import pytest

from handler.seal import sealed
from lightning_module import archive as packing
from stack.archive import golden_image
from tests.stack.serving import ROOT, Serving

pytestmark = pytest.mark.stack


def refusal(model_store: Path, environment: Mapping[str, str] | None = None) -> tuple[int, str]:
    """The exit code and the last line of a serve that must not come up."""
    with Serving(model_store, environment=environment) as serving:
        code = serving.wait()
    return code, serving.lines[-1]


class Load:
    """Clients that ask until they are told to stop, each with a new connection for every request."""

    def __init__(self, url: str, image: bytes, clients: int = 8) -> None:
        self.url = url
        self.image = image
        self.statuses: list[int] = []
        self.lost: list[str] = []
        self.warm = threading.Event()
        self.over = threading.Event()
        self.pool = concurrent.futures.ThreadPoolExecutor(clients)
        self.futures = [self.pool.submit(self._ask) for _ in range(clients)]

    def finish(self) -> None:
        self.over.set()
        for future in self.futures:
            future.result()
        self.pool.shutdown()

    def _ask(self) -> None:
        while not self.over.is_set():
            try:
                answer = httpx.post(self.url, content=self.image, headers={"Connection": "close"}, timeout=30)
            except httpx.ConnectError:
                return  # nobody listens any more: this request was never taken
            except httpx.HTTPError as error:
                self.lost.append(repr(error))
                return
            self.statuses.append(answer.status_code)
            if len(self.statuses) > 50:
                self.warm.set()


def test_from_the_start_to_ctrl_c_under_load(model_store: Path) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="a folder's ") as folder,
        Serving(model_store, environment={"TMPDIR": folder}) as serving,
    ):
        serving.wait_ready()
        text = "".join(serving.lines)
        assert [word for word in ("archive", "torchserve  predicts", "gateway     ready") if word not in text] == []

        # The curl line can be pasted as it stands.
        curl = next(line for line in serving.lines if "curl " in line)
        told = subprocess.run(curl, shell=True, capture_output=True, text=True, check=True)
        assert "notice" in json.loads(told.stdout)

        # A second one on the same ports says so and leaves the first alone.
        second = subprocess.run(
            serving.arguments, cwd=ROOT, env=serving.environment, capture_output=True, text=True, check=False
        )
        assert second.returncode == 5
        assert "is taken (another make serve?)" in second.stderr.splitlines()[-1]

        load = Load(f"{serving.gateway_url}/v1/predict", golden_image(model_store / "lesion.mar"))
        assert load.warm.wait(180)
        serving.interrupt()
        assert serving.wait() == 0
        load.finish()
        # The gateway's last answers need TorchServe.
        assert serving.ends() == ["gateway", "torchserve"]
        assert load.lost == []
        assert set(load.statuses) <= {200, 503}
        assert load.statuses.count(503) == 0 or load.statuses.index(503) > 50
        assert serving.survivors() == []
        assert not Path(shlex.split(curl)[4]).exists(), "the scratch folder is gone"


@pytest.mark.parametrize(("word", "name"), [("org.pytorch.serve.ModelServer", "torchserve"), ("gateway", "gateway")])
def test_a_crash_of_either_ends_the_other(model_store: Path, word: str, name: str) -> None:
    with Serving(model_store) as serving:
        serving.wait_ready()
        serving.child(word).send_signal(signal.SIGKILL)
        assert serving.wait() == 7
        assert f"{name} ended by itself (signal SIGKILL)" in serving.lines[-1]
        assert serving.survivors() == []


def test_nothing_outlives_a_killed_supervisor(model_store: Path) -> None:
    with Serving(model_store, "--no-gateway") as serving:
        serving.wait_ready()
        serving.process.kill()
        gone, alive = psutil.wait_procs(serving.family, timeout=30)
        assert alive == []
        assert len(gone) >= 2


def test_ctrl_c_while_it_starts(model_store: Path) -> None:
    with Serving(model_store) as serving:
        serving.wait_for("torchserve  starting")
        serving.family = psutil.Process(serving.process.pid).children(recursive=True)
        serving.interrupt()
        assert serving.wait() == 0
        assert serving.survivors() == []


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_what_is_told_twice_without_haste_ends_it_in_order(model_store: Path, number: signal.Signals) -> None:
    with Serving(model_store) as serving:
        serving.wait_ready()
        serving.process.send_signal(number)
        serving.wait_for("stopping: requests at work")
        serving.process.send_signal(number)
        assert serving.wait() == 0
        assert serving.ends() == ["gateway", "torchserve"]
        assert serving.survivors() == []


INTERRUPTED = """
import sys
from stack import supervisor
from stack.settings import Settings
check = "import os, signal, time; os.kill(os.getppid(), signal.SIGINT); time.sleep(0.2); raise KeyboardInterrupt"
supervisor.Supervisor._gateway = (sys.executable, "-c", check)
sys.exit(supervisor.serve(Settings.read()))
"""


def test_ctrl_c_while_the_settings_are_checked_leaves_no_traceback(tmp_path: Path) -> None:
    serving = Serving(tmp_path)
    serving.arguments = [sys.executable, "-c", INTERRUPTED]
    with serving:
        assert serving.wait() == 0
    [line] = "".join(serving.lines).split("\n")[1:-1]
    assert line.startswith("stopping: ")


def test_a_worker_that_refuses_its_bundle_ends_it(bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(bundle, copy)
    manifest = json.loads((copy / "bundle.json").read_text())
    manifest["golden"][0]["logits"] = [1000.0]
    (copy / "bundle.json").write_text(json.dumps(sealed(manifest)))
    packing.archive(copy, tmp_path / "store" / "lesion.mar")
    code, line = refusal(tmp_path / "store")
    assert code == 6
    assert "worker refused to start" in line
    assert manifest["golden"][0]["file"] in line


def test_a_tampered_archive_is_refused(model_store: Path, tmp_path: Path) -> None:
    shutil.copytree(model_store, tmp_path, dirs_exist_ok=True)
    with (tmp_path / "lesion.mar").open("ab") as stream:
        stream.write(b"one more byte")
    code, line = refusal(tmp_path)
    assert (code, "sha256 differs" in line) == (4, True)


def test_a_folder_whose_path_no_socket_can_have_is_said_at_once(model_store: Path, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    code, line = refusal(model_store, {"TMPDIR": str(deep)})
    assert (code, str(deep) in line, "set TMPDIR to a shorter folder" in line) == (2, True, True)
    assert list(deep.iterdir()) == []


def test_a_missing_archive_is_said(tmp_path: Path) -> None:
    code, line = refusal(tmp_path)
    assert (code, "make archive" in line) == (4, True)


def test_a_wrong_java_is_said(model_store: Path, tmp_path: Path) -> None:
    code, line = refusal(model_store, {"JAVA_HOME": str(tmp_path)})
    assert (code, "JAVA_HOME" in line) == (3, True)


def test_a_taken_port_names_its_variable(model_store: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as owner:
        port = owner.getsockname()[1]
        code, line = refusal(model_store, {"DERMSERVE_METRICS_PORT": str(port)})
    assert (code, str(port) in line, "DERMSERVE_METRICS_PORT" in line) == (5, True, True)


def test_the_container_entry_refuses_a_tampered_archive(model_store: Path, tmp_path: Path) -> None:
    shutil.copytree(model_store, tmp_path, dirs_exist_ok=True)
    (tmp_path / "lesion.mar.sha256").write_text(f"{'0' * 64}  lesion.mar\n")
    environment = os.environ | {"DERMSERVE_MODEL_STORE": str(tmp_path)}
    command = [Serving(tmp_path).arguments[0], "-m", "stack", "torchserve"]
    told = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (told.returncode, "sha256 differs" in told.stderr) == (4, True)
