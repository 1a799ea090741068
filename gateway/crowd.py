"""How many connections there may be at once: each takes a file descriptor, and a process has only so many."""

from __future__ import annotations

import resource

SHARE = 0.75  # the rest is for the connections to TorchServe
MOST = 4096


def most_connections() -> int:
    """As many as this process can afford."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if files == resource.RLIM_INFINITY else min(MOST, int(SHARE * files))
