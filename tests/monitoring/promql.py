"""Metric names in PromQL without a parser: what remains once labels, strings, durations and functions are gone."""

from __future__ import annotations

import re

WORDS = {"and", "or", "unless", "bool", "offset"}
GROUPING = r"\b(by|without|on|ignoring|group_left|group_right)\b(\s*\([^()]*\))?"


def metrics(expression: str) -> set[str]:
    """The names of the series that an expression reads."""
    text = re.sub(r'"(?:[^"\\]|\\.)*"', "", expression)
    text = re.sub(r"\{[^{}]*\}|\[[^\]]*\]", " ", text)
    text = re.sub(GROUPING, " ", text)
    names = re.findall(r"(?<![\w.:])[A-Za-z_:][\w:]*\b(?!\s*\()", text)
    return set(names) - WORDS
