"""How many cores this process may use; containers are given fewer than the machine has."""

from __future__ import annotations

import math
import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")


def available(quota: Path = QUOTA) -> int:
    """Cores by affinity, or by the container's CPU limit where that is less; at least one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        limit, period = quota.read_text().split()
    except (OSError, ValueError):
        return cores
    if limit == "max":
        return cores
    return max(1, min(cores, math.ceil(int(limit) / int(period))))
