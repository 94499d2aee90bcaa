"""The schemas of objects in packages of npm and PyPI."""

from __future__ import annotations

import json
import posixpath
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from tests.worker.tools import npm

from .package_lists import FROM_NPM, FROM_PYPI, Package
from .verdicts import PublicSchema, references_in

MOST_OF_A_PACKAGE = 20
_MOST_FILES = 400


def collect(folder: Path, names: Collection[str] = ()) -> Iterator[PublicSchema]:
    """Download packages into a folder, and yield their schemas; at most 20 of each package, spread evenly.

    `names` are the packages, or all.
    """
    for packages, download in ((FROM_NPM, _from_npm), (FROM_PYPI, _from_pypi)):
        for package in packages:
            if not names or package.name in names:
                yield from _some_of(package, download(package, folder))


def _from_npm(package: Package, folder: Path) -> Path:
    target = folder / package.name.replace("/", "-")
    target.mkdir()
    npm("pack", "--silent", f"{package.name}@{package.version}", folder=target)
    (archive,) = target.glob("*.tgz")
    with tarfile.open(archive) as files:
        files.extractall(target, filter="data")
    return target / "package"


def _from_pypi(package: Package, folder: Path) -> Path:
    target = folder / package.name
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, "--dest", str(target), f"{package.name}=={package.version}"], check=True)
    (archive,) = target.glob("*.whl")
    with zipfile.ZipFile(archive) as files:
        files.extractall(target)
    return target


def _some_of(package: Package, root: Path) -> Sequence[PublicSchema]:
    contents: dict[str, Any] = {}
    for path in sorted(root.glob(package.files)):
        name = path.relative_to(root).as_posix()
        contents[name] = json.loads(path.read_text(encoding="utf-8").replace(*package.replaced))
    if package.parts is not None:
        every = [part for content in contents.values() for part in _parts(package, content)]
    else:
        names = _Names(root, {uri: name for name, content in contents.items() if (uri := _uri_of(content))})
        objects = {json.dumps(one): name for name, one in reversed(contents.items()) if _is_object(one, one)}
        found = sorted(objects.values())
        every = [PublicSchema(package.name, name, names.around(name, contents[name]), name) for name in found]
    if len(every) <= MOST_OF_A_PACKAGE:
        return every
    return [every[number * len(every) // MOST_OF_A_PACKAGE] for number in range(MOST_OF_A_PACKAGE)]


def _parts(package: Package, content: Mapping[str, Any]) -> Iterator[PublicSchema]:
    keys = str(package.parts).split("/")
    parts: Mapping[str, Any] = content
    for key in keys:
        parts = parts[key]
    prefix = f"#/{package.parts}/"
    for name in sorted(parts):
        if "properties" not in parts[name]:
            continue
        needed, pending = {name}, [name]
        while pending:
            referenced = {text.removeprefix(prefix) for text in references_in(parts[pending.pop()]) if prefix in text}
            pending += sorted(referenced - needed)
            needed |= referenced
        inner: Any = {one: parts[one] for one in sorted(needed)}
        for key in reversed(keys):
            inner = {key: inner}
        yield PublicSchema(package.name, name, {"schema.json": {"$ref": prefix + name, **inner}})


@dataclass(frozen=True, slots=True)
class _Names:
    """The files of a package by path, and by the URI that each gives itself."""

    root: Path
    by_uri: Mapping[str, str]

    def around(self, entry: str, content: object) -> dict[str, Any]:
        """Return a file and the files that its references lead to, as a user would copy them."""
        files: dict[str, Any] = {entry: content}
        pending = [entry]
        while pending and len(files) < _MOST_FILES:
            name = pending.pop()
            for reference in references_in(files[name]):
                other = self._meant(reference.partition("#")[0], name, files[name])
                if other is not None and other not in files:
                    files[other] = json.loads((self.root / other).read_text(encoding="utf-8"))
                    pending.append(other)
        return files

    def _meant(self, reference: str, name: str, content: object) -> str | None:
        if not reference:
            return None
        if (found := self.by_uri.get(urljoin(_uri_of(content), reference))) is not None:
            return found
        path = posixpath.normpath(posixpath.join(posixpath.dirname(name), reference))
        return path if not path.startswith("..") and (self.root / path).is_file() else None


def _uri_of(content: object) -> str:
    stated = content.get("$id", content.get("id")) if isinstance(content, dict) else None
    return stated.rstrip("#") if isinstance(stated, str) else ""


def _is_object(schema: object, root: object, level: int = 0) -> bool:
    """Return whether a file describes objects: params are objects, and many JSON files are no schemas."""
    if not isinstance(schema, dict) or level > 5 or schema.get("type", "object") != "object":
        return False
    if isinstance(schema.get("properties"), dict) or (
        "type" in schema and "json-schema.org" in schema.get("$schema", "")
    ):
        return True
    if isinstance(reference := schema.get("$ref"), str) and reference.startswith("#/"):
        target = root
        for key in reference.split("/")[1:]:
            target = target.get(key) if isinstance(target, dict) else None
        return _is_object(target, root, level + 1)
    unions = [schema[key] for key in ("anyOf", "oneOf") if isinstance(schema.get(key), list)]
    return any(all(_is_object(branch, root, level + 1) for branch in branches) for branches in unions)
