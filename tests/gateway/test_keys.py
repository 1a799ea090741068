"""API keys and their rate limit."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from gateway.keys import Keys, generate, read
from gateway.problems import Problem
from tests.gateway.conftest import Gateway, until
from tests.gateway.fake_torchserve import FakeTorchServe
from tests.gateway.wire import dial, problem, read_all

Start = Callable[..., Gateway]
DIGEST = hashlib.sha256(b"secret").hexdigest()
HEAD_WITH_KEY = ("POST /v1/predict HTTP/1.1", "host: gateway", "x-api-key: secret")


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(f"# callers\nclinic:{DIGEST}\n")
    return path


def test_without_keys_everyone_may_ask(gateway: Gateway) -> None:
    assert gateway.predict().status_code == 200


def test_with_keys_only_a_known_key_may_ask(start: Start, keys_file: Path) -> None:
    gateway = start(api_keys_file=keys_file, wait=False)
    until(gateway.ready)
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic secret"}, {"x-api-key": "wrong"}):
        answer = gateway.predict(headers=headers)
        assert (answer.status_code, answer.json()["reason"]) == (401, "unauthorized")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    for headers in ({"authorization": "Bearer secret"}, {"authorization": "bearer secret"}, {"x-api-key": "secret"}):
        assert gateway.predict(headers=headers).status_code == 200


def test_keys_guard_the_api_and_nothing_else(start: Start, keys_file: Path) -> None:
    gateway = start(api_keys_file=keys_file, wait=False)
    until(gateway.ready)
    for path in ("/v1/predict", "/v1/explain", "/v1/compare"):
        assert gateway.http.post(path, content=b"IMAGE").status_code == 401
    assert gateway.http.get("/v1/model").status_code == 401
    for path in ("/", "/livez", "/readyz", "/metrics", "/docs", "/openapi.json"):
        assert gateway.http.get(path).status_code == 200


def test_the_file_is_read_again_when_it_changes(keys_file: Path) -> None:
    now = 0.0
    keys = Keys(keys_file, 60, clock=lambda: now)
    assert keys.admit("Bearer secret", None) == "clinic"
    key, line = generate("ward")
    replacement = keys_file.with_suffix(".new")
    replacement.write_text(line)
    replacement.replace(keys_file)
    now = 2.0
    assert keys.admit(f"Bearer {key}", None) == "ward"
    with pytest.raises(Problem) as refused:
        keys.admit("Bearer secret", None)
    assert refused.value.reason == "unauthorized"


def test_a_broken_file_leaves_the_keys_as_they_were(keys_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    keys = Keys(keys_file, 60, clock=lambda: now)
    keys_file.write_text("clinic secret in the clear")
    now = 2.0
    assert keys.admit("Bearer secret", None) == "clinic"
    assert "line 1" in caplog.text
    assert "in the clear" not in caplog.text
    keys_file.unlink()
    now = 4.0
    assert keys.admit("Bearer secret", None) == "clinic"


def test_a_broken_file_is_told_once_and_once_more_when_it_is_well(
    keys_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    now = 0.0
    keys = Keys(keys_file, 60, clock=lambda: now)
    well = keys_file.read_text()
    for text in ("clinic", "clinic", "clinic", well, well):
        now += 2.0
        keys_file.write_text(text)
        assert keys.recognise(None, "secret") == "clinic"
    assert caplog.text.count("API keys stay as they were") == 1
    assert caplog.text.count("the reading of the API keys works again") == 1


@pytest.mark.parametrize(
    "line", ["clinic", "clinic:abc", f":{DIGEST}", f"a:{DIGEST}:-1", f"a:{DIGEST}:x", f"a:{DIGEST}\na:{DIGEST}"]
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "keys"
    path.write_text(f"\n{line}\n")
    with pytest.raises(ValueError, match=r"line [23]"):
        read(path, 60)


def test_a_key_may_send_so_many_images_a_minute_and_no_other_key_pays_for_it(keys_file: Path) -> None:
    other = hashlib.sha256(b"other").hexdigest()
    keys_file.write_text(f"clinic:{DIGEST}:2\nward:{other}\n")
    now = 0.0
    keys = Keys(keys_file, 60, clock=lambda: now)
    for _ in range(2):
        keys.admit(None, "secret")
    with pytest.raises(Problem) as refused:
        keys.admit(None, "secret")
    assert (refused.value.reason, refused.value.headers["retry-after"]) == ("rate_limited", "30")
    keys.admit(None, "other")
    now = 30.0
    keys.admit(None, "secret")


def test_a_keys_images_come_back_evenly_and_never_more_than_those_of_a_minute(keys_file: Path) -> None:
    now = 0.0
    keys = Keys(keys_file, 2, clock=lambda: now)

    def sent() -> int:
        """How many images pass before one is refused."""
        count = 0
        with contextlib.suppress(Problem):
            while count < 100:
                keys.admit(None, "secret")
                count += 1
        return count

    assert sent() == 2
    for now, images in ((29.0, 0), (30.0, 1), (59.0, 0), (60.0, 1), (7200.0, 2)):
        assert sent() == images, now


def test_a_file_that_cannot_be_read_for_a_moment_is_tried_again(
    keys_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    keys = Keys(keys_file, 60, clock=lambda: now)
    key, line = generate("ward")
    keys_file.write_text(line)
    with monkeypatch.context() as locked:
        locked.setattr(Path, "read_text", lambda *_, **__: (_ for _ in ()).throw(PermissionError("not yet")))
        now = 2.0
        assert keys.admit("Bearer secret", None) == "clinic"
    now = 4.0
    assert keys.admit(f"Bearer {key}", None) == "ward"


def test_every_image_of_a_request_counts(start: Start, keys_file: Path) -> None:
    gateway = start(api_keys_file=keys_file, rate_limit_per_minute=5, wait=False)
    until(gateway.ready)
    gateway.http.headers["authorization"] = "Bearer secret"
    files = [("file", (str(i), b"IMAGE")) for i in range(5)]
    assert gateway.http.post("/v1/predict", files=files).status_code == 200
    answer = gateway.predict()
    assert (answer.status_code, answer.json()["reason"]) == (429, "rate_limited")
    assert 0 < int(answer.headers["retry-after"]) <= 12


@pytest.fixture
def clinic(start: Start, keys_file: Path) -> Gateway:
    """May send two images a minute."""
    gateway = start(api_keys_file=keys_file, rate_limit_per_minute=2, max_in_flight=1)
    gateway.http.headers["authorization"] = "Bearer secret"
    return gateway


def reasons(*answers: httpx.Response) -> list[str]:
    return [answer.json().get("reason", "none") for answer in answers]


def test_what_a_full_queue_refuses_does_not_count(clinic: Gateway, torchserve: FakeTorchServe) -> None:
    torchserve.queue_full = True
    assert reasons(*(clinic.predict() for _ in range(5))) == ["busy"] * 5
    torchserve.queue_full = False
    assert reasons(*(clinic.predict() for _ in range(3))) == ["none", "none", "rate_limited"]


def test_what_an_absent_model_server_leaves_unanswered_does_not_count(
    clinic: Gateway, torchserve: FakeTorchServe
) -> None:
    torchserve.workers = []
    until(lambda: not clinic.ready())
    assert reasons(*(clinic.predict() for _ in range(5))) == ["backend_unavailable"] * 5
    torchserve.workers = ["READY"]
    until(clinic.ready)
    assert reasons(*(clinic.predict() for _ in range(3))) == ["none", "none", "rate_limited"]


def test_what_finds_no_place_does_not_count_before_its_body_or_after(
    clinic: Gateway, torchserve: FakeTorchServe
) -> None:
    torchserve.hold = threading.Event()
    before = torchserve.started
    with ThreadPoolExecutor() as caller, httpx.Client(base_url=clinic.url, headers=clinic.http.headers) as other:
        late = dial(clinic, *HEAD_WITH_KEY, "content-length: 5", "connection: close", "", "IMAG")
        until(lambda: clinic.metric("gateway_in_flight") == 1)
        first = caller.submit(clinic.predict)
        until(lambda: torchserve.started > before)
        late.sendall(b"E")
        assert problem(read_all(late)) == (b"429", "busy")
        assert reasons(*(other.post("/v1/predict", content=b"IMAGE") for _ in range(5))) == ["busy"] * 5
        torchserve.hold.set()
        assert reasons(first.result()) == ["none"]
    assert reasons(clinic.predict(), clinic.predict()) == ["none", "rate_limited"]


def test_of_a_form_only_the_images_that_the_server_had_time_for_count(
    start: Start, keys_file: Path, torchserve: FakeTorchServe
) -> None:
    gateway = start(api_keys_file=keys_file, rate_limit_per_minute=5, fan_out=1)
    gateway.http.headers["authorization"] = "Bearer secret"
    torchserve.queue_full_after = torchserve.started + 2
    files = [("file", (str(i), f"IMAGE 0.{i} 1,0".encode())) for i in range(4)]
    for endpoint, reason in (("predict", "none"), ("compare", "busy")):
        assert reasons(gateway.http.post(f"/v1/{endpoint}", files=files)) == [reason]
    torchserve.queue_full_after = None
    assert reasons(*(gateway.predict() for _ in range(4))) == ["none", "none", "none", "rate_limited"]


def test_requests_side_by_side_do_not_pass_the_limit(start: Start, keys_file: Path, torchserve: FakeTorchServe) -> None:
    gateway = start(api_keys_file=keys_file, rate_limit_per_minute=2)
    gateway.http.headers["authorization"] = "Bearer secret"
    torchserve.hold = threading.Event()
    with ThreadPoolExecutor() as callers:
        asking = [callers.submit(gateway.predict) for _ in range(6)]
        until(lambda: gateway.metric('gateway_requests_total{code="429",route="/v1/predict"}') == 4)
        torchserve.hold.set()
    assert sorted(reasons(*(asked.result() for asked in asking))) == ["none"] * 2 + ["rate_limited"] * 4


def test_only_images_count(start: Start, keys_file: Path) -> None:
    gateway = start(api_keys_file=keys_file, rate_limit_per_minute=1)
    gateway.http.headers["authorization"] = "Bearer secret"
    assert [gateway.http.get("/v1/model").status_code for _ in range(3)] == [200, 200, 200]
    assert gateway.predict().status_code == 200
    assert gateway.predict().status_code == 429
    assert gateway.http.get("/v1/model").status_code == 200
    model = gateway.http.get("/openapi.json").json()["paths"]["/v1/model"]["get"]["responses"]
    assert ("401" in model, "429" in model) == (True, False)


def test_a_key_can_be_made_on_the_command_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gateway", "key", "clinic"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    path = tmp_path / "keys"
    path.write_text(said[-1])
    key = next(word for word in said if word.startswith("ds_"))
    assert Keys(path, 60).admit(f"Bearer {key}", None) == "clinic"


@pytest.mark.parametrize("name", ["", " ", "a:b", "a#b", "a\nb", "a\N{LINE SEPARATOR}b"])
def test_a_name_that_no_line_can_have_gets_no_key(name: str) -> None:
    command = [sys.executable, "-m", "gateway", "key", name]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "no `:` and no `#`" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_file_without_a_key_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "keys"
    path.write_text("# nobody yet\n")
    assert read(path, 5) == []
    assert "has no key" in caplog.text


def test_a_key_that_takes_the_place_of_another_is_noticed_though_the_file_is_as_long_as_before(keys_file: Path) -> None:
    os.utime(keys_file, (0, 0))
    now = 0.0
    keys = Keys(keys_file, 60, clock=lambda: now)
    assert keys.recognise(None, "secret") == "clinic"
    keys_file.write_text(keys_file.read_text().replace(DIGEST, hashlib.sha256(b"another").hexdigest()))
    now = 1.0
    assert keys.recognise(None, "another") == "clinic"
    with pytest.raises(Problem):
        keys.recognise(None, "secret")


def test_another_limit_holds_as_soon_as_the_file_is_read_again(keys_file: Path) -> None:
    now = 0.0
    keys = Keys(keys_file, 60, clock=lambda: now)
    keys.admit(None, "secret")
    keys_file.write_text(f"clinic:{DIGEST}:1\n")
    now = 1.0
    keys.admit(None, "secret")
    with pytest.raises(Problem, match="may send 1 images a minute"):
        keys.admit(None, "secret")
