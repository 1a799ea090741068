from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file
from sklearn.metrics import roc_auc_score

from handler.bundle import CARD, GRAPH_CONSTANTS, WEIGHTS, Bundle
from handler.errors import BundleError
from handler.notice import NOTICE
from handler.predictor import Prediction, Predictor
from lightning_module import bundle_maker, description, document, evaluate
from lightning_module.checkpoint import CheckpointError
from lightning_module.datasets import load, synthetic
from lightning_module.description import Wanted
from lightning_module.evaluation import Evaluation
from lightning_module.report import Report
from lightning_module.splits import grouped
from tests.lightning_module.bundling import CLASSES, MALIGNANT, checkpoint, rendered

# TorchServe's histograms have these and larger ones, and no others.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Made:
    data: Path
    ckpt: Path
    bundle: Path
    evaluation: Evaluation
    report: Report
    folder: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("made")
    data = rendered(root / "data")
    ckpt = checkpoint(root / "best.ckpt", data)
    bundle = root / "bundle"
    # Random weights rank at random, so what int8 loses is noise here.
    bundle_maker.make(ckpt, data, bundle, told=Wanted(replicates=20), most_auroc_lost=1.0)
    evaluation, report = evaluate.run(bundle, data, replicates=20)
    document.write(evaluation, report, root / "report")
    return Made(data, ckpt, bundle, evaluation, report, root / "report")


def test_bundle_says_where_it_comes_from(made: Made) -> None:
    manifest = Bundle.load(made.bundle).manifest
    table = load(made.data)
    assert manifest.classes == CLASSES
    assert manifest.malignant == MALIGNANT
    assert manifest.preferred == "int8"
    assert manifest.data.sha256 == table.fingerprint().sha256
    assert "NC" in manifest.licence
    assert manifest.threshold.sensitivity == 0.95
    test = manifest.report["test"]
    assert set(test["auroc"]) == {"value", "low", "high"}
    assert len(test["reliability"]) == 10
    for counted in ("images", "malignant"):
        assert sum(found[counted] for found in test["reliability"]) == test[counted]


def test_a_bundle_is_described_again_without_its_checkpoint(made: Made, tmp_path: Path) -> None:
    old = Bundle.load(made.bundle)
    told = Wanted(external=[made.data], replicates=5)
    description.again(made.bundle, made.data, tmp_path / "again", told, version="1.0.1")
    new = Bundle.load(tmp_path / "again")
    assert new.manifest.version == "1.0.1"
    changed = {name for name, digest in new.manifest.files.items() if old.manifest.files[name] != digest}
    assert changed == {CARD}
    keep = {"temperature", "thresholds", "quality", "golden", "backends", "reference_scores", "data"}
    assert new.manifest.model_dump(include=keep) == old.manifest.model_dump(include=keep)
    [elsewhere] = new.manifest.report["elsewhere"]
    assert elsewhere["images"] == len(load(made.data).frame)
    for name in ("auroc", "sensitivity", "flagged"):
        value = new.manifest.report["test"][name]["value"]
        assert value == pytest.approx(old.manifest.report["test"][name]["value"])
    card = (tmp_path / "again" / CARD).read_text()
    assert "# Model card: lesion 1.0.1" in card
    assert "int8 changes ROC AUC by" in card
    assert "labelled so" in card
    assert "the images that it was trained on included" in card
    assert "never trained on" not in card


def test_a_bundle_is_not_evaluated_on_a_split_that_was_made_otherwise(made: Made) -> None:
    manifest = Bundle.load(made.bundle).manifest
    manifest.report["split"]["digests"]["test"] = "0" * 64
    with pytest.raises(CheckpointError, match=r"test would hold other images than in the training.*Scikit-learn"):
        evaluate.made_with(manifest, load(made.data), manifest.data, "test")


def test_every_precision_gives_what_the_checkpoint_gives(made: Made) -> None:
    from lightning_module.checkpoint import Checkpoint

    source = Checkpoint.load(made.ckpt).trained
    table = load(made.data)
    items = [table.image_bytes(row) for row in range(16)]
    mean, std = torch.tensor(source.normalisation.mean), torch.tensor(source.normalisation.std)
    images = (torch.from_numpy(np.stack(source.pixels(items))).float() / 255 - mean) / std
    with torch.inference_mode():
        expected = source.network(images.permute(0, 3, 1, 2)).numpy()
    spread = expected.std()
    for backend, tolerance in (("torch-cpu", 2e-3), ("fp32", 2e-3), ("bf16", 0.05), ("int8", 0.5)):
        found = Predictor.load(made.bundle, backend, threads=1).logits(items)
        assert np.abs(found - expected).max() <= tolerance * spread, backend


def test_openvino_and_torch_compute_from_the_same_stored_weights(made: Made) -> None:
    table = load(made.data)
    items = [table.image_bytes(row) for row in range(16)]
    torch_cpu, openvino = (Predictor.load(made.bundle, name, threads=1).logits(items) for name in ("torch-cpu", "fp32"))
    assert np.abs(torch_cpu - openvino).max() <= 1e-3


def test_the_weights_are_stored_once_in_float_and_once_in_int8(made: Made) -> None:
    stored = Bundle.load(made.bundle).manifest.files
    assert {name for name in stored if name.endswith((".bin", ".xml")) or name == WEIGHTS} == {
        WEIGHTS,
        "openvino/float.xml",
        "openvino/model.xml",
        "openvino/model.bin",
    }
    assert load_file(made.bundle / WEIGHTS)[GRAPH_CONSTANTS].nbytes < 1000


def test_temperature_and_threshold_hold_on_the_validation_split(made: Made) -> None:
    evaluation, _ = evaluate.run(made.bundle, made.data, split="val", replicates=2, served_only=True)
    scores = evaluation.scores()
    threshold = evaluation.manifest.threshold.value
    assert (scores.probability[scores.truth] >= threshold).mean() >= 0.95
    assert evaluation.answered.mean() >= 0.85


def test_reference_scores_are_counted_as_served_scores_are(made: Made) -> None:
    evaluation, _ = evaluate.run(made.bundle, made.data, split="val", replicates=2, served_only=True)
    reference = evaluation.manifest.reference_scores
    assert set(BUCKETS) <= set(reference.edges)
    served = [one.probability for one in evaluation.predictions if one.probability is not None]
    for edge, below in zip(reference.edges[1:], np.cumsum(reference.counts), strict=True):
        assert below == sum(probability <= edge for probability in served), edge


def test_evaluation_reports_what_the_predictor_serves(made: Made) -> None:
    predictor = Predictor.load(made.bundle, made.evaluation.served, threads=1)
    probability = made.evaluation.scores().probability
    for position, row in enumerate(made.evaluation.rows[:10]):
        alone = predictor.predict([made.evaluation.table.image_bytes(int(row))])[0]
        assert isinstance(alone, Prediction)
        assert alone.label == made.evaluation.predictions[position].label
        if alone.probability is not None:
            assert alone.probability == pytest.approx(probability[position], abs=1e-5)


def test_written_numbers_can_be_computed_again(made: Made) -> None:
    told = json.loads((made.folder / "metrics.json").read_text())
    rows = pd.read_csv(made.folder / "predictions.csv")
    assert told["images"] == len(rows)
    expected = roc_auc_score(rows["malignant"], rows[f"probability_{told['served']}"])
    assert told["metrics"]["auroc"]["value"] == pytest.approx(expected, abs=1e-4)
    interval = told["metrics"]["auroc"]
    assert interval["low"] <= interval["value"] <= interval["high"]
    assert Report.model_validate(told) == made.report


def test_report_opens_alone_and_carries_notice_and_intervals(made: Made) -> None:
    page = (made.folder / "report.html").read_text()
    assert page.count(NOTICE) >= 2
    assert made.report.metrics["auroc"].text() in page
    assert 'src="data:image/png' in page
    assert "http" not in re.sub(r'base64,[^"]*', "", page)
    assert "<script" not in page
    names = {path.name for path in (made.folder / "figures").iterdir()}
    assert {"roc.png", "reliability.png", "decision_curve.png", "confusion.png", "worst_errors.png"} <= names


def test_card_carries_notice_intervals_licence_and_no_image_of_a_patient(made: Made) -> None:
    card = (made.bundle / CARD).read_text()
    assert NOTICE in card
    assert made.report.metrics["specificity"].text() in card
    assert "CC BY-NC 4.0" in card
    assert "largest" in card.lower()
    assert "data:image" not in card
    assert "worst_errors" not in card
    assert all(golden.file.startswith("golden/") for golden in Bundle.load(made.bundle).manifest.golden)


def test_an_image_that_lies_in_two_parts_is_told(made: Made, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(made.data, data)
    table = load(data)
    split = grouped(table)
    paths = [table.frame["path"].iat[int(rows[0])] for rows in (split.train, split.test)]
    shutil.copyfile(data / paths[0], data / paths[1])
    bundle = tmp_path / "bundle"
    ckpt = checkpoint(tmp_path / "best.ckpt", data)
    bundle_maker.make(ckpt, data, bundle, told=Wanted(replicates=5), most_auroc_lost=1.0)
    document.write(*evaluate.run(bundle, data, replicates=5), tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text()
    assert all(path in page for path in paths)
    assert "by perceptual hash: 1." in (bundle / CARD).read_text()
    assert "by perceptual hash: 0." in (made.bundle / CARD).read_text()


def test_tampered_bundle_is_refused(made: Made) -> None:
    card = made.bundle / CARD
    original = card.read_text()
    card.write_text(original.replace("0.", "0.9", 1))
    with pytest.raises(BundleError, match=CARD):
        Bundle.load(made.bundle)
    card.write_text(original)
    Bundle.load(made.bundle)


def test_other_data_has_no_test_split(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = rendered(tmp_path / "other", seed=9)
    assert evaluate.main(["--bundle", str(made.bundle), "--data", str(other), "--output", str(tmp_path / "r")]) == 1
    assert "--split all" in capsys.readouterr().err


def test_a_report_needs_both_benign_and_malignant_images(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calm = synthetic.render(tmp_path / "calm", 12, layout="class_folders", size=(60, 45))
    for folder in list(calm.glob("*/dangerous")):
        shutil.rmtree(folder)
    words = ["--bundle", str(made.bundle), "--data", str(calm), "--split", "all", "--output", str(tmp_path / "r")]
    assert evaluate.main(words) == 1
    assert "--split all chooses, 0 are malignant: a report needs benign and malignant ones" in capsys.readouterr().err


def test_int8_that_loses_too_much_is_left_out(made: Made, tmp_path: Path) -> None:
    bundle_maker.make(made.ckpt, made.data, tmp_path / "bundle", told=Wanted(replicates=5), most_auroc_lost=-2.0)
    manifest = Bundle.load(tmp_path / "bundle").manifest
    assert manifest.preferred == "bf16"
    assert "int8" not in manifest.backends
    assert not (tmp_path / "bundle" / "openvino" / "model.xml").exists()
    assert "int8 is left out and bf16 is served" in (tmp_path / "bundle" / CARD).read_text()


def test_does_not_replace_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="holds no bundle"):
        bundle_maker.make(Path("missing.ckpt"), Path("missing"), tmp_path)
    assert (tmp_path / "thesis.tex").exists()
