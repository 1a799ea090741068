"""Settings: one typed home, told by --help."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.settings import Settings, describe, read, unknown

ROOT = Path(__file__).parents[2]


def test_help_prints_every_setting_with_its_default() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "gateway", "--help"], capture_output=True, text=True, check=True
    ).stdout
    for name, field in Settings.model_fields.items():
        line = next(line for line in said.splitlines() if f"DERMSERVE_{name.upper()} " in line)
        assert field.description
        assert field.description in line
        assert str(field.default) in line or field.default in (None, ())


def test_the_environment_is_read_and_port_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PORT", raising=False)
    monkeypatch.setenv("DERMSERVE_PORT", "9000")
    monkeypatch.setenv("DERMSERVE_CORS_ORIGINS", "https://a.example, https://b.example")
    monkeypatch.setenv("DERMSERVE_INFERENCE_URL", "http://127.0.0.1:7000/")
    settings = Settings()
    assert settings.port == 9000
    assert settings.cors_origins == ("https://a.example", "https://b.example")
    assert settings.inference_url == "http://127.0.0.1:7000"
    monkeypatch.setenv("PORT", "9001")
    assert Settings().port == 9001


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 70_000},
        {"max_files": 0},
        {"inference_url": "localhost:8080"},
        {"inference_url": "https://127.0.0.1:8080"},
        {"inference_url": "http://"},
        {"inference_url": "http://127.0.0.1:80800"},
        {"management_url": "http://127.0.0.1:8081/models"},
        {"log_level": "loud"},
        {"cors_origins": "foo"},
        {"cors_origins": "https://a.example, https://b.example/"},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("command", [[], ["check"]], ids=["serve", "check"])
def test_wrong_settings_end_the_start_with_a_line_each(command: list[str]) -> None:
    wrong = {"PORT": "80000", "DERMSERVE_INFERENCE_URL": "localhost", "DERMSERVE_MAX_FILES": "few"}
    ended = subprocess.run(
        [sys.executable, "-m", "gateway", *command], env=os.environ | wrong, capture_output=True, text=True
    )
    assert ended.returncode == 1
    assert sorted(line.partition(":")[0] for line in ended.stderr.splitlines()) == [
        "DERMSERVE_INFERENCE_URL=localhost",
        "DERMSERVE_MAX_FILES=few",
        "PORT=80000",
    ]


def test_a_file_that_cannot_be_used_is_told_with_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = tmp_path / "keys"
    binary.write_bytes(b"\xff\xfe\x00")
    monkeypatch.setenv("DERMSERVE_API_KEYS_FILE", str(binary))
    monkeypatch.setenv("DERMSERVE_GOLDEN_IMAGE", "/nope")
    with pytest.raises(ValueError, match="GOLDEN_IMAGE") as told:
        read()
    assert str(told.value).splitlines() == [
        f"DERMSERVE_API_KEYS_FILE: {binary} is not a text file",
        "DERMSERVE_GOLDEN_IMAGE=/nope: No such file or directory",
    ]


def test_a_golden_image_that_is_none_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "golden.jpg"
    monkeypatch.setenv("DERMSERVE_GOLDEN_IMAGE", str(path))
    whole = (ROOT / "gateway" / "golden.jpg").read_bytes()
    for content in (b"", b"%PDF-1.7", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"^DERMSERVE_GOLDEN_IMAGE: .*golden\.jpg is no JPEG"):
            read()
    path.write_bytes(whole)
    assert read().golden_image == path


def test_an_address_where_nobody_can_listen_ends_the_start_with_a_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as owner:
        port = str(owner.getsockname()[1])
        for wrong, told in (
            ({"PORT": port}, f"port {port} of 127.0.0.1 is taken: "),
            (
                {"PORT": "0", "DERMSERVE_GATEWAY_HOST": "192.0.2.1"},
                "DERMSERVE_GATEWAY_HOST=192.0.2.1 is no address of ",
            ),
        ):
            command = [sys.executable, "-m", "gateway", "serve"]
            ended = subprocess.run(command, env=os.environ | wrong, capture_output=True, text=True)
            assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (1, "", 1)
            assert ended.stderr.startswith(told)


def test_a_misspelt_setting_is_named_with_the_one_that_was_meant() -> None:
    told = "DERMSERVE_MAX_FILE is no setting and changes nothing: did you mean DERMSERVE_MAX_FILES?"
    command = [sys.executable, "-m", "gateway"]
    environment = os.environ | {"DERMSERVE_MAX_FILE": "3", "DERMSERVE_WORKERS": "2", "PORT": "0"}
    checked = subprocess.run([*command, "check"], env=environment, capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, f"{told}\n")
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout
        line = json.loads(running.stdout.readline())
        running.terminate()
    assert (line["level"], line["message"]) == ("warning", told)


def test_every_variable_that_anything_here_reads_is_known() -> None:
    folders = ("gateway", "handler", "stack", "image", "bench", "k8s", "lightning_module")
    files = [ROOT / "compose.yaml", ROOT / "config.properties", *(p for f in folders for p in (ROOT / f).rglob("*"))]
    found = {
        variable
        for path in files
        if path.suffix in (".py", ".sh", ".yaml", ".properties")
        for variable in re.findall(r"\bDERMSERVE_[A-Z_]*[A-Z]", path.read_text(encoding="utf-8"))
    }
    assert "DERMSERVE_BACKEND" in found
    assert unknown(dict.fromkeys(found, "")) == []
    assert unknown({"DERMSERVE_QUITE_ELSE": ""})[0].endswith("prints them all")


def test_torchserve_takes_what_the_gateway_takes() -> None:
    properties = (ROOT / "config.properties").read_text()
    largest = re.search(r"^max_request_size=(\d+)", properties, re.MULTILINE)
    assert largest
    assert int(largest[1]) >= Settings().max_image_bytes


def test_the_description_fits_a_terminal() -> None:
    assert max(map(len, describe().splitlines())) < 160
