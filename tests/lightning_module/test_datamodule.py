"""Batches: right rows, right labels, the served pixels in validation, the same order for the same seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from handler.decode import Limits, decode
from lightning_module import splits
from lightning_module.datamodule import EpochSampler, LesionData
from lightning_module.datasets import synthetic
from lightning_module.datasets.errors import UnknownValues

SEVEN = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic.render(tmp_path_factory.mktemp("data") / "ham", 60, size=(80, 60))


def data(folder: Path, cache: Path, **options: object) -> LesionData:
    settings = {"size": 32, "batch_size": 8, "cache_folder": str(cache), **options}
    module = LesionData(str(folder), **settings)  # type: ignore[arg-type]
    module.prepare_data()
    module.setup()
    return module


def test_validation_sees_exactly_the_served_pixels(folder: Path, tmp_path: Path) -> None:
    module = data(folder, tmp_path)
    batch = next(iter(module.val_dataloader()))
    row = int(batch["row"][0])
    image = decode(module.table.image_bytes(row), Limits(), module.geometry.target)
    np.testing.assert_array_equal(batch["pixels"][0].permute(1, 2, 0).numpy(), module.geometry.apply(image))


def test_loaders_cover_the_split(folder: Path, tmp_path: Path) -> None:
    module = data(folder, tmp_path)
    for loader, rows in ((module.val_dataloader(), module.split.val), (module.test_dataloader(), module.split.test)):
        assert sorted(torch.cat([batch["row"] for batch in loader]).tolist()) == sorted(rows.tolist())
    trained = torch.cat([batch["row"] for batch in module.train_dataloader()]).tolist()
    assert len(trained) == len(set(trained)) == len(module.split.train) // 8 * 8
    assert set(trained) <= set(module.split.train.tolist())


def test_labels_follow_the_head(folder: Path, tmp_path: Path) -> None:
    binary = data(folder, tmp_path)
    batch = next(iter(binary.train_dataloader()))
    assert torch.equal(batch["label"], batch["malignant"])
    seven = data(folder, tmp_path, head="softmax", classes=SEVEN)
    batch = next(iter(seven.train_dataloader()))
    names = [SEVEN[label] for label in batch["label"].tolist()]
    assert names == seven.table.frame["diagnosis"].iloc[batch["row"].tolist()].tolist()
    assert sum(seven.class_counts()) == len(seven.train_rows)


def test_a_diagnosis_outside_the_models_classes_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownValues, match="vasc"):
        data(folder, tmp_path, head="softmax", classes=SEVEN[:-1])


def test_resizing_moves_validation_along(folder: Path, tmp_path: Path) -> None:
    module = data(folder, tmp_path)
    loader = module.val_dataloader()
    module.resize(28)
    assert next(iter(loader))["pixels"].shape[-1] == 28
    assert module.geometry.size == 28


def test_the_description_finds_the_rows_again(folder: Path, tmp_path: Path) -> None:
    described = data(folder, tmp_path, folds=3, fold=1).describe()
    assert described["layout"] == "ham10000"
    assert described["fingerprint"]["rows"] == 60
    again = data(folder, tmp_path / "other", **described["split"])
    assert again.describe() == described


def test_fewer_training_rows_on_request(folder: Path, tmp_path: Path) -> None:
    module = data(folder, tmp_path, one_image_a_lesion=True)
    lesions = module.table.frame["lesion"].iloc[module.train_rows]
    assert not lesions.duplicated().any()
    assert len(module.train_rows) < len(module.split.train)
    few = data(folder, tmp_path, majority_per_site=1)
    assert few.train_rows.tolist() == splits.undersampled(few.table, few.split.train, 1).tolist()
    assert len(few.train_rows) < len(few.split.train)


def test_order_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        sampler = EpochSampler(50, seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(0, 3) == order(0, 3)
    assert order(0, 3) != order(0, 4)
    assert order(0, 3) != order(1, 3)
    assert sorted(order(0, 3)) == list(range(50))


def test_weighted_sampling_evens_out_the_classes(folder: Path, tmp_path: Path) -> None:
    sampler = EpochSampler(4000, 0, np.r_[np.full(3600, 1 / 3600), np.full(400, 1 / 400)])
    rare = np.mean(np.array(list(sampler)) >= 3600)
    assert 0.45 < rare < 0.55
    drawn = torch.cat([batch["row"] for batch in data(folder, tmp_path, weighted_sampling=True).train_dataloader()])
    assert len(drawn.unique()) < len(drawn)  # which a shuffle never does
