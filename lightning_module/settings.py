"""What can be wrong with a setting."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from handler.geometry import Geometry

T = TypeVar("T")


class UnfitSetting(ValueError):
    """A value that its setting cannot have; one line that says which it can."""


def made(setting: str, kind: Callable[..., T], options: Mapping[str, Any] | None, **own: Any) -> T:
    """`kind` with the options that this setting names, and with our own; UnfitSetting where it takes others."""
    try:
        return kind(**own, **(options or {}))
    except TypeError as error:
        taken = [name for name in inspect.signature(kind).parameters if name not in own]
        raise UnfitSetting(f"{setting}: {error}. It takes {', '.join(taken)}.") from None


def geometry_of(size_setting: str, size: int, crop: float = 1.0) -> Geometry:
    """The geometry of a size and a crop; UnfitSetting names the one that cannot be."""
    try:
        return Geometry(size=size, crop=crop)
    except ValidationError as error:
        wrong = error.errors()[0]
        name = size_setting if wrong["loc"] == ("size",) else "data.crop"
        raise UnfitSetting(f"{name} is {wrong['input']}: {wrong['msg']}.") from None


def positive(text: str) -> int:
    """One or more, for argparse."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} must be 1 or more")
    return number
