"""Checks of manifests by the official schemas: those of Kubernetes, of KEDA, and of the Prometheus Operator."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml
from jsonschema import Draft202012Validator, ValidationError

DEFINITIONS = Path(__file__).parents[2] / "data/kubernetes"
_FAILURES = (kubernetes_validate.ValidationError, ValidationError)

Object = dict[str, Any]
_METADATA: Object = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "labels": {"type": "object"}},
    "required": ["name"],
    "additionalProperties": False,
}


class InvalidManifestError(Exception):
    """An object that a cluster would refuse, or of which it would ignore a part."""


def documents(path: Path) -> list[Object]:
    """Return the objects of a file."""
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def objects(folder: Path) -> list[Object]:
    """Return the objects of all files below a folder, without those that only Kustomize reads."""
    files = sorted(path for path in folder.rglob("*.yaml") if path.name != "kustomization.yaml")
    return [each for path in files for each in documents(path)]


def validate_all(documents: Iterable[Object]) -> None:
    """Raise `InvalidManifestError` unless the schema of its kind allows each object, without unknown fields."""
    for document in documents:
        _validate(document)


def _validate(document: Object) -> None:
    try:
        if "." in (group := str(document["apiVersion"]).split("/")[0]) and not group.endswith(".k8s.io"):
            Draft202012Validator(_definition(str(document["kind"]), str(document["apiVersion"]))).validate(document)
        else:
            kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
    except _FAILURES as error:
        raise InvalidManifestError(f"{document['kind']}: {error}") from error


@cache
def _definition(kind: str, version: str) -> Mapping[str, object]:
    """Return the schema of a custom kind, which refuses unknown fields as `kubectl` does."""
    for path in DEFINITIONS.glob("*.yaml.gz"):
        definition = yaml.safe_load(gzip.decompress(path.read_bytes()))["spec"]
        for one in definition["versions"]:
            if (definition["names"]["kind"], f"{definition['group']}/{one['name']}") == (kind, version):
                schema = one["schema"]["openAPIV3Schema"]
                # The server knows `metadata`, which these definitions leave open.
                return _closed(schema) | {"properties": _closed(schema["properties"]) | {"metadata": _METADATA}}
    raise LookupError(f"there is no definition of {version} {kind}")


def _closed(schema: Object) -> Object:
    """Return a schema in which objects with `properties` allow no others."""
    closed = {key: _closed_part(value) for key, value in schema.items()}
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        closed.setdefault("additionalProperties", False)
    return closed


def _closed_part(value: object) -> object:
    match value:
        case dict():
            return _closed(value)
        case list():
            return [_closed_part(one) for one in value]
        case _:
            return value


def containers(folder: Path) -> Iterator[tuple[Object, Object]]:
    """Yield each container of our image with the spec of its pod."""
    for document in objects(folder):
        spec = document.get("spec", {})
        if isinstance(template := spec.get("template"), dict):
            pod = template["spec"]
            yield from ((container, pod) for container in pod["containers"])
