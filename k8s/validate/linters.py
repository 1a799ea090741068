"""yamllint, hadolint and shellcheck on the files as they are written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from k8s.validate.finding import Finding

# Written for people: 125 columns, comments where they help, no `---` before the first document. A PromQL expression is
# one line, however long.
YAMLLINT = """
extends: default
rules:
  line-length: {max: 125, ignore: ["k8s/monitoring/", "k8s/components/monitoring/"]}
  document-start: disable
  comments: {min-spaces-from-content: 1}
  comments-indentation: disable
  braces: {max-spaces-inside: 1}
  indentation: {indent-sequences: consistent}
"""


def _run(check: str, command: list[str], files: list[Path], folder: Path) -> list[Finding]:
    if not files:
        return []
    names = [str(file.relative_to(folder)) for file in files]
    program = Path(sys.executable).with_name(command[0])
    done = subprocess.run(
        [str(program), *command[1:], *names], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    lines = (done.stdout + done.stderr).splitlines()
    found = [Finding(line.split(":", 1)[0], check, line.split(":", 1)[-1].strip()) for line in lines if line.strip()]
    if done.returncode and not found:
        return [Finding(", ".join(names), check, f"{command[0]} ended with {done.returncode}")]
    return found


def yaml_files(root: Path) -> list[Path]:
    """Every YAML file of this room, but for generated ones."""
    found = [*root.glob("k8s/**/*.yaml"), *root.glob("k8s/**/*.yml"), *root.glob("compose.yaml")]
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(root).parts))


def shell_files(root: Path) -> list[Path]:
    """Every shell script of this room."""
    return sorted([*root.glob("k8s/**/*.sh"), *root.glob("image/*.sh")])


def check(root: Path) -> list[Finding]:
    """All three, from the repository's root."""
    dockerfiles = [path for path in [root / "Dockerfile"] if path.is_file()]
    return [
        *_run("yamllint", ["yamllint", "-f", "parsable", "--strict", "-d", YAMLLINT], yaml_files(root), root),
        *_run("hadolint", ["hadolint", "--no-color", "--format", "gnu"], dockerfiles, root),
        *_run("shellcheck", ["shellcheck", "--format=gcc", "--severity=info"], shell_files(root), root),
    ]
