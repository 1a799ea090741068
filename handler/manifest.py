"""What bundle.json says: the record that training writes and serving obeys."""

from __future__ import annotations

from datetime import datetime
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from handler.decode import Limits
from handler.geometry import Geometry
from handler.notice import NOTICE

Precision = Literal["int8", "bf16", "fp32"]
TOLERANCE: dict[Precision, float] = {"fp32": 1e-2, "bf16": 0.3, "int8": 1.0}
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


def _inside(path: str) -> str:
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or not parts.parts or {"\\", "\0"} & set(path):
        raise ValueError(f"{path!r} must be a relative path inside the bundle")
    return path


BundlePath = Annotated[str, AfterValidator(_inside)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Threshold(Record):
    """The probability at and above which a lesion is called malignant, and what that was measured to mean."""

    sensitivity: Fraction
    value: Fraction
    sensitivity_ci: tuple[Fraction, Fraction]
    specificity: Fraction
    specificity_ci: tuple[Fraction, Fraction]


class QualityLimits(Record):
    """An image below any of these gets no probability."""

    min_sharpness: Fraction = 0.0
    min_exposure: Fraction = 0.0
    min_familiarity: Fraction = 0.0


class Histogram(Record):
    """Calibrated probabilities on the validation data: what drift is measured against."""

    edges: list[Fraction] = Field(min_length=2)
    counts: list[Annotated[int, Field(ge=0)]]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.counts) != len(self.edges) - 1:
            raise ValueError("a histogram has one count fewer than edges")
        if sorted(set(self.edges)) != self.edges:
            raise ValueError("histogram edges must rise")
        return self


class ScoreRange(Record):
    """The images of the test with a score from `lower` to below `upper`, or to 1: how many were malignant."""

    lower: Fraction
    upper: Fraction
    images: int = Field(ge=0)
    malignant: int = Field(ge=0)
    mean_score: Fraction | None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.lower >= self.upper or self.malignant > self.images:
            raise ValueError("a range of scores rises, and holds no more malignant images than images")
        return self


class Tested(BaseModel):
    reliability: list[ScoreRange] = []


class Told(BaseModel):
    """Of the report, what others than its maker read."""

    test: Tested = Tested()


def _legible(report: dict[str, Any]) -> dict[str, Any]:
    try:
        Told.model_validate(report)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from None
    return report


class Normalisation(Record):
    """Per channel, on the 0..1 scale; folded into the OpenVINO graph."""

    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[Positive, Positive, Positive] = (0.229, 0.224, 0.225)


class DataFingerprint(Record):
    name: str
    rows: int = Field(ge=0)
    sha256: Sha256
    licence: str


class Golden(Record):
    """An image of the bundle and the fp32 logits that it must give."""

    file: BundlePath
    logits: list[float]


class Manifest(Record):
    """bundle.json. Since its second version it carries a seal, which is no part of what it tells."""

    schema_version: Literal[2] = 2
    seal: Sha256 | None = Field(default=None, exclude=True)
    name: str = "lesion"
    version: str = "1.0"
    created: datetime
    architecture: str
    architecture_options: dict[str, Any] = Field(default_factory=dict)
    head: Literal["sigmoid", "softmax"]
    classes: list[str] = Field(min_length=1)
    malignant: list[str] = Field(min_length=1)
    geometry: Geometry
    limits: Limits = Limits()
    normalisation: Normalisation = Normalisation()
    temperature: Positive = 1.0
    thresholds: list[Threshold] = Field(min_length=1)
    operating_point: Fraction = 0.95
    quality: QualityLimits = QualityLimits()
    familiarity: BundlePath | None = "familiarity.safetensors"
    reference_scores: Histogram
    backends: dict[Precision, BundlePath] = Field(default_factory=dict)
    preferred: Precision | None = None
    golden: list[Golden] = Field(default_factory=list)
    golden_tolerance: dict[Precision, Positive] = Field(default=TOLERANCE)
    data: DataFingerprint
    code_version: str
    licence: str
    intended_use: str
    notice: str = NOTICE
    files: dict[BundlePath, Sha256]
    report: Annotated[dict[str, Any], AfterValidator(_legible)] = Field(default_factory=dict)

    @property
    def outputs(self) -> int:
        """How many logits the network gives: one for a sigmoid, one a class for a softmax."""
        return 1 if self.head == "sigmoid" else len(self.classes)

    @property
    def malignant_indices(self) -> list[int]:
        """Which logits speak for malignancy."""
        return [0] if self.head == "sigmoid" else [self.classes.index(name) for name in self.malignant]

    @property
    def threshold(self) -> Threshold:
        """The threshold that is served."""
        return next(t for t in self.thresholds if t.sensitivity == self.operating_point)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if not set(self.malignant) <= set(self.classes):
            raise ValueError("every malignant class must be one of the classes")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("class names must differ")
        if self.head == "softmax" and len(self.classes) < 2:
            raise ValueError("a softmax head needs two classes or more")
        if self.operating_point not in [t.sensitivity for t in self.thresholds]:
            raise ValueError(f"no threshold was chosen for the operating point {self.operating_point}")
        if any(len(golden.logits) != self.outputs for golden in self.golden):
            raise ValueError(f"golden logits must have {self.outputs} numbers")
        named = [*self.backends.values(), *(golden.file for golden in self.golden)]
        if self.familiarity is not None:
            named.append(self.familiarity)
        for path in named:
            if path not in self.files:
                raise ValueError(f"{path} is named but has no sha256 under files")
        return self
