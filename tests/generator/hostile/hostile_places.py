"""Every place of a text in a spec, as a key or as a value, with many texts at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from server_jobs_generator.problems.problem import SpecProblem

from tests.generator.spec_projects import Schema, a_spec, an_object

TEXT = {"type": "string"}
NOTHING = an_object()
ANYTHING: Schema = {"type": "object", "additionalProperties": True}


@dataclass(frozen=True)
class Place:
    """`files` puts each of some texts there; `owner` is the number of the text in a problem.

    A `free` place accepts any text that can be stored. A `kept` text is a string in the generated code, and `names`
    says that identifiers are made from it.
    """

    files: Callable[[Sequence[str]], Mapping[str, object]]
    owner: Callable[[Sequence[str], SpecProblem], int | None]
    free: bool = False
    kept: bool = False
    names: bool = False


def replaced(value: object, text: str) -> object:
    """Return the value with the text in the places of `TEXT`, also in keys."""
    match value:
        case str():
            return value.replace("TEXT", text)
        case dict():
            return {replaced(key, text): replaced(item, text) for key, item in value.items()}
        case list():
            return [replaced(item, text) for item in value]
        case _:
            return value


def of_property(schema: object, *, free: bool = False, kept: bool = False, names: bool = False) -> Place:
    """Return a place in one spec with a property for each text."""

    def files(texts: Sequence[str]) -> Mapping[str, object]:
        properties = {f"p{number}": replaced(schema, text) for number, text in enumerate(texts)}
        return {"case.json": a_spec(an_object(**properties))}

    return Place(files, _property_of, free, kept, names)


def of_spec(spec: object, *, free: bool = False) -> Place:
    """Return a place with a spec for each text."""

    def files(texts: Sequence[str]) -> Mapping[str, object]:
        return {f"j{number}.json": replaced(spec, text) for number, text in enumerate(texts)}

    return Place(files, _file_of, free)


def of_definition() -> Place:
    """Return a place with a definition for each text, and a reference to it."""

    def files(texts: Sequence[str]) -> Mapping[str, object]:
        properties: dict[str, object] = {}
        for number, text in enumerate(texts):
            token = text.replace("~", "~0").replace("/", "~1").replace("%", "%25")
            reference = f"#/properties/params/properties/p{number}/$defs/{token}"
            properties[f"p{number}"] = {"$ref": reference, "$defs": {text: an_object(a=TEXT)}}
        return {"case.json": a_spec(an_object(**properties))}

    return Place(files, _property_of)


def of_file_name(folder: str = "") -> Place:
    """Return a place with a file of this name for each valid name."""

    def files(texts: Sequence[str]) -> Mapping[str, object]:
        return {f"{folder}{_file_name(text)}.json": a_spec() if not folder else NOTHING for text in texts}

    def owner(texts: Sequence[str], problem: SpecProblem) -> int | None:
        names = [f"specs/{folder}{_file_name(text)}.json" for text in texts]
        return names.index(problem.path) if problem.path in names else None

    return Place(files, owner)


def _file_name(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("/", "-").replace("\0", "")[:60]


def _property_of(_texts: Sequence[str], problem: SpecProblem) -> int | None:
    match = re.match(r"/properties/params/properties/p(\d+)(?:/|$)", problem.pointer)
    return int(match[1]) if match else None


def _file_of(_texts: Sequence[str], problem: SpecProblem) -> int | None:
    match = re.fullmatch(r"specs/j(\d+)\.json", problem.path)
    return int(match[1]) if match else None


def _scheduled(**schedule: object) -> Schema:
    return a_spec(ANYTHING, **{"x-job": {"schedules": [{"name": "n", "cron": "0 0 * * *", **schedule}]}})


def _options(**options: object) -> Schema:
    return a_spec(an_object(to=TEXT), **{"x-job": options})


PLACES: Mapping[str, Place] = {
    "title of a property": of_property(TEXT | {"title": "TEXT"}, free=True),
    "description of a property": of_property(TEXT | {"description": "TEXT"}, free=True),
    "comment of a property": of_property(TEXT | {"$comment": "TEXT"}, free=True),
    "example": of_property(TEXT | {"examples": ["TEXT"]}, free=True),
    "example that is an object": of_property(ANYTHING | {"examples": [{"TEXT": ["TEXT"]}]}, free=True),
    "title of a class": of_property(an_object(a=TEXT) | {"title": "TEXT"}, free=True),
    "description of a class": of_property(an_object(a=TEXT) | {"description": "TEXT"}, free=True),
    "default": of_property(TEXT | {"default": "TEXT"}, free=True, kept=True),
    "default in a list": of_property(
        {"type": "array", "items": True, "default": ["TEXT", {"TEXT": "TEXT"}]}, free=True, kept=True
    ),
    "default of a class": of_property(an_object(a=TEXT) | {"default": {"a": "TEXT"}}, free=True),
    "default of a map": of_property(
        {"type": "object", "additionalProperties": TEXT, "default": {"TEXT": "TEXT"}}, free=True, kept=True
    ),
    "default of a union": of_property({"anyOf": [{"type": "integer"}, TEXT], "default": "TEXT"}, free=True, kept=True),
    "const": of_property({"const": "TEXT"}, free=True, kept=True),
    "const with a type": of_property(TEXT | {"const": "TEXT"}, free=True, kept=True),
    "enum": of_property({"enum": ["TEXT", "another value"]}, free=True, kept=True),
    "enum with a default": of_property({"enum": [1, "TEXT"], "default": "TEXT"}, free=True, kept=True),
    "tag of a union": of_property(
        {
            "oneOf": [
                {**an_object(k={"const": "TEXT"}), "required": ["k"]},
                {**an_object(k={"const": "another value"}), "required": ["k"]},
            ]
        },
        free=True,
        kept=True,
        names=True,
    ),
    "pattern": of_property(TEXT | {"pattern": "TEXT"}),
    "pattern in a list": of_property({"type": "array", "items": TEXT | {"pattern": "TEXT"}}),
    "format": of_property(TEXT | {"format": "TEXT"}),
    "type": of_property({"type": "TEXT"}),
    "type in a list": of_property({"type": ["string", "TEXT"]}),
    "keyword": of_property(TEXT | {"TEXT": 1}),
    "keyword of a vendor": of_property(TEXT | {"x-TEXT": "TEXT"}),
    "value of a number's keyword": of_property({"type": "integer", "minimum": "TEXT"}),
    "value of a list's keyword": of_property(an_object() | {"required": "TEXT"}),
    "schema": of_property("TEXT"),
    "schema in a list": of_property({"type": "array", "items": "TEXT"}),
    "branch": of_property({"anyOf": ["TEXT", TEXT]}),
    "property": of_property(an_object(TEXT=TEXT)),
    "property with a default": of_property(an_object(TEXT=TEXT | {"default": "TEXT"})),
    "required property": of_property(an_object(TEXT=TEXT) | {"required": ["TEXT"]}),
    "required property that is not there": of_property(an_object(a=TEXT) | {"required": ["TEXT"]}),
    "reference": of_property({"$ref": "TEXT"}),
    "reference to a definition": of_property({"$ref": "#/$defs/TEXT"}),
    "reference to a file": of_property({"$ref": "shared/TEXT.json#/$defs/A"}),
    "definition": of_definition(),
    "title": of_spec(a_spec(title="TEXT")),
    "description": of_spec(a_spec(description="TEXT"), free=True),
    "comment": of_spec(a_spec(**{"$comment": "TEXT"}), free=True),
    "description of params": of_spec(a_spec(an_object() | {"description": "TEXT"}), free=True),
    "dialect": of_spec(a_spec(**{"$schema": "TEXT"})),
    "key at the top": of_spec(a_spec(TEXT=1)),
    "required part": of_spec(a_spec() | {"required": ["params", "TEXT"]}),
    "part": of_spec(a_spec() | {"properties": {"params": NOTHING, "result": NOTHING, "TEXT": NOTHING}}),
    "option": of_spec(_options(TEXT="TEXT")),
    "queue": of_spec(_options(queue="TEXT")),
    "timeout": of_spec(_options(timeout="TEXT")),
    "run in": of_spec(_options(runIn="TEXT")),
    "priority": of_spec(_options(priority="TEXT")),
    "key of retry": of_spec(_options(retry={"TEXT": 1})),
    "backoff": of_spec(_options(retry={"backoff": "TEXT"})),
    "unique": of_spec(_options(unique={"by": ["TEXT"]})),
    "unique by a property": of_spec(
        a_spec(ANYTHING, **{"x-job": {"unique": {"by": ["/TEXT"]}}}),
    ),
    "redact": of_spec(a_spec(ANYTHING, **{"x-job": {"redact": ["/a/TEXT"]}})),
    "concurrency": of_spec(_options(concurrency={"limit": 1, "by": ["/TEXT"]})),
    "rate": of_spec(_options(rate={"limit": 1, "per": "TEXT"})),
    "retention": of_spec(_options(retention={"completed": "TEXT"})),
    "name of a schedule": of_spec(_scheduled(name="TEXT")),
    "cron": of_spec(_scheduled(cron="TEXT")),
    "time zone": of_spec(_scheduled(timezone="TEXT")),
    "misfire": of_spec(_scheduled(misfire="TEXT")),
    "key of a schedule": of_spec(_scheduled(TEXT=1)),
    "params of a schedule": of_spec(_scheduled(params={"TEXT": ["TEXT"]}), free=True),
    "file": of_file_name(),
    "shared file": of_file_name("shared/"),
}
