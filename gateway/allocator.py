"""Makes the C library give large blocks back to the system as soon as they are free."""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGE = 2**20
"""More than one read brings: new pages for each of those would double what an upload costs the processor."""
KEPT = 8 * 2**20


def return_large_blocks() -> None:
    """Blocks of this size stay mappings of their own.

    glibc begins so, and with the first image that it frees takes up to 32 MiB for small: later images then lie between
    what lives longer, and the process keeps memory that nobody uses. Other C libraries lack the call, and the habit.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(M_MMAP_THRESHOLD, LARGE)
        mallopt(M_TRIM_THRESHOLD, KEPT)
