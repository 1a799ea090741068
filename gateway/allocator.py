"""Makes the C library give large blocks back to the system as soon as they are free."""

from __future__ import annotations

import ctypes

M_MMAP_THRESHOLD = -3
LARGE = 128 * 2**10


def return_large_blocks() -> None:
    """Blocks of this size stay mappings of their own.

    glibc begins so, and with the first image that it frees takes up to 32 MiB for small: later images then lie between
    what lives longer, and the process keeps memory that nobody uses. Other C libraries lack the call, and the habit.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(M_MMAP_THRESHOLD, LARGE)
