"""TorchServe's config.properties as a mapping."""

from __future__ import annotations

from pathlib import Path


def read(path: Path) -> dict[str, str]:
    """The keys and values of a Java properties file of the plain `key=value` kind."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith(("#", "!")))
    return {key.strip(): value.strip() for key, value in pairs}
