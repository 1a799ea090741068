"""What the README tells people to type, open and import exists."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_every_verb_is_one_that_make_prints() -> None:
    printed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r"make ([a-z0-9-]+)", printed))
    named = set(re.findall(r"(?:^|`)make +([a-z0-9-]+)", README, re.MULTILINE))
    assert {"serve", "test"} <= named
    assert named <= known


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_every_link_into_the_project_leads_somewhere(target: str) -> None:
    assert target.startswith("https://") or (ROOT / target).exists()


@pytest.mark.parametrize("block", code_blocks("python"))
def test_every_python_example_imports_what_exists(block: str) -> None:
    imports = [node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.ImportFrom)]
    assert imports
    for node in imports:
        module = importlib.import_module(str(node.module))
        assert all(hasattr(module, name.name) for name in node.names)


def test_the_notice_is_on_the_first_screen() -> None:
    first_screen = "\n".join(README.splitlines()[:40])
    assert "Research use only" in first_screen
    assert "Not a medical device" in first_screen
