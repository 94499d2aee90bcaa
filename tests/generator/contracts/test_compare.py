"""The table of changes: the rule of each, and the directions in which it breaks."""

from __future__ import annotations

from typing import Any, cast

import pytest
from pydantic import JsonValue
from server_jobs.contract.json_schema import NO_RESULT
from server_jobs_generator.contracts.compare.change import BREAKS, RISKY, SAFE, Verdict
from server_jobs_generator.contracts.compare.compare_schemas import compare
from server_jobs_generator.contracts.contract_rules import ChangeRule

Schema = dict[str, JsonValue]

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}


def closed(*required: str, **properties: object) -> Schema:
    return cast(
        "Schema",
        {"type": "object", "additionalProperties": False, "properties": properties, "required": list(required)},
    )


def opened(*required: str, **properties: object) -> Schema:
    return {**closed(*required, **properties), "additionalProperties": True}


def sealed(**properties: object) -> Schema:
    """Return a closed object, in the words that see what other schemas allow."""
    return {"type": "object", "unevaluatedProperties": False, "properties": cast("Schema", properties)}


def of(schema: object) -> Schema:
    """Return an object whose required property `x` has that schema."""
    return closed("x", x=schema)


def union(*kinds: str, tag: str = "kind") -> Schema:
    return {"oneOf": [closed(tag, **{tag: {"const": kind}}) for kind in kinds]}


def shared(name: str, **more: object) -> Schema:
    return {**closed(x={"$ref": f"#/$defs/{name}"}), "$defs": {name: cast("Schema", {"type": "string", **more})}}


Row = tuple[Schema, Schema, ChangeRule, Verdict, Verdict]

# In the order of the design's table: the change, its rule, old values with the new reader, and the reverse.
TABLE: dict[str, Row] = {
    "add an optional property": (closed(), closed(a=TEXT), ChangeRule.PROP_ADDED_OPTIONAL, SAFE, SAFE),
    "add an optional property to an open object": (
        opened(),
        opened(a=TEXT),
        ChangeRule.PROP_ADDED_TO_OPEN,
        BREAKS,
        SAFE,
    ),
    "add a property that takes anything to an open object": (
        opened(),
        opened(a=True),
        ChangeRule.PROP_ADDED_TO_OPEN,
        SAFE,
        SAFE,
    ),
    "add a required property": (closed(), closed("a", a=TEXT), ChangeRule.REQUIRED_ADDED, BREAKS, SAFE),
    "add a required property with a default": (
        *(closed(), closed("a", a={"type": "string", "default": ""})),
        *(ChangeRule.REQUIRED_ADDED_DEFAULT, BREAKS, SAFE),
    ),
    "remove an optional property": (closed(a=TEXT), closed(), ChangeRule.PROP_REMOVED_OPTIONAL, SAFE, SAFE),
    "remove a required property": (closed("a", a=TEXT), closed(), ChangeRule.PROP_REMOVED_REQUIRED, SAFE, BREAKS),
    "rename a property": (closed("a", a=TEXT), closed("b", b=TEXT), ChangeRule.PROP_RENAMED, BREAKS, BREAKS),
    "make an optional property required": (
        closed(a=TEXT),
        closed("a", a=TEXT),
        ChangeRule.REQUIRED_ADDED,
        BREAKS,
        SAFE,
    ),
    "make a required property optional": (
        closed("a", a=TEXT),
        closed(a=TEXT),
        ChangeRule.REQUIRED_REMOVED,
        SAFE,
        BREAKS,
    ),
    "allow null": (of(TEXT), of({"type": ["string", "null"]}), ChangeRule.NULL_ADDED, SAFE, BREAKS),
    "allow null by a union": (of(TEXT), of({"anyOf": [TEXT, {"type": "null"}]}), ChangeRule.NULL_ADDED, SAFE, BREAKS),
    "allow null in an enum": (of({"enum": ["a"]}), of({"enum": ["a", None]}), ChangeRule.NULL_ADDED, SAFE, BREAKS),
    "refuse null": (of({"type": ["string", "null"]}), of(TEXT), ChangeRule.NULL_REMOVED, BREAKS, SAFE),
    "widen a small integer to a number": (
        *(of({"type": "integer", "minimum": 0, "maximum": 9}), of({"type": "number", "minimum": 0, "maximum": 9})),
        *(ChangeRule.TYPE_WIDENED, SAFE, BREAKS),
    ),
    "widen any integer to a number": (of(WHOLE), of({"type": "number"}), ChangeRule.TYPE_WIDENED, RISKY, BREAKS),
    "add a type": (of(TEXT), of({"type": ["string", "integer"]}), ChangeRule.TYPE_WIDENED, SAFE, BREAKS),
    "narrow a number to an integer": (
        *(of({"type": "number", "minimum": 0, "maximum": 9}), of({"type": "integer", "minimum": 0, "maximum": 9})),
        *(ChangeRule.TYPE_NARROWED, BREAKS, SAFE),
    ),
    "remove a type": (of({"type": ["string", "integer"]}), of(TEXT), ChangeRule.TYPE_NARROWED, BREAKS, SAFE),
    "change a type": (of(TEXT), of(WHOLE), ChangeRule.TYPE_CHANGED, BREAKS, BREAKS),
    "make a list of a value": (of(TEXT), of({"type": "array", "items": TEXT}), ChangeRule.TYPE_CHANGED, BREAKS, BREAKS),
    "add a value to an enum": (of({"enum": ["a"]}), of({"enum": ["a", "b"]}), ChangeRule.ENUM_ADDED, SAFE, BREAKS),
    "remove a value from an enum": (
        of({"enum": ["a", "b"]}),
        of({"const": "a"}),
        ChangeRule.ENUM_REMOVED,
        BREAKS,
        SAFE,
    ),
    "change a const": (of({"const": 1}), of({"const": 2}), ChangeRule.CONST_CHANGED, BREAKS, BREAKS),
    "pattern added": (of(TEXT), of({"type": "string", "pattern": "a"}), ChangeRule.CONSTRAINT_TIGHTENED, BREAKS, SAFE),
    "format added": (of(TEXT), of({"type": "string", "format": "uri"}), ChangeRule.CONSTRAINT_TIGHTENED, BREAKS, SAFE),
    "values listed": (of(TEXT), of({"enum": ["a"]}), ChangeRule.CONSTRAINT_TIGHTENED, BREAKS, SAFE),
    "values no longer listed": (of({"enum": ["a"]}), of(TEXT), ChangeRule.CONSTRAINT_RELAXED, SAFE, BREAKS),
    "pattern removed": (of({"type": "string", "pattern": "a"}), of(TEXT), ChangeRule.CONSTRAINT_RELAXED, SAFE, BREAKS),
    "pattern changed": (
        *(of({"type": "string", "pattern": "a"}), of({"type": "string", "pattern": "b"})),
        *(ChangeRule.PATTERN_CHANGED, BREAKS, BREAKS),
    ),
    "format changed": (
        *(of({"type": "string", "format": "uuid"}), of({"type": "string", "format": "uri"})),
        *(ChangeRule.FORMAT_CHANGED, BREAKS, BREAKS),
    ),
    "close an object": (opened(), closed(), ChangeRule.EXTRA_CLOSED, RISKY, SAFE),
    "close an object that requires what it does not declare": (
        opened("x"),
        closed("x"),
        ChangeRule.EXTRA_CLOSED,
        BREAKS,
        SAFE,
    ),
    "change a const beside an enum with the number in another form": (
        *(of({"const": 1, "enum": [1.0, 2]}), of({"const": 2})),
        *(ChangeRule.CONST_CHANGED, BREAKS, BREAKS),
    ),
    "open an object": (closed(), opened(), ChangeRule.EXTRA_OPENED, SAFE, RISKY),
    "remove a property from a branch that unevaluatedProperties closes": (
        *(of({"anyOf": [sealed(a=TEXT), TEXT]}), of({"anyOf": [sealed(), TEXT]})),
        *(ChangeRule.PROP_REMOVED_OPTIONAL, BREAKS, SAFE),
    ),
    "remove a property from a nullable object that unevaluatedProperties closes": (
        *(of({"oneOf": [sealed(a=TEXT), {"type": "null"}]}), of({"oneOf": [sealed(), {"type": "null"}]})),
        *(ChangeRule.PROP_REMOVED_OPTIONAL, BREAKS, SAFE),
    ),
    "add a branch": (of(union("a", "b")), of(union("a", "b", "c")), ChangeRule.UNION_ADDED, SAFE, BREAKS),
    "remove a branch": (of(union("a", "b", "c")), of(union("a", "b")), ChangeRule.UNION_REMOVED, BREAKS, SAFE),
    "change a tag": (of(union("a", "b")), of(union("a", "c")), ChangeRule.UNION_TAG_CHANGED, BREAKS, BREAKS),
    "tell branches apart by another property": (
        *(of(union("a", "b")), of(union("a", "b", tag="type"))),
        *(ChangeRule.UNION_TAG_CHANGED, BREAKS, BREAKS),
    ),
    "add an item to a tuple": (
        of({"type": "array", "prefixItems": [TEXT], "items": False, "minItems": 1}),
        of({"type": "array", "prefixItems": [TEXT, TEXT], "items": False, "minItems": 2}),
        *(ChangeRule.TUPLE_CHANGED, BREAKS, BREAKS),
    ),
    "change a default": (
        *(closed(a={"type": "string", "default": "a"}), closed(a={"type": "string", "default": "b"})),
        *(ChangeRule.DEFAULT_CHANGED, SAFE, SAFE),
    ),
    "remove a default": (
        *(closed(a={"type": "string", "default": "a"}), closed(a=TEXT)),
        *(ChangeRule.DEFAULT_REMOVED, RISKY, SAFE),
    ),
    "rename a definition": (shared("A"), shared("B"), ChangeRule.REF_RENAMED, SAFE, SAFE),
    "a keyword nobody knows": (of(TEXT), of({"type": "string", "x-new": 1}), ChangeRule.UNKNOWN_CHANGE, BREAKS, BREAKS),
}

# A bound, a value of it, and a stricter value.
BOUNDS: dict[str, tuple[Schema, Any, Any]] = {
    "minimum": ({"type": "integer"}, 1, 2),
    "maximum": ({"type": "number"}, 2, 1.5),
    "exclusiveMinimum": ({"type": "number"}, 1, 1.5),
    "exclusiveMaximum": ({"type": "integer"}, 3, 2),
    "multipleOf": ({"type": "integer"}, 2, 4),
    "minLength": ({"type": "string"}, 1, 2),
    "maxLength": ({"type": "string"}, 2, 1),
    "minItems": ({"type": "array", "items": True}, 1, 2),
    "maxItems": ({"type": "array", "items": True}, 2, 1),
    "minProperties": ({"type": "object"}, 1, 2),
    "maxProperties": ({"type": "object"}, 2, 1),
}
ADDED: dict[str, Schema] = {
    "uniqueItems": {"uniqueItems": True},
    "contains": {"contains": TEXT, "minContains": 2},
    "not": {"not": TEXT},
    "if": {"if": TEXT, "then": {"minLength": 1}},
    "dependentRequired": {"dependentRequired": {"a": ["b"]}},
    "dependentSchemas": {"dependentSchemas": {"a": closed()}},
    "propertyNames": {"propertyNames": {"maxLength": 1}},
    "allOf": {"allOf": [{"minLength": 1}]},
    "contentEncoding": {"contentEncoding": "base64"},
}
CHANGED: dict[str, tuple[Schema, Schema]] = {
    "not": ({"not": TEXT}, {"not": WHOLE}),
    "inside if": ({"if": TEXT, "then": {"minLength": 1}}, {"if": WHOLE, "then": {"minLength": 1}}),
    "then alone": ({"if": TEXT, "then": {"minLength": 1}}, {"if": TEXT, "then": {"minLength": 2}}),
    "minContains": ({"contains": TEXT}, {"contains": TEXT, "minContains": 2}),
    "overlapping oneOf": ({"oneOf": [TEXT, {"minLength": 1}]}, {"oneOf": [TEXT, {"minLength": 2}]}),
    "patternProperties": (
        {"type": "object", "patternProperties": {"a": TEXT}},
        {"type": "object", "patternProperties": {"b": TEXT}},
    ),
    "beside patternProperties": (
        {"type": "object", "patternProperties": {"a": TEXT}},
        {"type": "object", "patternProperties": {"a": TEXT}, "properties": {"a": TEXT}},
    ),
    "before unevaluatedProperties": (
        {"allOf": [{"properties": {"a": TEXT}}], "unevaluatedProperties": False},
        {"allOf": [{"properties": {"a": TEXT, "b": TEXT}}], "unevaluatedProperties": False},
    ),
    "before unevaluatedProperties of a branch": (
        {"anyOf": [{**sealed(), "if": TEXT, "then": {"properties": {"a": TEXT}}}, TEXT]},
        {"anyOf": [{**sealed(), "if": TEXT, "then": {"properties": {"b": TEXT}}}, TEXT]},
    ),
    "before unevaluatedItems of a branch": (
        {"anyOf": [{"type": "array", "prefixItems": [TEXT, TEXT], "unevaluatedItems": False}, TEXT]},
        {"anyOf": [{"type": "array", "prefixItems": [TEXT], "unevaluatedItems": False}, TEXT]},
    ),
    "a branch equal to another one but for the writing of a number": (
        {"oneOf": [{"const": [1]}, {"const": [1.0]}]},
        {"oneOf": [{"const": [1]}]},
    ),
    "dynamic references": ({"$dynamicRef": "#a"}, {"$dynamicRef": "#b"}),
    "allOf": ({"allOf": [TEXT, {"pattern": "a"}, {"minLength": 1}]}, {"allOf": [{"pattern": "b"}, {"maxLength": 1}]}),
}


def test_a_result_that_comes_or_goes_breaks_one_direction() -> None:
    none = dict(NO_RESULT)
    assert verdicts(none, of(TEXT)) == {ChangeRule.RESULT_ADDED: (BREAKS, SAFE)}
    assert verdicts(of(TEXT), none) == {ChangeRule.RESULT_REMOVED: (SAFE, BREAKS)}
    assert verdicts(none, none) == {}


def verdicts(old: Schema, new: Schema) -> dict[ChangeRule, tuple[Verdict, Verdict]]:
    return {change.rule: (change.backward, change.forward) for change in compare(old, new)}


@pytest.mark.parametrize("name", TABLE)
def test_each_change_of_the_table_is_judged_as_it_says(name: str) -> None:
    old, new, rule, backward, forward = TABLE[name]
    assert verdicts(old, new) == {rule: (backward, forward)}


@pytest.mark.parametrize("name", TABLE)
def test_no_change_is_none(name: str) -> None:
    for schema in TABLE[name][:2]:
        assert compare(schema, schema) == []


@pytest.mark.parametrize("keyword", BOUNDS)
def test_a_bound_that_is_tightened_breaks_old_values_and_a_relaxed_one_new_values(keyword: str) -> None:
    base, loose, tight = BOUNDS[keyword]
    schemas = [of(base), of({**base, keyword: loose}), of({**base, keyword: tight})]
    for loose_one, tight_one in ((0, 1), (1, 2), (0, 2)):
        assert verdicts(schemas[loose_one], schemas[tight_one]) == {ChangeRule.CONSTRAINT_TIGHTENED: (BREAKS, SAFE)}
        assert verdicts(schemas[tight_one], schemas[loose_one]) == {ChangeRule.CONSTRAINT_RELAXED: (SAFE, BREAKS)}


@pytest.mark.parametrize("name", ADDED)
def test_an_added_keyword_refuses_more_and_a_removed_one_less(name: str) -> None:
    plain, more = (
        of({"type": ["string", "array", "object"]}),
        of({"type": ["string", "array", "object"], **ADDED[name]}),
    )
    assert verdicts(plain, more) == {ChangeRule.CONSTRAINT_TIGHTENED: (BREAKS, SAFE)}
    assert verdicts(more, plain) == {ChangeRule.CONSTRAINT_RELAXED: (SAFE, BREAKS)}


@pytest.mark.parametrize("name", CHANGED)
def test_unknown_effects_are_never_safe(name: str) -> None:
    old, new = CHANGED[name]
    assert verdicts(of(old), of(new)) == {ChangeRule.UNKNOWN_CHANGE: (BREAKS, BREAKS)}


SAME: dict[str, tuple[Schema, Schema]] = {
    "documentation": (of(TEXT), of({"type": "string", "title": "T", "description": "D", "examples": ["a"]})),
    "order": (closed("a", "b", a=TEXT, b=WHOLE), closed("b", "a", b=WHOLE, a=TEXT)),
    "const is an enum of one": (of({"const": "a"}), of({"enum": ["a"]})),
    "enum says its type": (of({"enum": ["a", "b"]}), of({"type": "string", "enum": ["b", "a"]})),
    "nullable forms": (of({"type": ["string", "null"]}), of({"anyOf": [{"type": "null"}, TEXT]})),
    "an inlined definition": (shared("A"), closed(x=TEXT)),
    "allOf of one": (of({"allOf": [TEXT]}), of(TEXT)),
    "a reference with a description": (
        {**closed(x={"$ref": "#/$defs/A", "description": "D"}), "$defs": {"A": TEXT}},
        closed(x=TEXT),
    ),
    "bounds of integers": (of({"type": "integer", "minimum": 1}), of({"type": "integer", "exclusiveMinimum": 0})),
    "uniqueItems false": (of({"type": "array"}), of({"type": "array", "uniqueItems": False})),
    "union of types": (of({"type": ["string", "integer"]}), of({"anyOf": [WHOLE, TEXT]})),
}


@pytest.mark.parametrize("name", SAME)
def test_another_way_to_say_the_same_is_no_change(name: str) -> None:
    old, new = SAME[name]
    assert [change for change in compare(old, new) if change.rule is not ChangeRule.REF_RENAMED] == []
    assert [change for change in compare(new, old) if change.rule is not ChangeRule.REF_RENAMED] == []


def node(value: Schema, name: str = "Node") -> Schema:
    """Return a list of values, from a definition that refers to itself."""
    inner = closed("value", value=value, next={"anyOf": [{"$ref": f"#/$defs/{name}"}, {"type": "null"}]})
    return {**closed(list={"$ref": f"#/$defs/{name}"}), "$defs": {name: inner}}


def test_recursive_schemas_are_compared_to_the_end() -> None:
    assert {change.rule for change in compare(node(TEXT), node(TEXT, "Other"))} == {ChangeRule.REF_RENAMED}
    assert verdicts(node(TEXT), node(WHOLE, "Other")) == {ChangeRule.TYPE_CHANGED: (BREAKS, BREAKS)}


def test_a_loop_that_leads_to_another_place_is_another_shape() -> None:
    """Expanded, both have `p`, `q`, and a way back; but the ways back lead to different places."""
    one: Schema = {"A": closed("p", p={"$ref": "#/$defs/B"}), "B": closed("q", q={"$ref": "#/$defs/A"})}
    other: Schema = {
        "C": closed("p", p={"$ref": "#/$defs/D"}),
        "D": {"$ref": "#/$defs/E"},
        "E": closed("q", q={"$ref": "#/$defs/D"}),
    }
    old: Schema = {**closed(x={"$ref": "#/$defs/A"}), "$defs": one}
    new: Schema = {**closed(x={"$ref": "#/$defs/C"}), "$defs": other}
    assert any(change.backward is BREAKS for change in compare(old, new))


def test_a_reserved_name_was_removed_and_not_renamed() -> None:
    changes = compare(closed(a=TEXT), closed(b=TEXT), {"a"})
    assert {change.rule for change in changes} == {ChangeRule.PROP_REMOVED_OPTIONAL, ChangeRule.PROP_ADDED_OPTIONAL}
    assert {change.backward for change in changes} == {SAFE}


def test_a_change_points_to_both_places() -> None:
    old = {**closed(x={"$ref": "#/$defs/A"}), "$defs": {"A": closed(y=TEXT)}}
    (change,) = compare(cast("Schema", old), closed(x=closed(y=WHOLE)))
    assert change.old == ("$defs", "A", "properties", "y")
    assert change.new == ("properties", "x", "properties", "y")


STRICT: dict[str, Schema] = {
    "in a union": {"anyOf": [closed(a=TEXT), TEXT]},
    "below not": {"not": {"type": "string"}, **closed(a=TEXT)},
    "in a list without doubles": {"type": "array", "items": closed(a=TEXT), "uniqueItems": True},
    "in a list by position": {"type": "array", "prefixItems": [closed(a=TEXT)]},
    "where properties are counted": {**closed(a=TEXT), "minProperties": 0},
}


@pytest.mark.parametrize("name", STRICT)
def test_a_property_is_ignored_only_if_no_other_keyword_sees_it(name: str) -> None:
    def without(value: JsonValue) -> JsonValue:
        if isinstance(value, dict):
            return {key: {} if key == "properties" else without(inner) for key, inner in value.items()}
        return [without(inner) for inner in value] if isinstance(value, list) else value

    old = STRICT[name]
    (change,) = compare(of(old), of(without(old)))
    assert (change.rule, change.backward) == (ChangeRule.PROP_REMOVED_OPTIONAL, BREAKS)
