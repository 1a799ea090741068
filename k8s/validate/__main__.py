"""python -m k8s.validate: check every manifest, the Dockerfile and the scripts; no cluster is needed."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from k8s.validate import build, copies, linters, policy, references, schemas
from k8s.validate.finding import Finding


def main() -> int:
    """Run the checks one after the other, say what each found, and fail if any found something."""
    parser = argparse.ArgumentParser(prog="python -m k8s.validate", description=__doc__)
    parser.add_argument("--sync", action="store_true", help="first copy the configuration into k8s/base/config")
    parser.add_argument("--skip-policy", action="store_true", help="leave out checkov, which takes longest")
    arguments = parser.parse_args()
    if arguments.sync:
        copies.sync(build.ROOT)
    try:
        builds = dict(build.targets())
    except build.BuildError as error:
        print(error, file=sys.stderr)
        return 1
    objects = sum(len(manifests) for manifests in builds.values())
    print(f"built {len(builds)} kustomizations, {objects} objects: {', '.join(builds)}", flush=True)

    def each(check: Callable[[list[dict[str, object]]], list[Finding]]) -> list[Finding]:
        return [
            Finding(f"{target}: {finding.where}", finding.check, finding.message)
            for target, manifests in builds.items()
            for finding in check(manifests)
        ]

    checks: dict[str, Callable[[], list[Finding]]] = {
        f"schemas (Kubernetes {', '.join(schemas.VERSIONS)} and custom resources)": lambda: each(schemas.check),
        "cross-references": lambda: each(references.check),
        "copied configuration": lambda: copies.check(build.ROOT),
        "yamllint, hadolint, shellcheck": lambda: linters.check(build.ROOT),
    }
    if not arguments.skip_policy:
        checks["policy (checkov)"] = lambda: policy.check(builds, build.ROOT / "Dockerfile")
    faults = 0
    for title, check in checks.items():
        began = time.monotonic()
        findings = sorted(set(check()))
        faults += len(findings)
        print(f"{'ok  ' if not findings else 'FAIL'} {title} ({time.monotonic() - began:.1f} s)", flush=True)
        for finding in findings:
            print(f"     {finding}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
