"""What can be wrong with a setting."""

from __future__ import annotations

import argparse


class UnfitSetting(ValueError):
    """A value that its setting cannot have; one line that says which it can."""


def positive(text: str) -> int:
    """One or more, for argparse."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} must be 1 or more")
    return number
