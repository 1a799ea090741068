"""What the gateway answers, as types: for the client, and for whoever reads its answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class Served(_Model):
    """Which model answered."""

    name: str
    version: str
    sha256: str


class Prediction(_Model):
    """The answer for one image; `notice` goes wherever `probability` goes, and `legend` wherever `heatmap` goes.

    `sensitivity` is the sensitivity that the threshold was chosen for, on validation data; `Client.model` has what was
    measured.
    """

    label: Literal["malignant", "benign", "abstain"]
    probability: float | None
    threshold: float
    sensitivity: float
    reasons: list[str]
    quality: dict[str, float | None]
    model: Served
    notice: str
    classes: dict[str, float] | None = None
    heatmap: str | None = None
    legend: str | None = None
    filename: str | None = None


class Lesion(_Model):
    """One lesion of a comparison: what its `Prediction` would say, or in `error` why it could not be analysed.

    With `same_as` it is a copy of the file at that index: both are one lesion, with one rank and distance.
    """

    index: int
    filename: str | None
    rank: int | None
    score: float | None
    distance: float | None
    score_difference: float | None
    ugly_duckling: bool
    same_as: int | None = None
    label: Literal["malignant", "benign", "abstain"] | None = None
    probability: float | None = None
    threshold: float | None = None
    sensitivity: float | None = None
    reasons: list[str] = []
    quality: dict[str, float | None] = {}
    model: Served | None = None
    notice: str | None = None
    classes: dict[str, float] | None = None
    heatmap: str | None = None
    legend: str | None = None
    error: dict[str, Any] | None = None


class Comparison(_Model):
    """Several lesions of one patient by rank."""

    lesions: list[Lesion]
    ugly_duckling: int | None
    reason: str
    notice: str | None


class Description(_Model):
    """The served model's manifest and its card."""

    manifest: dict[str, Any]
    card: str


class ApiError(Exception):
    """A problem that the gateway reported: decide by `reason`, show `detail`."""

    def __init__(self, status: int, problem: Mapping[str, Any], filename: str | None = None) -> None:
        self.status = status
        self.problem = problem
        self.reason = str(problem.get("reason") or "unknown")
        self.detail = str(problem.get("detail") or f"The server answered {status}.")
        self.request_id = problem.get("request_id")
        self.filename = filename
        super().__init__(f"{self.reason}: {self.detail}")


class NoAnswer(ConnectionError):
    """The gateway could not be reached, or the connection was lost, as often as it was tried; or something that is no
    gateway answered; or the environment's proxy or certificates are no way to it."""
