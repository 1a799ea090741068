"""The one typed home of the gateway's settings; each is an environment variable with the prefix DERMSERVE_."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from gateway import keys

PREFIX = "DERMSERVE_"
ORIGIN = re.compile(r"\*|null|[a-z][a-z0-9+.-]*://[^/?#\sA-Z]+")
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")
OF_OTHERS = (
    *("BACKEND", "CONFIG", "IMAGE", "INFERENCE_HOST", "INFERENCE_PORT", "MANAGEMENT_PORT", "METRICS_PORT"),
    *("MODEL_STORE", "START_SECONDS", "THREADS", "WORKERS"),
)
"""What the stack, the workers, the image's hooks and compose.yaml read: the gateway may share their environment."""


class Settings(BaseSettings):
    """Read from the environment; `python -m gateway --help` prints every one with its default."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, populate_by_name=True, extra="ignore", frozen=True)

    gateway_host: str = Field(default="127.0.0.1", description="address to listen on; 0.0.0.0 in a container")
    port: int = Field(
        default=8000,
        ge=0,
        le=65535,
        validation_alias=AliasChoices("PORT", f"{PREFIX}PORT"),
        description="port; PORT wins",
    )
    inference_url: str = Field(default="http://127.0.0.1:8080", description="TorchServe's inference address")
    management_url: str = Field(default="http://127.0.0.1:8081", description="TorchServe's management address")
    model_name: str = Field(default="lesion", description="the model's name in TorchServe")

    api_keys_file: Path | None = Field(default=None, description="file of hashed API keys; unset: everyone may ask")
    rate_limit_per_minute: int = Field(
        default=600, ge=0, description="images a minute for one API key at each gateway; 0: no limit"
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="origins, comma separated, whose pages may call the API; none: CORS is off"
    )

    max_image_bytes: int = Field(default=20 * 2**20, gt=0, description="largest image")
    max_request_bytes: int = Field(default=64 * 2**20, gt=0, description="largest request body, all files together")
    max_files: int = Field(default=32, gt=0, description="most images in one request")
    max_in_flight: int = Field(
        default=128, gt=0, description="most requests at work, their bodies there; the next is told to come back"
    )
    max_bytes_in_memory: int = Field(default=128 * 2**20, gt=0, description="most bytes of uploads held at once")
    fan_out: int = Field(default=8, gt=0, description="images of one request that are with the model at the same time")

    header_timeout_s: float = Field(default=10, gt=0, description="time for a client to send its request's headers")
    body_idle_timeout_s: float = Field(
        default=10, gt=0, description="longest pause within a body; on average 1 KiB/s must come"
    )
    body_timeout_s: float = Field(default=60, gt=0, description="time for a client to send the whole body")
    send_timeout_s: float = Field(default=30, gt=0, description="time for a client to take an answer")
    keep_alive_s: int = Field(default=75, gt=0, description="how long an idle connection stays open")
    backend_timeout_s: float = Field(
        default=30, gt=0, description="time for TorchServe to answer; what it loses in the first third is asked again"
    )
    retry_after_s: int = Field(default=1, gt=0, description="Retry-After of a busy answer")

    poll_interval_s: float = Field(
        default=1, gt=0, description="how often the management API is asked for workers and queue"
    )
    stale_after_s: float = Field(
        default=10, gt=0, description="age at which the last answer of the management API counts for nothing"
    )
    model_refresh_s: float = Field(
        default=60, gt=0, description="how often manifest and model card are asked for again"
    )
    min_ready_workers: int = Field(default=1, gt=0, description="READY workers that readiness needs")
    golden_image: Path | None = Field(
        default=None, description="image of the golden prediction; unset: the packaged one"
    )

    drain_delay_s: float = Field(
        default=0, ge=0, description="time between unready and the end of accepting, or /drain's answer"
    )
    drain_deadline_s: int = Field(
        default=20, gt=0, description="longest wait after that until no request, old or new, is in flight"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="probes are logged at debug"
    )

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        origins = tuple(part.strip() for part in value.split(",") if part.strip())
        for origin in origins:
            if not ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"{origin!r} is no origin; give one as browsers send it, like https://clinic.example: lower case, "
                    "no path, no slash at the end"
                )
        return origins

    @field_validator("inference_url", "management_url")
    @classmethod
    def _address(cls, value: str) -> str:
        address = value.removesuffix("/")
        try:
            parts = urlsplit(address)
            usable = bool(parts.hostname) and parts.port != 0 and address == f"http://{parts.netloc}"
        except ValueError:
            usable = False
        if not usable:
            raise ValueError("not an address of TorchServe; give http, host and port, like http://127.0.0.1:8080")
        return address


def read() -> Settings:
    """The environment's settings and the files that they name, checked; ValueError has a line for each wrong one."""
    try:
        settings = Settings()
    except ValidationError as error:
        raise ValueError("\n".join(_line(fault) for fault in error.errors())) from None
    lines = []
    for name, path, look in (
        ("api_keys_file", settings.api_keys_file, lambda path: keys.read(path, 0)),
        ("golden_image", settings.golden_image, _look_at_image),
    ):
        try:
            if path:
                look(path)
        except OSError as error:
            lines.append(f"{_variable(name)}={path}: {error.strerror}")
        except ValueError as error:
            lines.append(f"{_variable(name)}: {error}")
    if lines:
        raise ValueError("\n".join(lines))
    return settings


def unknown(environment: Mapping[str, str] = os.environ) -> list[str]:
    """A line for each variable with our prefix that nobody reads: most likely a setting misspelt."""
    known = {*OF_OTHERS, *(field.upper() for field in Settings.model_fields)}
    lines = []
    for variable in sorted(environment):
        name = variable.upper().removeprefix(PREFIX)
        if variable.upper().startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            advice = f"did you mean {PREFIX}{near[0]}?" if near else "--help of gateway and stack prints them all"
            lines.append(f"{variable} is no setting and changes nothing: {advice}")
    return lines


def _look_at_image(path: Path) -> None:
    from PIL import Image  # the gateway needs it for nothing else

    content = path.read_bytes()
    try:
        Image.open(BytesIO(content), formats=FORMATS).load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise ValueError(f"{path} is no {', '.join(FORMATS[:-1])} or {FORMATS[-1]} file, or a damaged one") from None


def _variable(name: str) -> str:
    return name if name.isupper() else PREFIX + name.upper()


def _line(fault: ErrorDetails) -> str:
    return f"{_variable(str(fault['loc'][0]))}={fault['input']}: {fault['msg'].removeprefix('Value error, ')}"


def describe() -> str:
    """Every setting, its default and what it does, as text."""
    lines = []
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, ()) else str(field.default)
        lines.append(f"  {PREFIX + name.upper():36} {default or '-':24} {field.description}")
    return "\n".join(lines)
