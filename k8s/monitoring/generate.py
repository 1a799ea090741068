"""python -m k8s.monitoring.generate [--check]: what follows from rules.yaml and the dashboards' code.

Writes k8s/components/monitoring/prometheus-rule.yaml and dashboards/*.json; with --check it only says what differs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from k8s.monitoring.dashboards import DASHBOARDS

HERE = Path(__file__).parent
COMPONENT = HERE.parent / "components" / "monitoring"
RULES = HERE / "rules.yaml"
HEAD = """\
# Made from k8s/monitoring/rules.yaml by `python -m k8s.monitoring.generate`: change it there.
# An operator that selects rules by label needs its label added here, or by a patch in the overlay.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: dermserve
  labels:
    app.kubernetes.io/name: dermserve
    app.kubernetes.io/component: monitoring
spec:
"""


def files() -> dict[Path, str]:
    """Every generated file and what belongs into it."""
    made = {COMPONENT / "prometheus-rule.yaml": prometheus_rule(RULES.read_text(encoding="utf-8"))}
    for name, dashboard in DASHBOARDS.items():
        text = json.dumps(dashboard(), cls=JSONEncoder, indent=2, sort_keys=True)
        made[COMPONENT / "dashboards" / f"{name}.json"] = text + "\n"
    return made


def prometheus_rule(rules: str) -> str:
    """The custom resource around the groups of a rules file, comments included."""
    groups = rules[rules.index("groups:") :]
    text = HEAD + "".join(f"  {line}" if line.strip() else line for line in groups.splitlines(keepends=True))
    assert yaml.safe_load(text)["spec"] == yaml.safe_load(rules)
    return text


def stale() -> list[Path]:
    """The files that are missing or differ from what they should hold."""
    return [path for path, text in files().items() if not path.is_file() or path.read_text(encoding="utf-8") != text]


def main(argv: Sequence[str] | None = None) -> int:
    """Writes or checks; 1 if the check found something."""
    parser = argparse.ArgumentParser(prog="python -m k8s.monitoring.generate", description=__doc__)
    parser.add_argument("--check", action="store_true")
    if parser.parse_args(argv).check:
        found = stale()
        for path in found:
            print(f"{path.relative_to(HERE.parents[1])} is stale: run python -m k8s.monitoring.generate")
        return 1 if found else 0
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(HERE.parents[1])}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
