"""The sentence that goes wherever a number goes."""

from __future__ import annotations

NOTICE = (
    "Research use only. Not a medical device. A low score does not rule out skin cancer: "
    "do not diagnose, screen or decide on treatment with it, and show any changing lesion to a doctor."
)
