"""bundle.json vouches for itself: one field of it is the sha256 of all the others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

FIELD = "seal"


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content with the seal that belongs to it, however the JSON is laid out; an older seal is replaced."""
    rest = {name: value for name, value in content.items() if name != FIELD}
    canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return rest | {FIELD: hashlib.sha256(canonical.encode()).hexdigest()}
