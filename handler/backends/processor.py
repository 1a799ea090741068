"""What this machine's processor computes natively."""

from __future__ import annotations

from functools import cache
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


@cache
def flags() -> frozenset[str]:
    """The instruction sets that the kernel reports; empty where it reports none."""
    try:
        lines = CPUINFO.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return frozenset()
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def name() -> str:
    """What the processor calls itself, and whether it computes bf16."""
    try:
        lines = CPUINFO.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        lines = []
    called = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"{called or 'unknown processor'}, {'with' if has_bf16(flags()) else 'without'} bf16"


def has_int8(flags: frozenset[str]) -> bool:
    """int8 dot products; without them an int8 graph gains little and may saturate."""
    return bool(flags & {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"})


def has_bf16(flags: frozenset[str]) -> bool:
    """bf16 products; without them OpenVINO emulates them, slower than fp32."""
    return bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})
