"""What `fit` cannot do ends in one line that says what was wrong, before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lightning_module.__main__ import main
from lightning_module.datasets import synthetic
from tests.lightning_module.training import CONFIGS, arguments


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic.render(tmp_path_factory.mktemp("data") / "ham", 40, size=(80, 60))


def test_missing_pretrained_weights_end_in_one_line(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuse)
    given = [f"--config={CONFIGS / 'mobilenet_folders.yaml'}", f"--data.folder={drawn}"]
    with pytest.raises(SystemExit, match=r"weights: null"):
        main(["fit", *given, f"--trainer.default_root_dir={tmp_path}"])


def test_unreadable_images_are_named_before_training(tmp_path: Path) -> None:
    broken = synthetic.render(tmp_path / "broken", 40, size=(80, 60))
    victims = sorted(broken.rglob("*.jpg"))[3:5]
    for victim in victims:
        victim.write_bytes(b"not an image")
    with pytest.raises(SystemExit) as refusal:
        main(arguments(broken, tmp_path / "run"))
    assert all(f"{victim.name}: no JPEG, PNG, BMP, TIFF or WebP file" in str(refusal.value) for victim in victims)


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("--data.batch_size=0", "data.batch_size is 0"),
        ("--data.workers=-1", "data.workers is -1"),
        ("--data.size=-3", "data.size is -3"),
        ("--data.crop=1.5", "data.crop is 1.5"),
        ("--data.val=0", "give data.val and data.test a share"),
        ("--data.val=0.99", "data.test 0.15 and data.val 0.99 are together above 0.9"),
        ("--data.cache_folder=/dev/null", "/dev/null"),
        ("--ckpt_path=nowhere.ckpt", "nowhere.ckpt"),
        ("--model.malignant=[melanoma]", "unknown: ['melanoma']"),
        ("--model.architecture=resnet19", "Unknown architecture 'resnet19'"),
        ("--model.network={depth: 3}", "model.network: small_cnn does not take these options"),
        ("--model.mean=[0.5]", "model.mean and model.std are three numbers each"),
        ("--model.std=[1, 1, 0]", "those of std are above 0"),
        ("--model.view={angle: 3}", "'angle'. It takes size, zoom, shear"),
        ("--model.mix={num_classes: 3}", "It takes mixup, cutmix, alpha."),
        ("--model.loss_options={gama: 2}", "'gama'. It takes label_smoothing"),
        ("--model.optimizer_options={speed: 2}", "model.optimizer_options: "),
        ("--model.schedule=sometimes", "Unknown schedule 'sometimes'"),
        ("--model.loss=bce", "does not fit a softmax head"),
        ("--trainer.callbacks+={class_path: GrowingResolution, init_args: {sizes: {1: 32}}}", "holds from epoch 0"),
        (
            "--trainer.callbacks+={class_path: GrowingResolution, init_args: {sizes: {0: 32, 4: 20}}}",
            "a size of GrowingResolution is 20: Input should be greater than or equal to 28.",
        ),
    ],
)
def test_a_setting_that_cannot_be_ends_in_one_line(drawn: Path, tmp_path: Path, setting: str, complaint: str) -> None:
    with pytest.raises(SystemExit) as refusal:
        main(arguments(drawn, tmp_path / "run", setting))
    assert complaint in str(refusal.value)
    assert "\n" not in str(refusal.value)
