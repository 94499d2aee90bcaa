"""Pairs of a schema and a slightly changed one, and values that fit one of them.

One seed from Hypothesis decides everything, which makes thousands of pairs a second instead of dozens.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from random import Random
from typing import Any

Json = Any

NAMES = ("a", "b", "kind")
TEXTS = ("", "a", "b", "ab", "aaaa", "1", "2026-03-29", "2026-03-29T10:00:00Z", "a@b.c", "::1", "PT1S", "MQ==")
NUMBERS = (0, 1, 2, 3, 6, -1, 2**53 + 1, 1.5, 0.5, 1.0)
FORMATS = ("date", "date-time", "duration", "email", "ipv6")
PATTERNS = ("^a", "b$", "a|1", "^k")
OTHERS = "additionalProperties"
OF_OBJECTS = (
    *("if", "then", "else", "dependentRequired", "dependentSchemas", "propertyNames", "patternProperties", "allOf"),
    *("unevaluatedProperties", "minProperties", "not"),
)
NULL: Json = {"type": "null"}
DEFINITIONS = ("Node", "Other")

SCALARS: tuple[Json, ...] = (
    *({"type": "string"}, {"type": "integer"}, {"type": "number"}, {"type": "boolean"}, {"type": "null"}, True),
    *({"type": ["string", "null"]}, {"type": ["integer", "string"]}, {"type": ["number", "boolean"]}),
    *({"const": "a"}, {"const": 1}, {"const": True}, {"enum": ["a", "b"]}, {"enum": [1, 2, None]}, {"enum": [True, 1]}),
    *({"type": "string", "minLength": 1}, {"type": "string", "maxLength": 2, "pattern": "^a"}),
    *(
        {"type": "string", "format": "date"},
        {"type": "integer", "minimum": 1},
        {"type": "number", "exclusiveMaximum": 2},
    ),
    *({"type": "integer", "multipleOf": 2, "maximum": 6}, {"$ref": "#/$defs/Node"}, {"$ref": "#/$defs/Other"}),
    *({"minLength": 1}, {"type": ["object", "null"]}, {"type": "array", "uniqueItems": True}),
    *({"const": 1.0}, {"const": [1]}, {"const": [1.0]}, {"enum": [{"a": 1}, {"a": 1.0}, {}]}),
    *({"$ref": "#/$defs/Node", "minProperties": 1}, {"$ref": "#/$defs/Other", "required": ["a"]}),
    *({"anyOf": [{"$ref": "#/$defs/Node"}, NULL]}, {"type": "array", "items": {"$ref": "#/$defs/Other"}}),
    *({"type": "string", "format": "date-time"}, {"type": "string", "contentEncoding": "base64"}),
    *({"type": "array", "contains": {"type": "integer"}, "minContains": 2}, {"type": "number", "multipleOf": 0.5}),
    *({"type": "object", "additionalProperties": {"type": ["string", "null"]}}, {"type": "array", "items": False}),
)


def schema_pair(rng: Random) -> tuple[Json, Json]:
    """Return an old and a new schema of params, which differ in a few edits."""
    old = _object(rng, 2)
    old["$defs"] = {name: _object(rng, 1) for name in DEFINITIONS}
    new = copy.deepcopy(old)
    for _ in range(rng.choice((1, 1, 2, 3))):
        _edit(new, rng)
    if any(_leads_back(root, node, ()) for root in (old, new) for node in root["$defs"].values()):
        return schema_pair(rng)
    return (old, new) if rng.random() < 0.5 else (new, old)


def _leads_back(root: Json, node: Json, above: tuple[int, ...]) -> bool:
    """Return whether a definition applies itself to the same value, which no spec may."""
    if id(node) in above:
        return True
    return isinstance(node, dict) and any(_leads_back(root, one, (*above, id(node))) for one in _in_place(root, node))


def _in_place(root: Json, node: Json) -> list[Json]:
    found = [inner for word in ("allOf", "anyOf", "oneOf") for inner in node.get(word, [])]
    found += [node[word] for word in ("not", "if", "then", "else") if word in node]
    found += [root["$defs"][node["$ref"].removeprefix("#/$defs/")]] if "$ref" in node else []
    return [*found, *node.get("dependentSchemas", {}).values()]


def _schema(rng: Random, depth: int) -> Json:
    if depth == 0 or rng.random() < 0.5:
        return copy.deepcopy(rng.choice(SCALARS))
    words = ("object", "object", "tagged", "array", "tuple", "anyOf", "oneOf", "allOf", "null", "objects", "parts")
    match rng.choice(words):
        case "object":
            return _object(rng, depth - 1)
        case "tagged":
            return {"oneOf": [_tagged(rng, kind) for kind in rng.sample(["a", "b", 1], rng.choice((1, 2, 3)))]}
        case "array":
            return {"type": "array", "items": _schema(rng, depth - 1)}
        case "tuple":
            word = rng.choice(("items", "items", "unevaluatedItems"))
            rest = rng.choice((False, _schema(rng, depth - 1)))
            return {"type": "array", "prefixItems": [_schema(rng, depth - 1)], word: rest}
        case "null":
            return {"anyOf": [_schema(rng, depth - 1), {"type": "null"}]}
        case "objects":
            return {rng.choice(("anyOf", "oneOf")): [_object(rng, depth - 1), rng.choice((_object(rng, 0), NULL))]}
        case "parts":
            return {"allOf": [_object(rng, depth - 1)], **_object(rng, 0)}
        case word:
            return {word: [_schema(rng, depth - 1), _schema(rng, depth - 1)]}


def _object(rng: Random, depth: int) -> Json:
    properties = {name: _schema(rng, depth) for name in NAMES if rng.random() < 0.6}
    required = [name for name in properties if rng.random() < 0.5]
    found: Json = {"type": "object", "properties": properties, "required": required}
    word = "unevaluatedProperties" if rng.random() < 0.2 else "additionalProperties"
    found[word] = _schema(rng, 0) if rng.random() < 0.2 else rng.random() < 0.2
    if rng.random() < 0.15:
        _reword(found, rng, OF_OBJECTS)
    return found


def _tagged(rng: Random, kind: Json) -> Json:
    branch = _object(rng, 0)
    branch["properties"]["kind"] = {"const": kind}
    branch["required"] = sorted({*branch["required"], "kind"})
    return branch


def _edit(root: Json, rng: Random) -> None:
    """Change one place in a way that fits its schema."""
    node = rng.choice([root, *(node for node in _places(root) if node)])
    edits: list[Callable[[Json, Random], None]] = [*_EDITS]
    edits += [_move(root)] * 2
    if "properties" in node:
        edits += [_toggle_property, _toggle_required, _toggle_closed] * 3
    if node is root:
        edits = [_toggle_property, _toggle_required, _toggle_closed, _of_objects]
    rng.choice(edits)(node, rng)


INNER = (
    *("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"),
    *("unevaluatedItems", "unevaluatedProperties"),
)


def _places(node: Json) -> list[Json]:
    found = []
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("properties", "$defs", "patternProperties", "dependentSchemas"):
                found += [inner for each in value.values() for inner in ([each] if isinstance(each, dict) else [])]
                found += [inner for each in value.values() for inner in _places(each)]
            elif key in INNER and isinstance(value, dict):
                found += [value, *_places(value)]
            elif key in ("anyOf", "oneOf", "allOf", "prefixItems"):
                found += [inner for each in value for inner in ([each] if isinstance(each, dict) else [])]
                found += [inner for each in value for inner in _places(each)]
    return found


def _toggle_property(node: Json, rng: Random) -> None:
    name = rng.choice(NAMES)
    if name in node["properties"]:
        moved = node["properties"].pop(name)
        node["required"] = [one for one in node.get("required", []) if one != name]
        if rng.random() < 0.2:
            node["properties"][rng.choice(NAMES)] = moved
    else:
        node["properties"][name] = copy.deepcopy(rng.choice(SCALARS))
        node["required"] = [*node.get("required", []), *([name] if rng.random() < 0.4 else [])]


def _toggle_required(node: Json, rng: Random) -> None:
    name = rng.choice([*node["properties"], rng.choice(NAMES)])
    node["required"] = sorted({*node.get("required", [])} ^ {name})


def _toggle_closed(node: Json, rng: Random) -> None:
    word = next((word for word in ("unevaluatedProperties", "additionalProperties") if word in node), OTHERS)
    if rng.random() < 0.2:
        node.pop(word, None)
        word = rng.choice(("unevaluatedProperties", OTHERS))
    node[word] = rng.choice((True, False, {"type": "string"}, {"type": "integer"}))


def _replace(node: Json, rng: Random) -> None:
    schema = copy.deepcopy(rng.choice(SCALARS))
    node.clear()
    node.update(schema if isinstance(schema, dict) else {})


def _retype(node: Json, rng: Random) -> None:
    kinds = node.get("type", [])
    kinds = {*(kinds if isinstance(kinds, list) else [kinds])}
    kinds ^= {rng.choice(("null", "null", "integer", "number", "string", "boolean", "array", "object"))}
    node["type"] = sorted(kinds) or "string"


def _wrap(node: Json, rng: Random) -> None:
    inner = copy.deepcopy(node)
    node.clear()
    other = copy.deepcopy(rng.choice(SCALARS))
    match rng.choice(("anyOf", "oneOf", "allOf", "null")):
        case "null":
            node["anyOf"] = [inner, {"type": "null"}]
        case word:
            node[word] = [inner, other] if rng.random() < 0.5 else [inner]


def _move(root: Json) -> Callable[[Json, Random], None]:
    """Return an edit that moves a schema into a definition, or the target of a reference to the reference."""

    def edit(node: Json, rng: Random) -> None:
        if "$ref" in node:
            node |= copy.deepcopy(root["$defs"][node.pop("$ref").removeprefix("#/$defs/")])
        elif rng.random() < 0.5:
            root["$defs"]["Moved"] = copy.deepcopy(node)
            node.clear()
            node["$ref"] = "#/$defs/Moved"
        elif len(node) > 1:
            word = rng.choice([*node])
            node["allOf"] = [*node.get("allOf", []), {word: node.pop(word)}] if word != "allOf" else node["allOf"]

    return edit


def _listed(node: Json, rng: Random) -> None:
    """Change the listed values, or list more or fewer."""
    values = node.pop("enum", [node.pop("const", rng.choice(("a", 1)))])
    other = rng.choice(("a", "b", 1, 2, 1.0, None, True, [1], {"a": 1}))
    values = [value for value in values if value != other] if rng.random() < 0.5 else [*values, other]
    node |= {"enum": values} if len(values) > 1 else {"const": [*values, "a"][0]}


def _branch(node: Json, rng: Random) -> None:
    for word in ("anyOf", "oneOf", "allOf", "prefixItems"):
        if word in node:
            if rng.random() < 0.5 and len(node[word]) > 1:
                node[word].pop(rng.randrange(len(node[word])))
            else:
                node[word].append(copy.deepcopy(rng.choice(SCALARS)))
            rng.shuffle(node[word])


def _part(rng: Random) -> Json:
    """Return a schema that only adds to an object around it."""
    return {
        "properties": {rng.choice(NAMES): copy.deepcopy(rng.choice(SCALARS))},
        "required": [rng.choice(NAMES)] if rng.random() < 0.5 else [],
    }


def _reword(node: Json, rng: Random, among: tuple[str, ...] = ()) -> None:
    words: dict[str, Json] = {
        **{word: rng.randrange(4) for word in ("minLength", "maxLength", "minItems", "maxItems")},
        **{word: rng.randrange(3) for word in ("minProperties", "maxProperties", "minContains", "maxContains")},
        **{word: rng.choice((0, 1, 1.5, 2)) for word in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")},
        "multipleOf": rng.choice((1, 2, 3, 4, 0.5, 1.5)),
        "contentEncoding": "base64",
        "pattern": rng.choice(PATTERNS),
        "format": rng.choice(FORMATS),
        "enum": rng.sample(["a", "b", 1, 2, None, True], 3),
        "const": rng.choice(("a", "b", 1, True)),
        "uniqueItems": rng.random() < 0.7,
        "default": rng.choice(("a", 1, None, {}, [])),
        "description": "Words.",
        **{word: copy.deepcopy(rng.choice(SCALARS)) for word in ("not", "if", "then", "else", "contains", "items")},
        "dependentRequired": {rng.choice(NAMES): [rng.choice(NAMES)]},
        "dependentSchemas": {rng.choice(NAMES): rng.choice(({"required": [rng.choice(NAMES)]}, _part(rng)))},
        "propertyNames": rng.choice(({"maxLength": 1}, {"maxLength": 4}, {"pattern": "^k"}, {"enum": ["a", "b"]})),
        "patternProperties": {rng.choice(PATTERNS): copy.deepcopy(rng.choice(SCALARS))},
        "allOf": [copy.deepcopy(rng.choice((*SCALARS, _part(rng))))],
        **{
            word: rng.choice((False, True, {"type": "string"}))
            for word in ("unevaluatedItems", "unevaluatedProperties")
        },
    }
    if rng.random() < 0.3:
        words |= {word: _part(rng) for word in ("if", "then", "else", "not")}
    if among:
        words = {word: words[word] for word in among}
    present = [word for word in words if word in node]
    word = rng.choice(present) if present and rng.random() < 0.6 else rng.choice([*words])
    if word in node and rng.random() < 0.4:
        del node[word]
    elif word in ("if", "then", "else"):
        node |= {each: words[each] for each in ("if", "then", "else") if each == word or each not in node}
    else:
        node[word] = words[word]


def _of_objects(node: Json, rng: Random) -> None:
    _reword(node, rng, OF_OBJECTS)


_EDITS = (_replace, _retype, _wrap, _branch, _listed, _reword, _reword, _reword)


COMPOSED = ("$ref", "allOf", "anyOf", "oneOf", "dependentSchemas", "if", "then", "else")


def value_near(root: Json, schema: Json, rng: Random, depth: int = 4) -> Json:
    """Return a value that fits the schema in most cases."""
    if schema is False or schema is True or depth < 0 or rng.random() < 0.05:
        return rng.choice((*TEXTS, *NUMBERS, None, True, [], {}, {"a": 1}, ["a"]))
    if parts := _parts(root, schema, rng):
        values = [value_near(root, part, rng, depth - 1) for part in parts]
        objects = [value for value in values if isinstance(value, dict)]
        return {name: inner for value in objects for name, inner in value.items()} if objects else rng.choice(values)
    if "const" in schema or "enum" in schema:
        return copy.deepcopy(rng.choice(schema.get("enum", [schema.get("const")])))
    kinds = schema.get("type", ("string", "integer", "object", "array", "null"))
    match rng.choice(kinds) if isinstance(kinds, list | tuple) else kinds:
        case "string":
            return rng.choice(TEXTS)
        case "integer":
            return rng.choice([number for number in NUMBERS if isinstance(number, int)])
        case "number":
            return rng.choice(NUMBERS)
        case "boolean":
            return rng.random() < 0.5
        case "null":
            return None
        case "array":
            prefix = schema.get("prefixItems", [])
            items = [value_near(root, item, rng, depth - 1) for item in prefix]
            rest = schema.get("items", True)
            items += [
                value_near(root, rest, rng, depth - 1)
                for _ in range(rng.choice((0, 0, 1, 2)) if rest is not False else 0)
            ]
            if "contains" in schema and rng.random() < 0.7:
                items += [value_near(root, schema["contains"], rng, depth - 1) for _ in range(rng.randrange(3))]
            return items + items[-1:] if rng.random() < 0.2 else items
        case _:
            return _object_near(root, schema, rng, depth)


def _parts(root: Json, schema: Json, rng: Random) -> list[Json]:
    """Return the schemas that hold together for a value; none if the schema is not composed."""
    found = list(schema.get("allOf", []))
    found += [rng.choice(schema[word]) for word in ("anyOf", "oneOf") if word in schema]
    found += [root["$defs"][schema["$ref"].removeprefix("#/$defs/")]] if "$ref" in schema else []
    found += [inner for inner in schema.get("dependentSchemas", {}).values() if rng.random() < 0.4]
    found += [schema[word] for word in ("if", "then", "else") if word in schema and rng.random() < 0.4]
    rest = {key: value for key, value in schema.items() if key not in COMPOSED}
    return [rest, *found] if found and "properties" in rest else found


def _object_near(root: Json, schema: Json, rng: Random, depth: int) -> Json:
    properties, required = schema.get("properties", {}), schema.get("required", [])
    more = schema.get("additionalProperties", schema.get("unevaluatedProperties", True))
    names = [name for name in {**properties, **dict.fromkeys(required)} if name in required or rng.random() < 0.6]
    if more is not False:
        names += [name for name in NAMES if name not in properties and rng.random() < 0.4]
    return {name: value_near(root, properties.get(name, more), rng, depth - 1) for name in names}
