"""`python -m lightning_module fit`: checkpoints that describe themselves, resumption, repeatability, every config."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from lightning_module.__main__ import main
from lightning_module.callbacks import AtomicCheckpointIO, TorchCheckpointIO
from lightning_module.datasets import synthetic
from lightning_module.module import LesionModule
from tests.lightning_module.training import CONFIGS, QUICK, ROOT, arguments, training

LAYOUTS = {
    "cnn_ham10000": "ham10000",
    "se_resnet50_siim2020": "siim_isic_2020",
    "cnn28_ham10000": "ham10000",
    "mobilenet_folders": "class_folders",
    "efficientnet_b4_isic2019": "isic2019",
    "ham10000": "ham10000",
}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Sums depend in their last digits on the number of threads, and here runs in several processes are compared."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic.render(tmp_path_factory.mktemp("data") / "ham", 96, size=(80, 60))


def weights(checkpoint: Path, key: str = "state_dict") -> dict[str, torch.Tensor]:
    return torch.load(checkpoint, weights_only=True)[key]  # type: ignore[no-any-return]


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


@pytest.fixture(scope="module")
def finished(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four epochs that nothing disturbed."""
    run = tmp_path_factory.mktemp("finished") / "run"
    main(arguments(folder, run, "--trainer.max_epochs=4"))
    return run


def test_a_checkpoint_tells_all_that_a_bundle_needs(finished: Path) -> None:
    network, described = LesionModule.load_for_export(str(finished / "best.ckpt"))
    assert described["architecture"] == "small_cnn"
    assert described["network"] == {"width": 8, "blocks": 3}
    assert described["head"] == "softmax"
    assert described["classes"] == ["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"]
    assert described["malignant"] == ["akiec", "bcc", "mel"]
    assert described["geometry"] == {"size": 32, "crop": 1.0}
    assert described["mean"] == [0.485, 0.456, 0.406]
    assert described["data"]["fingerprint"]["rows"] == 96
    assert described["data"]["split"] == {"test": 0.15, "val": 0.15, "seed": 0, "folds": None, "fold": 0}
    assert not network.training
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 7)


def test_the_exported_weights_are_the_averaged_ones(finished: Path) -> None:
    network, _ = LesionModule.load_for_export(str(finished / "last.ckpt"))
    averaged, current = (weights(finished / "last.ckpt", key) for key in ("state_dict", "current_model_state"))
    exported = network.state_dict()["head.weight"]
    torch.testing.assert_close(exported, averaged["network.head.weight"])
    assert not torch.equal(exported, current["network.head.weight"])


def test_logs_are_written_as_csv_and_for_tensorboard(finished: Path) -> None:
    with (finished / "logs" / "version_0" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows if row["val/auroc"]] == ["0", "1", "2", "3"]
    assert any(float(row["img/s"]) > 0 for row in rows if row["img/s"])
    assert list((finished / "logs" / "version_0").glob("events.out.tfevents.*"))


def test_a_logger_without_a_folder_leaves_the_config_with_the_run(folder: Path, tmp_path: Path) -> None:
    # As with MLflow and a database: its save_dir is None.
    given = "--trainer.logger=pytorch_lightning.loggers.logger.DummyLogger"
    main(arguments(folder, tmp_path / "run", "--trainer.max_epochs=1", given))
    assert "max_epochs: 1" in (tmp_path / "run" / "config.yaml").read_text()


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(
    folder: Path, finished: Path, tmp_path: Path
) -> None:
    main(arguments(folder, tmp_path / "again", "--trainer.max_epochs=4"))
    assert_same(weights(finished / "last.ckpt"), weights(tmp_path / "again" / "last.ckpt"))
    main(arguments(folder, tmp_path / "other", "--trainer.max_epochs=4", "--seed_everything=1"))
    head = "network.head.weight"
    assert not torch.equal(weights(finished / "last.ckpt")[head], weights(tmp_path / "other" / "last.ckpt")[head])


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143)])
def test_a_run_killed_at_any_moment_resumes_by_itself(
    folder: Path, finished: Path, tmp_path: Path, sent: signal.Signals, status: int
) -> None:
    run = tmp_path / "run"
    words = arguments(folder, run, "--trainer.max_epochs=4")
    with training(sys.executable, "-m", "lightning_module", *words) as process:
        process.send_signal(sent)
        process.communicate()
    assert process.returncode == status  # never 0: Kubernetes would take the run for a finished one
    reached = torch.load(run / "last.ckpt", weights_only=True)["epoch"]
    assert 0 <= reached < 4
    main(arguments(folder, run, "--trainer.max_epochs=4"))
    assert torch.load(run / "last.ckpt", weights_only=True)["epoch"] == 3
    # Augmentation, order and dropout depend on seed and epoch alone, so that nothing at all was lost.
    assert_same(weights(finished / "last.ckpt"), weights(run / "last.ckpt"))


def test_a_checkpoint_is_never_seen_half_written(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (finished / "last.ckpt").read_bytes()

    def killed(_: object, __: object, path: Path, ___: object = None) -> None:
        Path(path).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(TorchCheckpointIO, "save_checkpoint", killed)
    with pytest.raises(KeyboardInterrupt):
        AtomicCheckpointIO().save_checkpoint({}, finished / "last.ckpt")
    assert (finished / "last.ckpt").read_bytes() == before


def test_who_reads_a_checkpoint_while_the_next_is_saved_reads_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"epoch": 1}, path)
    with path.open("rb") as opened:
        AtomicCheckpointIO().save_checkpoint({"epoch": 2}, path)
        assert torch.load(opened, weights_only=True) == {"epoch": 1}
    assert torch.load(path, weights_only=True) == {"epoch": 2}
    assert list(tmp_path.iterdir()) == [path]


def test_test_and_validate_use_the_best_checkpoint(
    folder: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(arguments(folder, finished, command="test"))
    assert f"weights from {finished / 'best.ckpt'}" in capsys.readouterr().out
    main(arguments(folder, finished, command="validate"))


def test_growing_resolution_reaches_the_checkpoint(folder: Path, tmp_path: Path) -> None:
    grow = (
        "--trainer.callbacks+=lightning_module.callbacks.GrowingResolution",
        "--trainer.callbacks.sizes={0: 28, 1: 32}",
    )
    main(arguments(folder, tmp_path / "run", "--trainer.max_epochs=1", *grow))
    assert LesionModule.load_for_export(str(tmp_path / "run" / "last.ckpt"))[1]["geometry"]["size"] == 28
    main(arguments(folder, tmp_path / "run", "--trainer.max_epochs=2", *grow))
    assert LesionModule.load_for_export(str(tmp_path / "run" / "last.ckpt"))[1]["geometry"]["size"] == 32


def test_a_first_run_says_nothing_that_nobody_can_use(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lightning_module", *arguments(folder, tmp_path / "run", "--trainer.max_epochs=1")]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    for noise in ("litlogger", "is not empty", "LightningCLI's args", "LeafSpec"):
        assert noise not in told.stdout + told.stderr
    assert "epoch 0: " in told.stdout


@pytest.mark.slow
@pytest.mark.parametrize("config", sorted(LAYOUTS))
def test_every_config_trains_on_drawn_data(config: str, tmp_path: Path) -> None:
    drawn = synthetic.render(tmp_path / "data", 60, layout=LAYOUTS[config], size=(100, 75))
    main(
        [
            "fit",
            f"--config={CONFIGS / config}.yaml",
            f"--data.folder={drawn}",
            f"--data.cache_folder={tmp_path / 'cache'}",
            f"--trainer.default_root_dir={tmp_path / 'run'}",
            f"--data.size={28 if config == 'cnn28_ham10000' else 64}",
            "--data.batch_size=8",
            "--model.weights=null",
            "--trainer.max_epochs=1",
            "--trainer.limit_train_batches=1",
            "--trainer.limit_val_batches=1",
            "--trainer.check_val_every_n_epoch=1",
            *QUICK,
        ]
    )
    [last] = (tmp_path / "run").rglob("last.ckpt")  # of a configuration with folds in its fold's folder
    network, described = LesionModule.load_for_export(str(last))
    size = described["geometry"]["size"]
    with torch.inference_mode():
        assert bool(torch.isfinite(network(torch.zeros(1, 3, size, size))).all())
