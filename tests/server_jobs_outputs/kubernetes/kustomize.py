"""The part of Kustomize that overlays of the generated folder need, for machines without `kubectl`.

`test_manifests.py` also runs its tests with `kubectl kustomize` where `kubectl` is installed. Like Kustomize, this
module refuses unknown keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .validation import Object

_FIELDS = {
    "Kustomization": {"namePrefix", "resources", "components", "secretGenerator", "images"},
    "Component": {"resources", "configurations"},
}
_POD = "spec/template/spec"
_BUILT_IN: list[Object] = [
    {"kind": "Secret", "fieldSpecs": [{"path": f"{_POD}/containers/envFrom/secretRef/name"}]},
    {"kind": "ServiceAccount", "fieldSpecs": [{"path": f"{_POD}/serviceAccountName"}, {"path": "subjects/name"}]},
    {"kind": "Role", "fieldSpecs": [{"path": "roleRef/name"}]},
]


@dataclass
class _Build:
    """The objects of a folder, and the references between their names."""

    objects: list[Object] = field(default_factory=list[Object])
    references: list[Object] = field(default_factory=lambda: list(_BUILT_IN))

    def add(self, folder: Path) -> None:
        """Add a folder with its components, and change the objects as it asks."""
        settings = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
        kind = settings.pop("kind", "Kustomization")
        settings.pop("apiVersion", None)
        if unknown := settings.keys() - _FIELDS[kind]:
            raise LookupError(f"{folder}: unknown fields {unknown}")
        for path in (folder / name for name in (*settings.get("resources", ()), *settings.get("components", ()))):
            if path.is_dir():
                self.add(path)
            else:
                self.objects += yaml.safe_load_all(path.read_text(encoding="utf-8"))
        for name in settings.get("configurations", ()):
            configuration = yaml.safe_load((folder / name).read_text(encoding="utf-8"))
            if unknown := configuration.keys() - {"nameReference"}:
                raise LookupError(f"{folder / name}: unknown fields {unknown}")
            self.references += configuration["nameReference"]
        names = {(one["kind"], one["metadata"]["name"]): one["metadata"]["name"] for one in self.objects}
        for secret in settings.get("secretGenerator", ()):
            names["Secret", secret["name"]] = self._add_secret(secret)
        self._rename({key: settings.get("namePrefix", "") + name for key, name in names.items()})
        self._set_images(settings.get("images", ()))

    def _add_secret(self, secret: Object) -> str:
        """Add a Secret, and return its name with the hash of its content."""
        name = f"{secret['name']}-{hashlib.sha256(repr(secret).encode()).hexdigest()[:10]}"
        content = dict(text.split("=", 1) for text in secret["literals"])
        metadata = {"name": secret["name"]}
        self.objects.append({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": content})
        return name

    def _rename(self, names: dict[tuple[str, str], str]) -> None:
        for reference in self.references:
            for where in reference["fieldSpecs"]:
                for one in self.objects:
                    if where.get("kind", one["kind"]) == one["kind"]:
                        for parent, key in _places(one, where["path"].split("/")):
                            parent[key] = names.get((reference["kind"], parent[key]), parent[key])
        for one in self.objects:
            one["metadata"]["name"] = names[one["kind"], one["metadata"]["name"]]

    def _set_images(self, images: Sequence[Object]) -> None:
        for image in images:
            for one in self.objects:
                for parent, key in _places(one, [*_POD.split("/"), "containers", "image"]):
                    if parent[key] == image["name"]:
                        parent[key] = f"{image.get('newName', image['name'])}:{image['newTag']}"


def _places(value: Any, path: Sequence[str]) -> Iterator[tuple[Object, str]]:
    """Yield the objects with the last key of a path. A path goes through all elements of a list."""
    if isinstance(value, list):
        for each in value:
            yield from _places(each, path)
    elif isinstance(value, dict) and path[0] in value:
        if len(path) == 1:
            yield value, path[0]
        else:
            yield from _places(value[path[0]], path[1:])


def kustomize(folder: Path) -> list[Object]:
    """Return the objects that `kubectl kustomize` makes of a folder, without its order and its hashes."""
    build = _Build()
    build.add(folder)
    return build.objects
