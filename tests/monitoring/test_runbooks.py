"""What the runbooks say to type does what they say, and what they say to look for is what is written."""

from __future__ import annotations

import json
import re
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from k8s.validate import build
from stack.child import REFUSAL

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "k8s" / "monitoring" / "runbooks.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    found = re.search(rf"^###? {title}\n(.*?)(?=^##|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def merged(document: Any, patch: Any) -> Any:
    """RFC 7396, as `kubectl patch --type merge` has it."""
    if not isinstance(patch, dict):
        return patch
    result = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def test_what_is_taken_down_comes_back() -> None:
    targets = dict(build.targets())
    [service] = [
        each
        for each in targets["overlays/cpu"]
        if each["kind"] == "Service" and each["metadata"]["name"] == "dermserve"
    ]
    down, up = (
        json.loads(patch) for patch in re.findall(r"patch service dermserve .*-p '(.*?)'", section("Take it down"))
    )
    taken_down = merged(service, down)
    assert taken_down["spec"]["selector"].items() > service["spec"]["selector"].items()
    assert merged(taken_down, up) == service


@pytest.mark.parametrize("alert", ["DermserveDown", "DermserveWorkersNotReady"])
def test_a_refused_bundle_is_looked_for_by_the_words_it_is_told_in(alert: str) -> None:
    assert REFUSAL.rstrip(": ") in section(alert)
    assert REFUSAL in (ROOT / "handler" / "lesion_handler.py").read_text(encoding="utf-8")


def test_a_silent_worker_is_looked_for_by_torchserves_own_words() -> None:
    [words] = re.findall(r"grep '(.*?)'", section("DermserveWorkersDie").split("3. ")[1])
    package = find_spec("ts")
    assert package is not None
    assert package.origin is not None
    with zipfile.ZipFile(Path(package.origin).parent / "frontend" / "model-server.jar") as jar:
        worker = jar.read("org/pytorch/serve/wlm/WorkerThread.class")
    assert words.encode() in worker
