"""How much an image looks like the lesions that the model learned from.

Three views of an image are each compared with a Gaussian fitted to training lesions: its appearance (an 8 x 8 thumbnail
in opponent colours, with the texture), its texture alone (colour spread and edge energy from fine to coarse) and the
network's pooled features. Their distances add up. Familiarity is the share of held-out lesions that lie at least as
far out, so a limit of 0.01 makes about 1 % of such lesions abstain.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from handler.errors import BundleError
from handler.quality import OPPONENTS, THUMBNAIL, Look, edges

Array = NDArray[np.float32]

LAYOUT = 8
HALVINGS = 4
LAYOUT_LENGTH = LAYOUT * LAYOUT * 3
TEXTURE_LENGTH = 3 + 2 * (1 + HALVINGS)
LENGTH = LAYOUT_LENGTH + TEXTURE_LENGTH
EACH = np.full(THUMBNAIL * THUMBNAIL, THUMBNAIL**-2, np.float32)
HIGHEST_RANK = 64
QUANTILES = np.linspace(0.0, 1.0, 401)
QUANTILE_KEY = "held_out.quantiles"
FAR = 0.98
TINY = np.float32(1e-12)
VIEWS = ("appearance", "texture", "network")
# Variance, on the scale where each number varies by one, added to every direction.
PRIOR = {"appearance": 0.01, "texture": 0.1, "network": 0.01}


class View(NamedTuple):
    """A Gaussian: principal directions with a variance each, one variance for all that is left, and what is usual."""

    mean: Array
    gain: Array
    directions: Array
    corrections: Array
    usual: Array

    def distance(self, x: Array) -> Array:
        """How far each row of `x` is: 0 for the median held-out lesion, 1 for one at the 98th centile."""
        z = (x - self.mean) * self.gain
        along = z @ self.directions
        # The length of z counts as if all of it were left over; along the directions that is then put right.
        squared = np.einsum("ij,ij->i", z, z) + (along * along) @ self.corrections
        median, far = self.usual
        result: Array = (np.log(np.maximum(squared, TINY)) - median) / (far - median)
        return result


@dataclass(frozen=True)
class FamiliarityReference:
    """What training lesions look like; made by `fit`, kept in one file of the bundle."""

    views: dict[str, View]
    quantiles: Array

    def score(self, features: Array, descriptors: Array) -> NDArray[np.float64]:
        """The familiarity, 0 to 1, of each row: pooled features [N, F] beside `describe`d images [N, LENGTH]."""
        distance = _distance(self.views, features, descriptors)
        return 1.0 - np.interp(distance, self.quantiles, QUANTILES)

    def save(self, path: Path) -> None:
        """Writes one .safetensors file."""
        arrays = {f"{name}.{key}": value for name, view in self.views.items() for key, value in view._asdict().items()}
        save_file(
            {name: np.ascontiguousarray(array) for name, array in arrays.items()} | {QUANTILE_KEY: self.quantiles}, path
        )

    @classmethod
    def load(cls, path: Path) -> FamiliarityReference:
        """Reads what `save` wrote."""
        try:
            arrays = load_file(path)
            views = {name: View(*(arrays[f"{name}.{key}"] for key in View._fields)) for name in VIEWS}
            return cls(views, arrays[QUANTILE_KEY])
        except (OSError, SafetensorError, KeyError) as error:
            raise BundleError(f"{path} is no familiarity reference ({error}): make the bundle again") from None


def fit(
    features: Array, descriptors: Array, held_out_features: Array, held_out_descriptors: Array
) -> FamiliarityReference:
    """The reference for a network: its pooled features [N, F] and the `describe`d images [N, LENGTH] of training
    lesions, and the same of lesions that it was not trained on, which say what is usual.
    """
    training = _views(features, _turned(descriptors))
    held_out = _views(held_out_features, held_out_descriptors)
    views = {name: _gaussian(training[name], PRIOR[name], held_out[name]) for name in VIEWS}
    distances = _distance(views, held_out_features, held_out_descriptors)
    return FamiliarityReference(views, np.quantile(distances, QUANTILES).astype(np.float32))


def describe(seen: Look) -> Array:
    """The appearance of one model input as LENGTH numbers."""
    step = THUMBNAIL // LAYOUT
    layout = np.asarray(seen.thumbnail.reduce(step), np.float32) @ OPPONENTS
    colours = seen.opponents.reshape(-1, 3)
    mean = EACH @ colours
    variance = (colours.T @ colours).diagonal() / len(colours) - mean * mean
    spread = np.log(np.sqrt(np.maximum(variance, 0.0)) + 0.01)
    steps = [seen.edges]
    scaled = seen.luminance
    for _ in range(HALVINGS):
        scaled = _halved(scaled)
        steps.append(edges(scaled))
    return np.concatenate([layout.ravel(), spread, np.log(np.array(steps, np.float32).ravel() + 0.75)])


def _halved(y: NDArray[np.int16]) -> NDArray[np.int16]:
    height, width = y.shape[0] // 2 * 2, y.shape[1] // 2 * 2
    rows = y[0:height:2] + y[1:height:2]
    return (rows[:, 0:width:2] + rows[:, 1:width:2]) >> 2


def _views(features: Array, descriptors: Array) -> dict[str, Array]:
    return {"appearance": descriptors, "texture": descriptors[:, LAYOUT_LENGTH:], "network": features}


def _distance(views: dict[str, View], features: Array, descriptors: Array) -> Array:
    inputs = _views(features, descriptors)
    # Added up, since what is no lesion is strange in every way, and an unusual lesion often in one way only.
    result: Array = np.sum([np.maximum(view.distance(inputs[name]), 0.0) for name, view in views.items()], axis=0)
    return result


def _gaussian(training: Array, prior: float, held_out: Array) -> View:
    mean, scale = training.mean(0), training.std(0) + 1e-3
    z = ((training - mean) / scale).astype(np.float64)
    values, directions = np.linalg.eigh(z.T @ z / len(z))
    values, directions = np.maximum(values[::-1], 0.0), directions[:, ::-1]
    rank = min(HIGHEST_RANK, len(values))
    rest = prior + (values[rank:].mean() if rank < len(values) else 0.0)
    view = View(
        mean=mean.astype(np.float32),
        gain=(1.0 / (scale * np.sqrt(rest))).astype(np.float32),
        directions=directions[:, :rank].astype(np.float32),
        corrections=(rest / (values[:rank] + prior) - 1.0).astype(np.float32),
        usual=np.array([0.0, 1.0], np.float32),
    )
    return view._replace(usual=np.quantile(view.distance(held_out), [0.5, FAR]).astype(np.float32))


def _turned(descriptors: Array) -> Array:
    """The descriptors of the images in all eight orientations: a lesion has no upright."""
    layouts = descriptors[:, :LAYOUT_LENGTH].reshape(-1, LAYOUT, LAYOUT, 3)
    spread, edges = np.split(descriptors[:, LAYOUT_LENGTH:], [3], axis=1)
    swapped = edges.reshape(len(edges), -1, 2)[:, :, ::-1].reshape(edges.shape)
    turned = []
    for mirrored in (layouts, layouts.transpose(0, 2, 1, 3)):
        for quarters in range(4):
            layout = np.rot90(mirrored, quarters, axes=(1, 2)).reshape(len(layouts), -1)
            sideways = (quarters % 2 == 1) != (mirrored is not layouts)
            turned.append(np.concatenate([layout, spread, swapped if sideways else edges], axis=1))
    return np.concatenate(turned)
