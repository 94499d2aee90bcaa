"""Mutations of whole spec folders, reproducible from a seed."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

from server_jobs_generator.options.places import all_options
from server_jobs_generator.options.table import OPTIONS
from server_jobs_generator.read.keywords import KNOWN

from tests.generator.spec_projects import a_spec, an_object

Files = dict[str, Any]
"""The files of `specs/` by name: the value of a JSON document, or bytes."""
Place = tuple[str | int, ...]

_REPOSITORY = Path(__file__).parents[3]
_GOLDEN = Path(__file__).parents[1] / "golden"

ODD: tuple[Any, ...] = (
    *({}, [], None, True, False, 0, -1, 1e3, 1.5, 10**400, 2**53, "", "x", "#", "object", [[]], [{}], [None], [1]),
    *({"": {}}, {"type": []}, {"type": "object"}, {"$ref": "#"}, {"$ref": 1}, {"required": True}, ["a", "a"]),
    *({"properties": [1]}, {"allOf": [True]}, {"anyOf": [False]}, {"const": {}}, {"enum": [[]]}, {"not": {}}),
)
_KEYS = (
    *sorted(KNOWN),
    *sorted(OPTIONS),
    *sorted(all_options()),
    "$defs",
    "$id",
    "$anchor",
    "definitions",
    "x-job",
    "params",
    "result",
    "a",
)
_FRAGMENTS = (
    *("#", "", "#/", "#/$defs", "#/$defs/", "#a", "#/$defs/A/0", "#/%24defs/A", "#/~2", "#//", "#/$defs/" + "9" * 5000),
    *("#/properties/params", "#/properties/result", "#/properties/params/properties", "#/required/0"),
)
_PATHS = (
    *("", "./", "..", "shared", "shared/", "missing.json", "../x.json", "%00", "http://[", "urn:x", "//[", "\x00"),
    *("shared/places.json", "a.json", "b.json", "shared/a.json", "./a.json", "x" * 300 + ".json"),
)
_NAMES = (
    *("a.json", "b.json", "shared/a.json", "shared/deep/a.json", "shared/x y.json", "A.json", "class.json", "é.json"),
    *("a/b.json", "2.json", "shared/.json", "readme.md", "contracts.accepted.json", "shared/contracts.accepted.json"),
)


def corpora() -> list[Files]:
    """Return spec folders without problems, which together use many keywords and references."""
    return [
        _folder(_GOLDEN / "everything" / "specs"),
        _folder(_REPOSITORY / "specs"),
        _referring(),
        _named(),
        _draft7(),
    ]


def mutated(random: Random, files: Mapping[str, Any], donors: Mapping[str, Any]) -> Files:
    """Return a copy with one to five changes; parts of `donors` may be inserted."""
    changed = copy.deepcopy(dict(files))
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 5))):
        name = random.choice(sorted(changed))
        # A file of bytes changes only by more bytes.
        change = random.choices((_text, _file, _tree), (2, 1, 12))[0] if not isinstance(changed[name], bytes) else _text
        change(random, changed, name, donors)
    return changed


def _tree(random: Random, files: Files, name: str, donors: Mapping[str, Any]) -> None:
    places = [(), *_places(files[name])]
    place = random.choice(places)
    new = _new_value(random, files, donors)
    if not place:
        if random.random() < 0.2:
            files[name] = new
        return
    holder = files[name]
    for token in place[:-1]:
        holder = holder[token]
    key: Any = place[-1]
    match random.randrange(6):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[random.choice(_KEYS)] = holder.pop(key)
        case 1:
            holder.insert(random.randrange(len(holder) + 1), new)
        case 2 if isinstance(holder[key], dict):
            holder[key][random.choice(_KEYS)] = new
        case 3 if isinstance(holder[key], dict):
            holder[key]["$ref"] = _reference(random, files)
        case _:
            holder[key] = new


def _new_value(random: Random, files: Files, donors: Mapping[str, Any]) -> Any:
    choice = random.randrange(4)
    if choice == 0:
        return copy.deepcopy(random.choice(ODD))
    if choice == 1:
        return {"$ref": _reference(random, files)}
    source = donors if choice == 2 else files
    tree = source[random.choice(sorted(source))]
    if isinstance(tree, bytes):
        return None
    value = tree
    for token in random.choice([(), *_places(tree)]):
        value = value[token]
    return copy.deepcopy(value)


def _reference(random: Random, files: Files) -> str:
    path = random.choice(("", "", random.choice(_PATHS), random.choice(sorted(files))))
    target = files.get(path)
    if target is None or isinstance(target, bytes) or random.random() < 0.4:
        return path + random.choice(_FRAGMENTS)
    tokens = random.choice([(), *_places(target)])
    return path + "#" + "".join("/" + str(token).replace("~", "~0").replace("/", "~1") for token in tokens)


def _text(random: Random, files: Files, name: str, _donors: Mapping[str, Any]) -> None:
    data = files[name] if isinstance(files[name], bytes) else json.dumps(files[name]).encode()
    files[name] = mutated_bytes(random, data)


def mutated_bytes(random: Random, data: bytes) -> bytes:
    """Return the bytes with one part removed, doubled or replaced."""
    start = random.randrange(len(data) + 1)
    end = min(len(data), start + random.choice((0, 1, 1, 5, 50)))
    others = (bytes([random.randrange(256)]), b'"', b"{", b"]", b"\\u", b",", b"1e999")
    instead = random.choice((b"", b"", data[start:end] * 2, *others))
    return data[:start] + instead + data[end:]


def _file(random: Random, files: Files, name: str, _donors: Mapping[str, Any]) -> None:
    match random.randrange(4):
        case 0 if len(files) > 1:
            del files[name]
        case 1:
            files[random.choice(_NAMES)] = files.pop(name)
        case 2:
            files[random.choice(_NAMES)] = copy.deepcopy(files[name])
        case _:
            files[name] = copy.deepcopy(random.choice(ODD))


def _places(value: Any, at: Place = ()) -> Iterator[Place]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*at, key)
        yield from _places(item, (*at, key))


def _folder(root: Path) -> Files:
    return {
        path.relative_to(root).as_posix(): json.loads(path.read_text(encoding="utf-8")) for path in root.rglob("*.json")
    }


def _referring() -> Files:
    """Return two jobs and three shared files that refer to each other."""
    tree = an_object(children={"type": "array", "items": {"$ref": "#"}}, name={"$ref": "text.json"})
    base = {"type": "object", "required": ["id"], "properties": {"id": {"$ref": "text.json#/$defs/id"}}}
    params = {"allOf": [{"$ref": "shared/base.json"}], **an_object(), "unevaluatedProperties": False}
    del params["additionalProperties"]
    text = {"type": "string", "minLength": 1, "$defs": {"id": {"type": "string", "format": "uuid"}}}
    options = {"unique": {"by": ["/tree/name"]}, "redact": ["/tree"], "indexes": ["/params/label"]}
    return {
        "a.json": a_spec(an_object(tree={"$ref": "shared/tree.json"}, label={"type": "string"}), **{"x-job": options}),
        "b.json": a_spec(
            params, {"$ref": "#/$defs/R"}, **{"$defs": {"R": an_object(t={"$ref": "a.json#/properties/params"})}}
        ),
        "shared/tree.json": tree,
        "shared/text.json": text,
        "shared/base.json": {**base, "additionalProperties": True},
    }


def _named() -> Files:
    """Return references by `$id` and `$anchor`."""
    point = {"$anchor": "point", **an_object(x={"type": "integer"}, y={"type": "number", "default": 1.5})}
    return {
        "a.json": a_spec(
            an_object(p={"$ref": "https://example.com/geometry#point"}, q={"$ref": "#/$defs/Q"}),
            **{"$defs": {"Q": {"enum": ["a", 1, None]}}},
        ),
        "shared/geometry.json": {
            "$id": "https://example.com/geometry",
            "$defs": {"Point": point, "Line": {"type": "array", "items": {"$ref": "#point"}}},
        },
    }


def _draft7() -> Files:
    """Return a job and shared definitions in draft 7."""
    dialect = "http://json-schema.org/draft-07/schema#"
    params = an_object(
        pair={"type": "array", "items": [{"type": "string"}, {"type": "integer"}], "additionalItems": False},
        kind={"$ref": "shared/old.json#/definitions/kind", "description": "Beside it."},
        other={
            "if": {"type": "string"},
            "then": {"type": "string", "minLength": 1},
            "else": {"type": "integer"},
            "type": ["string", "integer"],
        },
    )
    return {
        "a.json": {"$schema": dialect, **a_spec({**params, "dependencies": {"pair": ["kind"]}})},
        "shared/old.json": {"$schema": dialect, "definitions": {"kind": {"type": "string", "enum": ["a", "b"]}}},
    }
