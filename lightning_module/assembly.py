"""Puts a bundle together around a trained network, and sets on held-out images all that is chosen after training.

Temperature, thresholds and limits are chosen on what the predictor itself answers from a draft of the bundle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import nn

from handler import backends, decision, familiarity, quality
from handler.bundle import WEIGHTS, Bundle
from handler.decode import Limits, decode
from handler.geometry import Geometry
from handler.manifest import TOLERANCE, Histogram, Manifest, Normalisation, Precision, QualityLimits, Threshold
from handler.predictor import Prediction, Predictor
from lightning_module import calibration, export, packing, quantise, sharing
from lightning_module.evaluation import answers, chunks
from lightning_module.folding import fold_and_round
from lightning_module.metrics import Interval, Scores, auroc
from lightning_module.quantise import Quantisation
from lightning_module.thresholds import at_sensitivity, intervals, rounded_down

SENSITIVITIES = (0.9, 0.95)
OPERATING_POINT = 0.95
CALIBRATION_IMAGES = 300
MOST_AUROC_LOST = 0.003
ABSTAINED = {"sharpness": 0.002, "exposure": 0.002, "familiarity": 0.0175}
"""Shares of held-out lesions that each limit may turn away."""
EDGES = sorted({0.005, 0.01, 0.025, 0.075, *(round(0.05 * step, 2) for step in range(21))})
"""Of the reference scores: every bucket up to 1 of TorchServe's histograms is among them, so PSI compares alike."""
# On a processor whose int8 is further off than this it is not what was measured, and a worker refuses it.
TIMES_THE_GAP, LEAST_TOLERANCE = 4, 0.1
THREADS = 2
FLOAT, INT8, FAMILIARITY = "openvino/float.xml", "openvino/model.xml", "familiarity.safetensors"
UNSET = [Threshold(sensitivity=OPERATING_POINT, value=0.5, sensitivity_ci=(0, 1), specificity=0, specificity_ci=(0, 1))]


@dataclass(frozen=True)
class Trained:
    """A network and what must be known to serve it."""

    network: nn.Module
    architecture: str
    head: Literal["sigmoid", "softmax"]
    classes: list[str]
    malignant: list[str]
    geometry: Geometry
    normalisation: Normalisation = field(default_factory=Normalisation)
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def malignant_indices(self) -> list[int] | None:
        """Which logits of a softmax speak for malignancy; None for a sigmoid."""
        return None if self.head == "sigmoid" else [self.classes.index(name) for name in self.malignant]

    def pixels(self, items: Sequence[bytes]) -> list[NDArray[np.uint8]]:
        """The network's input for encoded images, by the code that serves."""
        return [self.geometry.apply(decode(data, Limits(), self.geometry.target)) for data in items]


@dataclass(frozen=True)
class HeldOut:
    """Encoded images that the network was not trained on, their truth and their groups."""

    items: Sequence[bytes]
    truth: NDArray[np.bool_]
    group: NDArray[np.str_]


@dataclass(frozen=True)
class Outputs:
    """Logits [N, C], pooled features [N, F] and appearance of some images."""

    logits: NDArray[np.float32]
    pooled: NDArray[np.float32]
    descriptors: NDArray[np.float32]


def assemble(
    folder: Path,
    trained: Trained,
    fitting: Sequence[bytes],
    held_out: HeldOut,
    golden: Sequence[bytes],
    known: Mapping[str, Any],
    replicates: int = 1000,
    most_auroc_lost: float = MOST_AUROC_LOST,
) -> tuple[Manifest, Quantisation]:
    """Write a whole bundle but its card into an empty folder. `known` are manifest fields about data and licence.

    `fitting` are images of the training split: int8 is calibrated and familiarity is fitted on them.
    """
    _write_network(folder, trained, fitting[:CALIBRATION_IMAGES])
    draft = dict(known) | {
        "code_version": packing.code_version(),
        "intended_use": packing.INTENDED_USE,
        "architecture": trained.architecture,
        "architecture_options": trained.options,
        "head": trained.head,
        "classes": trained.classes,
        "malignant": trained.malignant,
        "geometry": trained.geometry,
        "normalisation": trained.normalisation,
        "thresholds": UNSET,
        "operating_point": OPERATING_POINT,
        "reference_scores": Histogram(edges=[0.0, 1.0], counts=[0]),
        "backends": {"int8": INT8, "bf16": FLOAT, "fp32": FLOAT},
        "familiarity": None,
    }
    packing.write_manifest(folder, draft)
    full, int8 = (backends.load(Bundle.load(folder), name, THREADS) for name in ("fp32", "int8"))
    unseen = {"fp32": run(full, trained, held_out.items), "int8": run(int8, trained, held_out.items)}
    expected = run(full, trained, golden).logits
    # Alone too: a graph may be compiled otherwise for one image than for several.
    alone = np.concatenate([run(int8, trained, [item]).logits for item in golden])
    golden_gap = float(np.abs([alone - expected, run(int8, trained, golden).logits - expected]).max())
    quantisation = compare(
        trained.malignant_indices,
        unseen["fp32"].logits,
        unseen["int8"].logits,
        held_out,
        golden_gap,
        most_auroc_lost,
    )
    served = int8
    if not quantisation.accepted:
        draft["backends"] = {"bf16": FLOAT, "fp32": FLOAT}
        for suffix in (".xml", ".bin"):
            (folder / INT8).with_suffix(suffix).unlink()
        packing.write_manifest(folder, draft)
        served = backends.load(Bundle.load(folder), "bf16", THREADS)
        unseen["bf16"] = run(served, trained, held_out.items)
    else:
        off = round(max(LEAST_TOLERANCE, TIMES_THE_GAP * golden_gap), 3)
        draft["golden_tolerance"] = TOLERANCE | {"int8": off}
    draft["preferred"] = served.precision
    usual, learned = unseen[served.precision], run(served, trained, fitting)
    reference = familiarity.fit(learned.pooled, learned.descriptors, usual.pooled, usual.descriptors)
    reference.save(folder / FAMILIARITY)
    draft["familiarity"] = FAMILIARITY
    draft["golden"] = packing.write_golden(folder, golden, expected)
    packing.write_manifest(folder, draft)
    draft |= choose(trained, usual.logits, _ask(folder, held_out.items, served.precision), held_out, replicates)
    return packing.write_manifest(folder, draft), quantisation


def run(backend: backends.Backend, trained: Trained, items: Sequence[bytes]) -> Outputs:
    """The raw outputs of a network, before any limit."""
    logits, pooled, descriptors = [], [], []
    for chunk in chunks(items):
        pixels = np.stack(trained.pixels(chunk))
        output = backend.infer(pixels)
        logits.append(output.logits)
        pooled.append(output.features.mean((1, 2)))
        descriptors.append(np.stack([familiarity.describe(quality.look(image)) for image in pixels]))
    return Outputs(np.concatenate(logits), np.concatenate(pooled), np.concatenate(descriptors))


def compare(
    malignant: list[int] | None,
    full: NDArray[np.float32],
    int8: NDArray[np.float32],
    held_out: HeldOut,
    golden_gap: float,
    most_auroc_lost: float,
) -> Quantisation:
    """What int8 loses against fp32, both at the temperature of fp32. `malignant` is None for a sigmoid."""
    temperature = calibration.temperature(full, held_out.truth, malignant)
    ours, theirs = (
        Scores(held_out.truth, _probability(malignant, logits, temperature), held_out.group) for logits in (int8, full)
    )
    lost = auroc(theirs) - auroc(ours)
    largest = float(np.abs(ours.probability - theirs.probability).max())
    return Quantisation(lost, most_auroc_lost, largest, golden_gap)


def choose(
    trained: Trained,
    logits: NDArray[np.float32],
    predictions: Sequence[Prediction],
    held_out: HeldOut,
    replicates: int,
) -> dict[str, Any]:
    """Temperature, thresholds, limits and reference scores, as manifest fields."""
    temperature = calibration.temperature(logits, held_out.truth, trained.malignant_indices)
    scores = Scores(held_out.truth, _probability(trained.malignant_indices, logits, temperature), held_out.group)
    quality_limits = limits(predictions)
    answered = [not decision.reasons(quality_limits, **one.quality.model_dump()) for one in predictions]
    # A bucket holds what lies at or below its edge.
    bins = np.searchsorted(EDGES[1:], scores.probability[answered].round(decision.DIGITS))
    return {
        "temperature": round(temperature, 6),
        "thresholds": [_threshold(scores, sensitivity, replicates) for sensitivity in SENSITIVITIES],
        "quality": quality_limits,
        "reference_scores": Histogram(edges=EDGES, counts=np.bincount(bins, minlength=len(EDGES) - 1).tolist()),
    }


def limits(predictions: Sequence[Prediction]) -> QualityLimits:
    """The limits that turn away at most the shares of ABSTAINED, rounded down to three digits."""
    found = {}
    for name, share in ABSTAINED.items():
        values = [getattr(prediction.quality, name) for prediction in predictions]
        found[f"min_{name}"] = float(np.floor(np.quantile(values, share) * 1000) / 1000)
    return QualityLimits(**found)


def _probability(malignant: list[int] | None, logits: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    log_odds = calibration.malignant_log_odds(logits, malignant, temperature)
    return np.asarray(1.0 / (1.0 + np.exp(-log_odds)))


def _threshold(scores: Scores, sensitivity: float, replicates: int) -> Threshold:
    value = rounded_down(at_sensitivity(scores, sensitivity))
    found = intervals(scores, value, replicates)
    reached, specificity = found["sensitivity"], found["specificity"]
    return Threshold(
        sensitivity=sensitivity,
        value=value,
        sensitivity_ci=_bounds(reached),
        specificity=round(specificity.value or 0.0, 4),
        specificity_ci=_bounds(specificity),
    )


def _bounds(interval: Interval) -> tuple[float, float]:
    if interval.low is None or interval.high is None:
        raise ValueError("too few groups in the validation split for an interval: train on more lesions")
    return round(interval.low, 4), round(interval.high, 4)


def _write_network(folder: Path, trained: Trained, images: Sequence[bytes]) -> None:
    network = fold_and_round(trained.network)
    graph = export.graph(network, trained.geometry.size, trained.normalisation.mean, trained.normalisation.std)
    packing.write_weights(network, folder)
    export.save(graph, folder / FLOAT)
    sharing.share(folder / FLOAT, folder / WEIGHTS)
    export.save(quantise.int8(graph, trained.pixels(images), trained.normalisation), folder / INT8)


def _ask(folder: Path, items: Sequence[bytes], precision: Precision) -> list[Prediction]:
    return answers(Predictor.load(folder, precision, THREADS), chunks(items))
