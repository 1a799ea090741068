"""Strict schemas: Kubernetes' own in three versions, and ours for the custom resources that we use."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

from k8s.validate.finding import Finding, Manifest, name_of

VERSIONS = ("1.33", "1.35", "1.37")  # the oldest with image volumes on by default, one between, the newest
OWN = Path(__file__).with_name("custom_resources")
CHECK = "schema"


@cache
def own_schemas() -> dict[tuple[str, str], dict[str, Any]]:
    """Schemas of custom resources by apiVersion and kind, one file each."""
    loaded = (yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(OWN.glob("*.yaml")))
    return {(schema["x-api-version"], schema["x-kind"]): schema for schema in loaded}


def _custom(manifest: Manifest, schema: dict[str, Any]) -> list[Finding]:
    errors = jsonschema.Draft202012Validator(schema).iter_errors(manifest)
    found = [Finding(name_of(manifest), CHECK, f"{error.json_path}: {error.message}") for error in errors]
    if "x-pod-spec" in schema:
        found += _pod(manifest, schema)
    return found


def _pod(manifest: Manifest, schema: dict[str, Any]) -> list[Finding]:
    """The pod spec inside a custom resource, judged as a pod; the resource's own fields beside it are left out."""
    own, inner = schema, manifest
    for key in schema["x-pod-spec"]:
        own, inner = own["properties"][key], inner.get(key, {})
    fields = {key: value for key, value in inner.items() if key == "containers" or key not in own["properties"]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": manifest["metadata"], "spec": fields}
    return [Finding(name_of(manifest), CHECK, finding.message) for finding in _standard(pod)]


def _standard(manifest: Manifest) -> list[Finding]:
    found = []
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            path = ".".join(str(part) for part in error.path)
            found.append(Finding(name_of(manifest), CHECK, f"Kubernetes {version}: {path}: {error.message}"))
        except kubernetes_validate.SchemaNotFoundError:
            kind = f"{manifest['apiVersion']} {manifest['kind']}"
            message = f"no schema for {kind} in Kubernetes {version} or {OWN.name}/"
            found.append(Finding(name_of(manifest), CHECK, message))
    return found


@cache
def _judge(text: str) -> tuple[Finding, ...]:
    """By text, because most objects are the same in many builds."""
    manifest = json.loads(text)
    schema = own_schemas().get((manifest["apiVersion"], manifest["kind"]))
    return tuple(_custom(manifest, schema) if schema else _standard(manifest))


def check(manifests: list[Manifest]) -> list[Finding]:
    """Unknown fields, wrong types, missing fields; a kind without any schema is a fault too."""
    return [finding for manifest in manifests for finding in _judge(json.dumps(manifest, sort_keys=True))]
