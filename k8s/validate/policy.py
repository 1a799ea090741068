"""checkov's policies for Kubernetes and Dockerfiles, in a virtual environment of its own: it is heavy and pins much."""

from __future__ import annotations

import fnmatch
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from k8s.validate.finding import Finding, Manifest

CHECK = "policy"
SIGN_OF_LIFE_S = 15.0
REQUIREMENT = "checkov==3.3.30"
HERE = Path(__file__).resolve().parent
VENV = HERE.parents[1] / "build" / "checkov"


class NoCheckov(Exception):
    """It cannot be installed; says why."""


def checkov() -> Path:
    """The program; installs it on first use, and tells that it is at it. NoCheckov where that fails."""
    marker = VENV / REQUIREMENT
    if not marker.exists():
        print(f"installing {REQUIREMENT} into build/checkov (some minutes, once)", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
        pip = [str(VENV / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", REQUIREMENT]
        _patiently(pip)
        marker.touch()
    return VENV / "bin" / "checkov"


def _patiently(command: list[str]) -> None:
    """Runs a command whose output nobody needs unless it fails, with a sign of life now and then."""
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        while True:
            try:
                status = process.wait(SIGN_OF_LIFE_S)
                break
            except subprocess.TimeoutExpired:
                print(f"  still at it after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        output.seek(0)
        told = output.read().strip().splitlines()
    if status:
        raise NoCheckov(told[-1] if told else f"pip ended with {status}")


def exceptions() -> list[dict[str, str]]:
    """Policies that do not hold here, each for an object and with its reason."""
    loaded: list[dict[str, str]] = yaml.safe_load((HERE / "exceptions.yaml").read_text(encoding="utf-8"))
    return loaded


def scan(files: list[Path]) -> list[dict[str, Any]]:
    """Every failed policy that checkov reports for these manifests and Dockerfiles."""
    command = [str(checkov()), "--framework", "kubernetes", "dockerfile"]
    command += ["--output", "json", "--compact", "--quiet", "--skip-download"]
    for file in files:
        command += ["--file", str(file)]
    # Without these it asks its vendor's servers for guidelines before it begins.
    environment = os.environ | {
        "LOG_LEVEL": "CRITICAL",
        "BC_SKIP_MAPPING": "TRUE",
        "CKV_IGNORE_HIDDEN_DIRECTORIES": "false",
    }
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    try:
        told = json.loads(done.stdout)
    except ValueError as error:
        raise RuntimeError(f"checkov gave no report: {done.stderr[-2000:]}") from error
    # A list where both kinds were found, the report alone where only one was.
    reports = told if isinstance(told, list) else [told]
    return [failed for report in reports for failed in report.get("results", {}).get("failed_checks", [])]


def _excused(policy: str, resource: str, used: set[int]) -> bool:
    for index, exception in enumerate(exceptions()):
        if exception["policy"] == policy and fnmatch.fnmatch(resource, exception["resource"]):
            used.add(index)
            return True
    return False


def check(builds: dict[str, list[Manifest]], dockerfile: Path) -> list[Finding]:
    """Failed policies that no exception excuses, and exceptions that excuse nothing any more."""
    found: list[Finding] = []
    used: set[int] = set()
    with tempfile.TemporaryDirectory(prefix="dermserve-policy-") as scratch:
        files = []
        for target, manifests in builds.items():
            file = Path(scratch, target.replace("/", "-") + ".yaml")
            file.write_text(yaml.safe_dump_all(manifests), encoding="utf-8")
            files.append(file)
        try:
            failures = scan([*files, dockerfile])
        except NoCheckov as error:
            message = f"{REQUIREMENT} cannot be installed ({error}); ARGS=--skip-policy leaves it out"
            return [Finding("build/checkov", CHECK, message)]
    for failure in failures:
        policy, resource = failure["check_id"], failure["resource"]
        if not _excused(policy, resource, used):
            where = f"{Path(failure['file_path']).stem}: {resource}"
            found.append(Finding(where, CHECK, f"{failure['check_name']} ({policy})"))
    for index, exception in enumerate(exceptions()):
        if index not in used:
            message = f"the exception for {exception['resource']} excuses nothing any more: remove it"
            found.append(Finding(exception["policy"], CHECK, message))
    return found
