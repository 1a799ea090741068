"""The signals that ask for an end."""

from __future__ import annotations

import signal


def of_end() -> list[signal.Signals]:
    """Ctrl-C, SIGTERM and, unless nohup forbade that, the end of the terminal."""
    asked = [signal.SIGINT, signal.SIGTERM]
    return asked if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [*asked, signal.SIGHUP]
