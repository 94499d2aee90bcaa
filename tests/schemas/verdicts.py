"""Try a schema as the params of a job: generate, then compare the model with the reference validator of Python."""

from __future__ import annotations

import copy
import json
import random
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import jsonschema
from pydantic import BaseModel, PydanticUserError
from referencing import Registry
from referencing.jsonschema import specification_with
from server_jobs.contract.documents import read_params, write_params
from server_jobs.contract.schemas.json_equality import key_of
from server_jobs.contract.schemas.text_formats import FORMATS
from server_jobs.contract.values import MAX_DEPTH
from server_jobs.errors import InvalidParamsError

from tests.generator.projects import make_project
from tests.generator.spec_projects import an_object, loaded

from .changes import places, shown
from .instances import Instances

_DRAFTS: Mapping[str, Any] = {
    "draft-04": jsonschema.Draft4Validator,
    "draft-06": jsonschema.Draft6Validator,
    "draft-07": jsonschema.Draft7Validator,
    "2019-09": jsonschema.Draft201909Validator,
    "2020-12": jsonschema.Draft202012Validator,
}
_MAPS = frozenset({"properties", "patternProperties", "definitions", "$defs", "dependencies", "dependentSchemas"})
_VALUES = frozenset({"const", "enum", "default", "example", "examples"})
_MOST_DIFFERENCES = 3
# The reference needs seconds for one document of the largest schemas.
_MOST_SECONDS = 30.0
_ROOT = "file:///specs/shared/"


@dataclass(frozen=True, slots=True)
class PublicSchema:
    """A schema: its files by relative path, which of them is the schema, and the names of its package and itself."""

    package: str
    name: str
    files: Mapping[str, Any]
    entry: str = "schema.json"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result for a schema: the rules that refused it, or the differences among `tried` documents.

    `fitting` of them were valid.
    """

    schema: PublicSchema
    seconds: float
    refused: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()
    tried: int = 0
    fitting: int = 0


def try_schema(schema: PublicSchema, documents: int, seed: int = 0) -> Verdict:
    """Generate a job with these params, and compare its decisions about that many random documents."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        project = make_project(Path(folder) / "project", {"take": _spec(f"shared/{schema.entry}")})
        for name, content in schema.files.items():
            file = project.root / "specs/shared" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(content), encoding="utf-8")
        result = project.run("generate", "--format", "json")
        seconds = time.monotonic() - started
        if result.exit_code:
            return Verdict(schema, seconds, refused=_rules(result.stdout))
        model_text = project.read("generated/models/take.py")
    try:
        with loaded(model_text) as module:
            comparison = Comparison(schema, module.TakeParams)
            comparison.run(documents, seed)
    except PydanticUserError as error:
        return Verdict(schema, seconds, differences=(f"has a model that cannot be imported: {error}",))
    return Verdict(schema, seconds, (), tuple(comparison.differences), comparison.tried, comparison.fitting)


def _spec(reference: str) -> dict[str, object]:
    properties = {"params": {"$ref": reference}, "result": an_object()}
    return {"title": "Take", "type": "object", "required": ["params", "result"], "properties": properties}


def _rules(output: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(problem["rule"] for problem in json.loads(output)["problems"]))


@dataclass(slots=True)
class Comparison:
    """Compares the decisions of a model and of the reference validator, and the stored text with the document."""

    schema: PublicSchema
    model: type[BaseModel]
    differences: list[str] = field(default_factory=list[str])
    tried: int = 0
    fitting: int = 0

    def run(self, documents: int, seed: int) -> None:
        """Compare the examples of the schema and random documents; stop at the first few differences."""
        root = self.schema.files[self.schema.entry]
        references = tuple(map(self._validator, _drafts_of(root)))
        resolver = references[0]._resolver
        instances = Instances(references[0].schema, resolver, tuple(self.schema.files.values()), random.Random(seed))
        stated = root.get("examples", []) if isinstance(root, dict) else []
        end = time.monotonic() + _MOST_SECONDS
        for document in chain(stated, ({},), islice(instances.near(), documents)):
            if time.monotonic() > end or len(self.differences) == _MOST_DIFFERENCES:
                return
            if not isinstance(document, dict):
                continue
            self.tried += 1
            if self._difference(document, references) is not None:
                smallest = _smallest(document, lambda one: self._difference(one, references) is not None)
                self.differences.append(str(self._difference(smallest, references)))

    def _validator(self, draft: str) -> Any:
        kind = _DRAFTS[draft]
        specification = specification_with(kind.META_SCHEMA.get("$id") or kind.META_SCHEMA["id"])
        is_open_api = "$schema" not in self.schema.files[self.schema.entry]
        read = partial(_for_reference, nullable=is_open_api, is_newer=draft != "draft-04")
        resources = [
            (_ROOT + name, specification.create_resource(_at_its_path(read(content))))
            for name, content in self.schema.files.items()
        ]
        registry: Registry[Any] = Registry().with_resources(resources)
        ids = {name: specification.create_resource(content).id() for name, content in self.schema.files.items()}
        named = {urljoin(_ROOT + name, uri): dict(resources)[_ROOT + name] for name, uri in ids.items() if uri}
        by_path = dict(self._by_path(dict(resources)))
        # Relative references count from the URI that the schema gives itself.
        start = dict(resources)[_ROOT + self.schema.entry].id() or _ROOT + self.schema.entry
        return kind(
            {"$ref": urljoin(_ROOT + self.schema.entry, start)},
            registry=registry.with_resources((by_path | named).items()),
            format_checker=_formats(),
        )

    def _by_path(self, resources: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """Yield the files that a reference leads to by its path, under the URI that the reference stands for.

        Some files give themselves URIs that do not agree with their paths. This package then follows the path.
        """
        for name, content in self.schema.files.items():
            base = resources[_ROOT + name].id() or _ROOT + name
            for reference in references_in(content):
                path = reference.partition("#")[0]
                if path and (found := resources.get(urljoin(_ROOT + name, path))) is not None:
                    yield urljoin(urljoin(_ROOT + name, base), path), found

    def _difference(self, document: Mapping[str, object], references: Sequence[Any]) -> str | None:
        try:
            _, stored = write_params("Take", self.model, document)
        except InvalidParamsError as error:
            is_wrong = f"more than {MAX_DEPTH} levels" not in str(error) and _all(references, document, fit=True)
            return f"refuses {shown(document)}: {error}" if is_wrong else None
        self.fitting += 1
        if _all(references, document, fit=False):
            reasons = "; ".join(str(error.message)[:200] for error in references[-1].iter_errors(document))
            return f"accepts {shown(document)}, where the reference says: {reasons}"
        if not _is_within(document, json.loads(stored)):
            return f"stores {shown(document)} as {stored}"
        again = write_params("Take", self.model, read_params("Take", self.model, stored))[1]
        return None if again == stored else f"reads {stored} as {again}"


def _all(references: Sequence[Any], document: object, *, fit: bool) -> bool:
    try:
        return all(reference.is_valid(document) == fit for reference in references)
    except re.error:  # Python does not know some of the syntax of ECMA-262, such as `\p{L}`
        return False


def _smallest(document: dict[str, object], differs: Callable[[dict[str, object]], bool]) -> dict[str, object]:
    """Return the document without the parts that a difference does not need."""
    for holder, key in list(places({"": document}))[1:]:
        kept = copy.copy(holder)
        del holder[key]
        if differs(document):
            return _smallest(document, differs)
        holder.clear()
        holder.extend(kept) if isinstance(holder, list) else holder.update(kept)
    return document


def _drafts_of(root: object) -> tuple[str, ...]:
    """Return the draft of a schema; two if it declares none and its words do not tell."""
    declared = str(root.get("$schema", "")) if isinstance(root, dict) else ""
    if known := tuple(name for name in _DRAFTS if name in declared):
        return known
    text = json.dumps(root)
    if '"exclusiveMinimum": true' in text or '"exclusiveMaximum": true' in text:
        return ("draft-04",)
    return ("draft-07",) if '"items": [' in text else ("2020-12", "draft-07")


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


def _for_reference(schema: Any, *, nullable: bool, is_newer: bool) -> Any:
    r"""Return a schema as the reference reads it rightly.

    It does not know OpenAPI's `nullable`, and does not enforce encodings. It matches patterns with Python's `re`, where
    `\w` and `\d` are more than ASCII characters. In a schema of a newer draft (`is_newer`), it does not read an inner
    schema of draft 4 as that draft.
    """
    inner = partial(_for_reference, nullable=nullable, is_newer=is_newer)
    if isinstance(schema, list):
        return list(map(inner, schema))
    if not isinstance(schema, dict):
        return schema
    changed: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "contentEncoding" and value == "base64":
            changed.setdefault("format", "byte")
        elif key in _MAPS and isinstance(value, dict):
            of_pattern = _ascii if key == "patternProperties" else str
            changed[key] = {of_pattern(name): inner(one) for name, one in value.items()}
        elif key == "pattern" and isinstance(value, str):
            changed[key] = _ascii(value)
        else:
            changed[key] = value if key in _VALUES else inner(value)
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if is_newer and isinstance(changed.get(exclusive), bool):
            is_strict = changed.pop(exclusive)
            changed.update({exclusive: changed.pop(bound)} if is_strict and bound in changed else {})
    if nullable and schema.get("nullable") is True and isinstance(kind := schema.get("type"), str):
        changed["type"] = [kind, "null"]
    return changed


def _at_its_path(schema: Any) -> Any:
    """Return a schema without a relative URI of its own, which would count from each URI that leads to it."""
    names = [key for key in ("$id", "id") if isinstance(schema, dict) and isinstance(schema.get(key), str)]
    relative = {key for key in names if not urlsplit(schema[key]).scheme and not schema[key].startswith("#")}
    return {key: value for key, value in schema.items() if key not in relative} if relative else schema


def _ascii(pattern: str) -> str:
    return f"(?a:{pattern})"


def _formats() -> jsonschema.FormatChecker:
    """Return a checker that knows formats as this package does: the comparison is about keywords."""
    checker = jsonschema.FormatChecker(formats=())
    for name, fits in FORMATS.items():
        checker.checkers[name] = (partial(_is_of_format, fits), ())
    return checker


def _is_of_format(fits: Callable[[str], bool], value: object) -> bool:
    return not isinstance(value, str) or fits(value)


def _is_within(document: object, stored: object) -> bool:
    """Return whether stored JSON has all of a document unchanged. Defaults may be added."""
    if isinstance(document, dict) and isinstance(stored, dict):
        return all(key in stored and _is_within(value, stored[key]) for key, value in document.items())
    if isinstance(document, list) and isinstance(stored, list):
        return len(document) == len(stored) and all(map(_is_within, document, stored))
    return key_of(document) == key_of(stored)
