"""What a check has to say against a manifest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Manifest = dict[str, Any]


@dataclass(frozen=True, order=True)
class Finding:
    """One fault: where, which check saw it, and what is wrong."""

    where: str
    check: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message} [{self.check}]"


def name_of(manifest: Manifest) -> str:
    """Kind/name, as kubectl writes it."""
    return f"{manifest.get('kind', '?')}/{manifest.get('metadata', {}).get('name', '?')}"
