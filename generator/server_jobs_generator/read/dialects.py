"""The drafts of JSON Schema, and the translation of each into draft 2020-12, which every later stage reads.

A schema is read as its `$schema` declares. Without one it is read as draft 2020-12, where the words of older drafts and
of OpenAPI 3.0 that this draft does not know keep their meaning.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum

from pydantic import JsonValue

from ..problems.problem import shown
from ..problems.rules import KEYWORD_IGNORED, KEYWORD_REFUSED, KEYWORD_VALUE, Rule
from .document import Document, Pointer
from .file_report import FileReport
from .keywords import ANNOTATIONS, ONE_SCHEMA, SCHEMA_LIST, SCHEMA_MAP, inner_schemas

Parts = dict[str, JsonValue]


class Draft(IntEnum):
    """A version of JSON Schema. The numbers are in the order of their release."""

    DRAFT4 = 4
    DRAFT6 = 6
    DRAFT7 = 7
    DRAFT2019 = 2019
    DRAFT2020 = 2020

    def __str__(self) -> str:
        return {2019: "draft 2019-09", 2020: "draft 2020-12"}.get(self.value, f"draft {self.value}")


DIALECTS: Mapping[str, Draft | None] = {
    **{f"http://json-schema.org/draft-0{number}/schema": Draft(number) for number in (4, 6, 7)},
    "https://json-schema.org/draft/2019-09/schema": Draft.DRAFT2019,
    "https://json-schema.org/draft/2020-12/schema": Draft.DRAFT2020,
    "https://spec.openapis.org/oas/3.1/dialect/base": Draft.DRAFT2020,
    # The newest draft, whichever that is. It was draft 4 for years, so the words decide.
    "http://json-schema.org/schema": None,
}
"""The drafts by the URIs of their meta-schemas. None stands for a schema that does not declare its draft."""

_FIRST: Mapping[str, Draft] = {
    **dict.fromkeys(("const", "contains", "propertyNames", "$id"), Draft.DRAFT6),
    **dict.fromkeys(("if", "then", "else", "contentEncoding", "contentMediaType"), Draft.DRAFT7),
    **dict.fromkeys(("$anchor", "dependentRequired", "dependentSchemas", "contentSchema"), Draft.DRAFT2019),
    **dict.fromkeys(("minContains", "maxContains", "unevaluatedItems", "unevaluatedProperties"), Draft.DRAFT2019),
    **dict.fromkeys(("$recursiveAnchor", "$recursiveRef"), Draft.DRAFT2019),
    **dict.fromkeys(("prefixItems", "$dynamicAnchor", "$dynamicRef"), Draft.DRAFT2020),
}
_LAST: Mapping[str, Draft] = {
    "id": Draft.DRAFT4,
    "dependencies": Draft.DRAFT7,
    **dict.fromkeys(("additionalItems", "$recursiveAnchor", "$recursiveRef"), Draft.DRAFT2019),
}
"""The first and the last draft of a keyword that not every draft knows."""

_OPEN_API = frozenset({"nullable", "example"})

_INSTEAD: Mapping[str, str] = {
    "additionalItems": "write prefixItems, and items for the others",
    "dependencies": "write dependentRequired or dependentSchemas",
    "dependentRequired": "write dependencies",
    "dependentSchemas": "write dependencies",
    "id": "write $id",
    "nullable": 'write "type": ["…", "null"]',
    "prefixItems": "write items, with a list",
    "$anchor": 'write "$id": "#name"',
    "$id": "write id",
    "const": "write enum",
}

_BESIDE_REFERENCE = ANNOTATIONS - {"default"} | {"$ref", "$schema"}
"""Keywords that may stand beside a `$ref` in draft 7, because they restrict no value."""


def draft_of(dialect: JsonValue) -> Draft | None:
    """Return the draft that the value of `$schema` names. Raises `KeyError` for a dialect of another kind."""
    if not isinstance(dialect, str):
        raise KeyError(dialect)
    if dialect.endswith("spec.schema.json"):
        return None
    name = dialect.rstrip("#/").replace("/hyper-schema", "/schema")
    plain = name.replace("https://json-schema.org/draft-", "http://json-schema.org/draft-")
    modern = plain.replace("http://json-schema.org/draft/", "https://json-schema.org/draft/")
    return DIALECTS[modern.replace("https://json-schema.org/schema", "http://json-schema.org/schema")]


def into_newest_draft(document: Document, referenced: Collection[Pointer], report: FileReport) -> Document:
    """Return the same file in draft 2020-12. Report the keywords without an effect in the draft of their schema.

    `referenced` are the targets of references into the file. Of these, schemas under unknown keywords are translated
    too, and become the `elsewhere` of the document.
    """
    above = frozenset(pointer[:length] for pointer in referenced for length in range(len(pointer)))
    translation = _Translation(report, frozenset(referenced), above)
    value = translation.translated(document.value, (), (), None)
    if translation.unevaluated and translation.contained:
        message = "decides in draft 2019-09 without contains, in contrast to later drafts; declare draft 2020-12"
        report.add(translation.unevaluated[0], KEYWORD_REFUSED, f"unevaluatedItems {message}", at_key=True)
    moved = {new: document.as_written(old) for old, new in translation.moved.items() if old != new}
    return replace(document, value=value, written={**document.written, **moved}, elsewhere=tuple(translation.elsewhere))


@dataclass(slots=True)
class _Translation:
    """Translates a file. `moved` maps the old pointer of each schema, and of each renamed value, to its new pointer.

    `above` are the pointers of everything around a referenced value. `unevaluated` and `contained` are the places of
    two keywords of draft 2019-09 that mean something else together.
    """

    report: FileReport
    referenced: frozenset[Pointer]
    above: frozenset[Pointer]
    moved: dict[Pointer, Pointer] = field(default_factory=dict[Pointer, Pointer])
    elsewhere: list[Pointer] = field(default_factory=list[Pointer])
    unevaluated: list[Pointer] = field(default_factory=list[Pointer])
    contained: list[Pointer] = field(default_factory=list[Pointer])

    def translated(self, schema: JsonValue, old: Pointer, new: Pointer, draft: Draft | None) -> JsonValue:
        """Return the translation of the schema at pointer `old`, for pointer `new`; `draft` is that around it."""
        self.moved[old] = new
        if not isinstance(schema, dict):
            return schema
        if isinstance(dialect := schema.get("$schema"), str):
            # An unknown dialect is reported later.
            draft = _draft_or(dialect, draft)
        return dict(self._members(self._with_effect(schema, old, draft), old, new, draft))

    def _with_effect(self, schema: Parts, old: Pointer, draft: Draft | None) -> Parts:
        """Return the keywords that have an effect in this draft, and report the others."""
        if draft is None:
            return schema
        is_alone = isinstance(schema.get("$ref"), str) and draft <= Draft.DRAFT7
        known: Parts = {}
        for key, value in schema.items():
            if key in _OPEN_API or not _FIRST.get(key, draft) <= draft <= _LAST.get(key, draft):
                # Nobody expects an effect of an example, or of an anchor that no reference can use.
                if key not in ("example", "$recursiveAnchor"):
                    instead = f"; {_INSTEAD[key]}" if key in _INSTEAD else ""
                    self._ignored((*old, key), f"{key} is no keyword of {draft}, and has no effect{instead}")
            elif is_alone and key not in _BESIDE_REFERENCE:
                self._ignored((*old, key), f"{key} has no effect beside $ref in {draft}; write it into an allOf")
            else:
                known[key] = value
        if draft is Draft.DRAFT2019:
            self.unevaluated += [(*old, key) for key in known if key == "unevaluatedItems"]
            self.contained += [(*old, key) for key in known if key == "contains"]
        return known

    def _ignored(self, pointer: Pointer, message: str, rule: Rule = KEYWORD_IGNORED) -> None:
        self.report.add(pointer, rule, message, at_key=True)

    def _members(
        self, schema: Parts, old: Pointer, new: Pointer, draft: Draft | None
    ) -> Iterator[tuple[str, JsonValue]]:
        for key, value in schema.items():
            match key, value:
                case "type", _ if "nullable" in schema:
                    yield key, _with_null(value) if schema["nullable"] is True else value
                case "items", list() if draft is not Draft.DRAFT2020:
                    # An empty list says nothing about any item.
                    if value:
                        place = (*new, "prefixItems")
                        yield "prefixItems", self._inner("prefixItems", value, (*old, key), place, draft)
                case "additionalItems", _:
                    if isinstance(schema.get("items"), list):
                        yield "items", self._inner("items", value, (*old, key), (*new, "items"), draft)
                case "dependencies", dict():
                    yield from self._dependencies(value, (*old, key), new, draft)
                case (("$id" | "id"), str()) if key == "$id" or draft is Draft.DRAFT4:
                    yield from self._identifier(key, value, old, new)
                case (("minimum" | "maximum"), _) if schema.get(_EXCLUSIVE[key]) is True and _is_of_draft4(True, draft):
                    self.moved[*old, key] = (*new, _EXCLUSIVE[key])
                    yield _EXCLUSIVE[key], value
                case (("exclusiveMinimum" | "exclusiveMaximum"), _) if _is_of_draft4(value, draft):
                    self._check_exclusive(key, schema, (*old, key), draft)
                case "nullable", _:
                    if value is True and "type" not in schema:
                        self._ignored((*old, key), "nullable has no effect without type")
                case "example", _:
                    if "examples" not in schema:
                        self.moved[*old, key] = (*new, "examples", 0)
                        yield "examples", [value]
                case _:
                    yield key, self._inner(key, value, (*old, key), (*new, key), draft)

    def _identifier(self, key: str, value: str, old: Pointer, new: Pointer) -> Iterator[tuple[str, JsonValue]]:
        """Yield the URI of a schema. A fragment is the name of a part; a pointer names no part that has none yet."""
        if value.startswith("#/"):
            self._ignored((*old, key), f"{shown(value)} is no URI of its own, and has no effect")
            return
        name = "$anchor" if value.startswith("#") and len(value) > 1 else "$id"
        self.moved[*old, key] = (*new, name)
        yield name, value.removeprefix("#") if name == "$anchor" else value

    def _check_exclusive(self, key: str, schema: Parts, old: Pointer, draft: Draft | None) -> None:
        """Report a limit of draft 4 that is no limit."""
        limit = key.removeprefix("exclusive").lower()
        if not isinstance(schema[key], bool):
            self._ignored(old, f"must be true or false in {draft}, not {shown(schema[key])}", KEYWORD_VALUE)
        elif schema[key] and limit not in schema:
            self._ignored(old, f"{key} has no effect without {limit}")

    def _dependencies(
        self, stated: Parts, old: Pointer, new: Pointer, draft: Draft | None
    ) -> Iterator[tuple[str, JsonValue]]:
        required: Parts = {}
        schemas: Parts = {}
        for name, value in stated.items():
            if isinstance(value, list | str):
                required[name] = [value] if isinstance(value, str) else value
                self.moved[*old, name] = (*new, "dependentRequired", name)
            else:
                schemas[name] = self.translated(value, (*old, name), (*new, "dependentSchemas", name), draft)
        if required:
            yield "dependentRequired", required
        if schemas:
            yield "dependentSchemas", schemas

    def _inner(self, key: str, value: JsonValue, old: Pointer, new: Pointer, draft: Draft | None) -> JsonValue:
        """Return the value of a keyword, with the schemas in it translated."""
        self.moved[old] = new
        if key not in ONE_SCHEMA | SCHEMA_LIST | SCHEMA_MAP:
            return self._of_unknown(value, old, new, draft)
        places = {place[1:]: inner for place, inner in inner_schemas({key: value})}
        if () in places:
            return self.translated(value, old, new, draft)
        found = {
            place: self.translated(inner, (*old, *place), (*new, *place), draft) for place, inner in places.items()
        }
        if isinstance(value, list) and found:
            return [found.get((index,), item) for index, item in enumerate(value)]
        if isinstance(value, dict) and found:
            return {name: found.get((name,), item) for name, item in value.items()}
        return value

    def _of_unknown(self, value: JsonValue, old: Pointer, new: Pointer, draft: Draft | None) -> JsonValue:
        """Return the value of a keyword without schemas. A part of it is a schema if a reference leads there."""
        if old in self.referenced and isinstance(value, dict | bool):
            self.elsewhere.append(new)
            return self.translated(value, old, new, draft)
        if not isinstance(value, dict | list) or old not in self.above:
            return value
        if isinstance(value, list):
            return [self._of_unknown(item, (*old, at), (*new, at), draft) for at, item in enumerate(value)]
        return {key: self._of_unknown(item, (*old, key), (*new, key), draft) for key, item in value.items()}


_EXCLUSIVE: Mapping[str, str] = {"minimum": "exclusiveMinimum", "maximum": "exclusiveMaximum"}


def _is_of_draft4(value: JsonValue, draft: Draft | None) -> bool:
    return draft is Draft.DRAFT4 or (draft is None and isinstance(value, bool))


def _draft_or(dialect: str, draft: Draft | None) -> Draft | None:
    try:
        return draft_of(dialect)
    except KeyError:
        return draft


def _with_null(stated: JsonValue) -> JsonValue:
    names: list[JsonValue] = stated if isinstance(stated, list) else [stated]
    return names if "null" in names else [*names, "null"]
