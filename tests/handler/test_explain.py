"""The map lights up where the evidence is, has the size of the crop, and says what it is not."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from handler.bundle import WEIGHTS, Bundle
from handler.explain import Explainer, direction
from tests.handler.conftest import Edit
from tests.handler.manifests import manifest


def opened(uri: str) -> np.ndarray:
    head, _, body = uri.partition(",")
    assert head == "data:image/png;base64"
    image = Image.open(io.BytesIO(base64.b64decode(body)))
    assert image.format == "PNG"
    assert image.mode == "RGBA"
    return np.asarray(image)


def test_evidence_in_one_corner_colours_that_corner(sigmoid_bundle: Path) -> None:
    bundle = Bundle.load(sigmoid_bundle)
    weights = load_file(sigmoid_bundle / WEIGHTS)["head.weight"].astype(np.float32)
    features = np.zeros((4, 4, weights.shape[1]), np.float32)
    features[0, 3] = weights[0]
    features[3, 0] = -weights[0]
    pixels = opened(Explainer(bundle).heatmap(features, np.zeros(1, np.float32)))
    size = bundle.manifest.geometry.size
    assert pixels.shape == (size, size, 4)
    alpha = pixels[..., 3]
    quarter = size // 4
    assert alpha[:quarter, -quarter:].mean() > 100
    assert alpha[-quarter:, :quarter].max() < 10
    assert alpha.max() < 255


def test_no_evidence_leaves_the_image_untouched(softmax_bundle: Path) -> None:
    bundle = Bundle.load(softmax_bundle)
    features = np.zeros((4, 4, 32), np.float32)
    assert opened(Explainer(bundle).heatmap(features, np.zeros(7, np.float32)))[..., 3].max() == 0


def test_a_network_without_a_linear_head_says_so(sigmoid_bundle: Path, edited: Edit) -> None:
    folder = edited(sigmoid_bundle, lambda _: None)
    tensors = load_file(folder / WEIGHTS)
    save_file({name: tensor for name, tensor in tensors.items() if name != "head.weight"}, folder / WEIGHTS)
    edited(sigmoid_bundle, lambda _: None, refresh=(WEIGHTS,))
    explainer = Explainer(Bundle.load(folder))
    assert "cannot tell" in explainer.legend
    features = np.zeros((4, 4, 32), np.float32)
    features[0, 0] = 1
    assert opened(explainer.heatmap(features, np.zeros(1, np.float32)))[..., 3].max() > 100


def test_the_legend_says_what_the_map_is_not(sigmoid_bundle: Path) -> None:
    legend = Explainer(Bundle.load(sigmoid_bundle)).legend
    assert "no outline" in legend
    assert "no medical finding" in legend


@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("head", ["sigmoid", "softmax"])
def test_the_direction_is_that_in_which_the_served_log_odds_rise(head: str, temperature: float) -> None:
    rng = np.random.default_rng(0)
    count = 1 if head == "sigmoid" else 4
    names = ["malignant"] if head == "sigmoid" else list("abcd")
    malignant = names if head == "sigmoid" else ["b", "d"]
    known = manifest(head=head, classes=names, malignant=malignant, temperature=temperature)
    weights = rng.normal(size=(count, 5)).astype(np.float32)
    feature = rng.normal(size=5)

    def log_odds(x: np.ndarray) -> float:
        logits = weights.astype(float) @ x / temperature
        if head == "sigmoid":
            return float(logits[0])
        chosen = np.isin(names, malignant)
        return float(np.log(np.exp(logits[chosen]).sum() / np.exp(logits[~chosen]).sum()))

    step = 1e-5
    numeric = [(log_odds(feature + step * e) - log_odds(feature - step * e)) / (2 * step) for e in np.eye(5)]
    logits = (weights @ feature.astype(np.float32)).astype(np.float32)
    # How long it is does not matter: the map is scaled to its strongest place.
    assert direction(known, weights, logits) == pytest.approx(temperature * np.array(numeric), abs=1e-4)
