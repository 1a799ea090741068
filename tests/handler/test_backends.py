"""Every backend gives the same numbers, for any batch size, and the choice follows the machine."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from handler import backends
from handler.backends import buckets, processor
from handler.bundle import MANIFEST, WEIGHTS, Bundle, digest
from handler.errors import BackendError, BundleError
from handler.geometry import Geometry
from handler.manifest import Manifest
from tests.handler import drawing
from tests.handler.conftest import Edit

ROOT = Path(__file__).resolve().parents[2]


def batch(count: int, size: int = 64) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, size, size, 3), np.uint8)


@pytest.mark.parametrize("name", ["int8", "bf16", "fp32"])
def test_batch_size_does_not_change_a_result(sigmoid_bundle: Path, name: str) -> None:
    backend = backends.load(Bundle.load(sigmoid_bundle), name, threads=1)
    assert backend.precision == name
    images = batch(9)
    together = backend.infer(images)
    assert together.logits.dtype == together.features.dtype == np.float32
    assert together.features.ndim == 4
    for start, stop in ((0, 1), (1, 4), (4, 9)):
        part = backend.infer(images[start:stop])
        assert part.logits == pytest.approx(together.logits[start:stop], abs=2e-3)
        assert part.features == pytest.approx(together.features[start:stop], abs=2e-2)


def test_an_output_is_not_overwritten_by_the_next_batch(sigmoid_bundle: Path) -> None:
    backend = backends.load(Bundle.load(sigmoid_bundle), "fp32", threads=1)
    first = backend.infer(batch(2))
    kept = first.logits.copy(), first.features.copy()
    backend.infer(255 - batch(2))
    assert np.array_equal(first.logits, kept[0])
    assert np.array_equal(first.features, kept[1])


def test_torch_and_openvino_agree(resnet_bundle: Path) -> None:
    bundle = Bundle.load(resnet_bundle)
    reference = backends.load(bundle, "fp32", threads=1)
    torch = backends.load(bundle, "torch-cpu", threads=1)
    torch.warm_up([1])
    assert torch.precision == "fp32"
    # 35 images are more than the largest bucket.
    images = batch(35)
    expected, found = reference.infer(images), torch.infer(images)
    assert found.features.shape == expected.features.shape
    assert np.abs(found.logits - expected.logits).max() <= 1e-3
    assert np.abs(found.features - expected.features).max() <= 1e-3


def test_torch_predicts_where_triton_is_missing_as_in_the_cuda_image(resnet_bundle: Path) -> None:
    program = """
import sys
from pathlib import Path
import numpy as np
sys.modules["triton"] = None
from handler import backends
from handler.bundle import Bundle
torch = backends.load(Bundle.load(Path(sys.argv[1])), "torch-cpu", threads=1)
torch.warm_up([1])
print(np.isfinite(torch.infer(np.zeros((2, torch.size, torch.size, 3), np.uint8)).logits).all())
print([name for name in sys.modules if name.startswith("torch._inductor.codegen")])
"""
    command = [sys.executable, "-c", program, str(resnet_bundle)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["True", "[]"], done.stderr


def test_torch_and_openvino_read_one_copy_of_the_weights(resnet_bundle: Path, edited: Edit) -> None:
    folder = edited(resnet_bundle, lambda _: None)
    tensors = load_file(folder / WEIGHTS)
    save_file(tensors | {"head.bias": tensors["head.bias"] + 1}, folder / WEIGHTS)
    with pytest.raises(BundleError, match=WEIGHTS):
        Bundle.load(folder)
    edited(resnet_bundle, lambda _: None, refresh=(WEIGHTS,))
    for name in ("fp32", "torch-cpu"):
        before, after = (backends.load(Bundle.load(one), name, threads=1) for one in (resnet_bundle, folder))
        assert after.infer(batch(2)).logits == pytest.approx(before.infer(batch(2)).logits + 1, abs=1e-4)


def test_a_graph_with_constants_of_its_own_reads_those(resnet_bundle: Path, edited: Edit) -> None:
    def give(manifest: dict[str, Any]) -> None:
        manifest["files"]["openvino/float.bin"] = digest(own)

    folder = edited(resnet_bundle, lambda _: None)
    graph = folder / "openvino/float.xml"
    expected = backends.load(Bundle.load(folder), "fp32", threads=1).infer(batch(2))
    own = shutil.copyfile(folder / WEIGHTS, graph.with_suffix(".bin"))
    (folder / WEIGHTS).write_bytes(b"not read")
    edited(resnet_bundle, give, refresh=(WEIGHTS,))
    found = backends.load(Bundle.load(folder), "fp32", threads=1).infer(batch(2))
    assert np.array_equal(found.logits, expected.logits)


def test_int8_and_bf16_stay_near_fp32(sigmoid_bundle: Path) -> None:
    bundle = Bundle.load(sigmoid_bundle)
    images = np.stack([Geometry(size=64).apply(drawing.lesion(seed)) for seed in range(8)])
    reference = backends.load(bundle, "fp32").infer(images).logits
    for name, gap in (("int8", 1.0), ("bf16", 0.3)):
        assert np.abs(backends.load(bundle, name).infer(images).logits - reference).max() < gap


def test_int8_sees_no_border_around_an_image(sigmoid_bundle: Path) -> None:
    bundle = Bundle.load(sigmoid_bundle)
    mean = np.round(255 * np.array(bundle.manifest.normalisation.mean)).astype(np.uint8)
    fp32, int8 = (backends.load(bundle, name, threads=1) for name in ("fp32", "int8"))
    plain = np.tile(mean, (1, 64, 64, 1))
    # With black around it the difference is twenty times as large.
    assert np.abs(int8.infer(plain).features - fp32.infer(plain).features).max() < 2e-4


def test_weights_that_do_not_fit_are_named(resnet_bundle: Path, edited: Edit) -> None:
    folder = edited(resnet_bundle, lambda manifest: manifest.update(architecture="resnet34"))
    with pytest.raises(BundleError, match=WEIGHTS):
        backends.load(Bundle.load(folder), "torch-cpu")
    folder = edited(resnet_bundle, lambda manifest: manifest.update(architecture="vgg"))
    with pytest.raises(BundleError, match="vgg"):
        backends.load(Bundle.load(folder), "torch-cpu")


@pytest.mark.parametrize("name", ["int4", "torch-tpu", "cuda"])
def test_an_unknown_backend_is_refused_with_the_choices(sigmoid_bundle: Path, name: str) -> None:
    with pytest.raises(BackendError, match="torch-cpu"):
        backends.load(Bundle.load(sigmoid_bundle), name)


def test_a_graph_that_is_not_carried_is_refused(resnet_bundle: Path) -> None:
    with pytest.raises(BackendError, match="no int8 graph"):
        backends.load(Bundle.load(resnet_bundle), "int8")


def test_a_missing_gpu_is_said(resnet_bundle: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(BackendError, match="GPU"):
        backends.load(Bundle.load(resnet_bundle), "torch-cuda")


@pytest.mark.parametrize(
    ("flags", "preferred", "chosen"),
    [
        ({"avx2"}, "int8", "fp32"),
        ({"avx2", "avx_vnni"}, "int8", "int8"),
        ({"avx512f", "avx512_vnni"}, None, "int8"),
        ({"avx512_vnni", "amx_bf16", "amx_int8"}, "bf16", "bf16"),
        ({"avx512_vnni"}, "bf16", "fp32"),
        ({"avx512_vnni", "avx512_bf16"}, "fp32", "fp32"),
        ({"asimddp"}, "int8", "int8"),
        (set(), "int8", "fp32"),
    ],
)
def test_the_choice_follows_the_processor(
    sigmoid_bundle: Path, monkeypatch: pytest.MonkeyPatch, flags: set[str], preferred: str | None, chosen: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert backends.choose(changed(sigmoid_bundle, preferred=preferred), frozenset(flags)) == chosen


def test_what_the_bundle_lacks_is_not_chosen(sigmoid_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    graphs = Bundle.load(sigmoid_bundle).manifest.backends
    everything = frozenset({"avx512_vnni", "avx512_bf16"})
    without_int8 = {name: path for name, path in graphs.items() if name != "int8"}
    assert backends.choose(changed(sigmoid_bundle, backends=without_int8, preferred=None), everything) == "bf16"
    assert backends.choose(changed(sigmoid_bundle, backends={}, preferred=None), everything) == "torch-cpu"
    only_int8 = {"int8": graphs["int8"]}
    assert backends.choose(changed(sigmoid_bundle, backends=only_int8, preferred=None), frozenset()) == "int8"


def test_processor_flags_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu avx2 avx512_vnni\n\nprocessor\t: 1\n")
    monkeypatch.setattr(processor, "CPUINFO", cpuinfo)
    processor.flags.cache_clear()
    assert processor.flags() == {"fpu", "avx2", "avx512_vnni"}
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "none")
    processor.flags.cache_clear()
    assert processor.flags() == frozenset()
    processor.flags.cache_clear()


@given(st.integers(1, 200))
def test_buckets_cover_a_batch_once_and_tightly(count: int) -> None:
    parts = buckets.plan(count)
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(count))
    for part in parts:
        held = part.stop - part.start
        assert part.size in buckets.SIZES
        assert held <= part.size
        assert part.size == 1 or held > part.size / 2
    assert len(parts) == -(-count // buckets.SIZES[-1])


def changed(folder: Path, **changes: object) -> Manifest:
    return Manifest.model_validate(json.loads((folder / MANIFEST).read_text()) | changes)
