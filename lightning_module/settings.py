"""What can be wrong with a setting."""

from __future__ import annotations


class UnfitSetting(ValueError):
    """A value that its setting cannot have; one line that says which it can."""
