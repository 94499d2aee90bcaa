"""Every rejected spec, with the place, the reason, and the advice."""

# ruff: noqa: E501  # a case and its whole message stand on one line, like the rows of a table

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from server_jobs_generator.models.model_module import render_models
from server_jobs_generator.read.keywords import ADVICE

from tests.generator.spec_projects import Schema, a_spec, an_object, findings, job, problems

TEXT = {"type": "string"}
_PLACE = re.compile(r"specs/case.json:\d+:\d+ /properties/params/properties/x")
NUMBERS = {"type": "array", "items": {"type": "number"}}


def problems_of(root: Path, schema: object) -> list[str]:
    """Return the pointers and messages of a spec whose params have a property `x` with this schema.

    Warnings start with `warning: `.
    """
    lines = findings(root, {"case.json": a_spec(an_object(x=schema))})
    return [_PLACE.sub("", line) for line in lines]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (3, " must be a schema (an object, or true for any value), not 3"),
        ({"description": "x"}, "warning:  a schema must state its type, or use $ref, enum, const, anyOf or oneOf; true allows any value"),
        ({"minLength": 3}, 'warning:  a schema must state its type; add "type": "string"'),
        ({"properties": {}}, 'warning:  a schema must state its type; add "type": "object"'),
        ({"type": "strng"}, '/type "strng" is not a JSON Schema type (did you mean "string"?)'),
        (
            {"type": "foo"},
            '/type "foo" is not a JSON Schema type; use string, integer, number, boolean, null, object or array',
        ),
        ({"type": None}, '/type null is not a JSON Schema type; write "null"'),
        ({"type": "Float"}, '/type "Float" is not a JSON Schema type; write "number"'),
        ({"type": "date"}, '/type "date" is not a JSON Schema type; write "string" with "format": "date"'),
        ("string", ' must be a schema (an object, or true for any value), not "string"; write {"type": "string"}'),
        ({"type": "string", "regex": "a"}, 'warning: /regex "regex" is not a keyword of JSON Schema, and has no effect; write pattern'),
        ({"type": "string", "required": True}, "warning: /required required has no effect on the type string; the object around it lists there which of its properties are"),
        ({"type": ["string", "nul"]}, '/type/1 "nul" is not a JSON Schema type (did you mean "null"?)'),
        ({"type": ["null", "null"]}, "warning: /type must list different types, at least one"),
        ({"type": []}, "/type must list different types, at least one"),
        ({"type": "string", "minlength": 3}, '/minlength "minlength" is not a keyword of JSON Schema (did you mean "minLength"?)'),
        ({"type": "string", "format": {}}, "/format must be a text, not {}"),
        ({"enum": []}, "/enum must be a list of values, at least one, not []"),
        ({"enum": "a, b"}, '/enum must be a list of values, at least one, not "a, b"; write ["a", "b"]'),
        ({"type": "object", "wibble": {"type": "string"}, "additionalProperties": False}, 'warning: /wibble "wibble" is not a keyword of JSON Schema, and has no effect; if it is a property, put it into properties'),
        ({"type": "string", "wibble": 3}, 'warning: /wibble "wibble" is not a keyword of JSON Schema, and has no effect'),
        ({"type": "integer", "minLength": 3}, "warning: /minLength minLength has no effect on the type integer; it belongs to string"),
        ({"type": ["null", "boolean"], "items": True}, "warning: /items items has no effect on the type boolean or null; it belongs to array"),
        ({"type": "string", "minLength": -1}, "/minLength must be a whole number from 0, not -1"),
        ({"type": "string", "minLength": True}, "/minLength must be a whole number from 0, not true"),
        ({"type": "string", "minLength": 3, "maxLength": 2}, "/maxLength maxLength 2 is below minLength 3: nothing is allowed"),
        ({"type": "string", "pattern": 3}, "/pattern must be a regular expression, not 3"),
        ({"type": "string", "pattern": "(?=a)"}, "/pattern the pattern \"(?=a)\" uses look-around ('(?='), which cannot be enforced in linear time; check that in the handler"),
        ({"type": "string", "format": "e-mail"}, 'warning: /format the format "e-mail" is not known, and not enforced (did you mean "email"?); use pattern to enforce it'),
        ({"type": "integer", "format": "email"}, "warning: /format format has no effect on the type integer; it belongs to string"),
        ({"type": "integer", "maximum": "1"}, '/maximum must be a number, not "1"'),
        ({"type": "integer", "multipleOf": 0}, "/multipleOf must be a number above 0, not 0"),
        ({"type": "number", "minimum": 2, "maximum": 1}, "/maximum maximum 1 is below minimum 2: nothing is allowed"),
        ({"type": "number", "exclusiveMinimum": 2, "maximum": 1}, "/maximum maximum 1 is below exclusiveMinimum 2: nothing is allowed"),
        ({"type": "number", "exclusiveMinimum": 2, "maximum": 2}, "/maximum maximum 2 is not above exclusiveMinimum 2: nothing is allowed"),
        ({"type": "number", "minimum": 2, "exclusiveMaximum": 2.0}, "/exclusiveMaximum exclusiveMaximum 2.0 is not above minimum 2: nothing is allowed"),
        ({"type": "integer", "exclusiveMinimum": 2, "exclusiveMaximum": 3}, "/exclusiveMaximum no whole number is between exclusiveMinimum 2 and exclusiveMaximum 3: nothing is allowed"),
        ({"type": "number", "multipleOf": 0.5, "minimum": 0.1, "maximum": 0.4}, "/maximum no multiple of 0.5 is between minimum 0.1 and maximum 0.4: nothing is allowed"),
        ({"type": "array", "prefixItems": [TEXT], "items": False, "minItems": 2}, "/minItems minItems 2 is more than the 1 items that items: false allows"),
        (NUMBERS | {"contains": True, "minContains": 3, "maxItems": 2}, "/maxItems maxItems 2 is below the 3 items that contains asks for"),
        (an_object(a=TEXT) | {"minProperties": 2}, "/minProperties minProperties 2 is more than the 1 that there are"),
        (an_object(a=TEXT, b=TEXT) | {"required": ["a", "b"], "maxProperties": 1}, "/maxProperties maxProperties 1 is below the 2 that are required"),
        (an_object(a=TEXT) | {"patternProperties": {"^x": TEXT}, "required": ["b"]}, '/required/0 requires "b", which additionalProperties forbids: nothing is allowed'),
        (an_object(a=TEXT) | {"additionalProperties": True, "required": ["bc"], "propertyNames": {"maxLength": 1}}, '/required/0 propertyNames refuses "bc": must have at most 1 characters, not "bc"'),
        (an_object(ab=TEXT) | {"propertyNames": {"maxLength": 1}}, '/properties/ab propertyNames refuses "ab": must have at most 1 characters, not "ab"'),
        (TEXT | {"if": {"minLength": 3}}, "warning: /if if has no effect without then or else"),
        (TEXT | {"enum": ["a", "bcd"], "maxLength": 2}, 'warning: /enum/1 does not fit its own schema: must have at most 2 characters, not "bcd"'),
        ({"type": "integer", "const": 5, "not": {"minimum": 3}}, "/const does not fit its own schema: fits the schema that `not` rules out"),
        ({"enum": [1, 1.0]}, "warning: /enum/1 1.0 is listed twice"),
        ({"enum": [{"a": [0]}, {"a": [-0.0]}]}, 'warning: /enum/1 {"a": [-0.0]} is listed twice'),
        (TEXT | {"pattern": "\\p{IsAlpha}"}, '/pattern the pattern "\\\\p{IsAlpha}" has a class that does not exist: \\p{IsAlpha} is not known to ECMA-262; write \\p{Alpha}'),
        (TEXT | {"pattern": "[\\P{Greek}]"}, '/pattern the pattern "[\\\\P{Greek}]" has a class that does not exist: \\p{Greek} is not known to ECMA-262; for a script write \\p{Script=Greek}'),
        ({"type": "object"}, "warning:  an object must state additionalProperties: false to refuse properties that are not listed, or true"),
        ({"type": ["object", "null"]}, "warning:  an object must state additionalProperties: false to refuse properties that are not listed, or true"),
        ({"type": "object", "additionalProperties": False, "properties": 3}, "/properties must be an object of named schemas, not 3"),
        ({"type": "object", "additionalProperties": 3}, "/additionalProperties must be a schema (an object, or true for any value), not 3"),
        (an_object(subject=TEXT) | {"required": ["subjct"]}, '/required/0 requires "subjct", which additionalProperties forbids: nothing is allowed (did you mean "subject"?)'),
        (an_object(a=TEXT) | {"required": ["a", "a"]}, 'warning: /required/1 "a" is listed twice'),
        (an_object(a=TEXT) | {"required": "a"}, '/required must be a list of property names, not "a"'),
        (an_object(a=TEXT) | {"required": [1]}, "/required/0 must be the name of a property, not 1"),
        (an_object(**{"a-b": TEXT, "a_b": TEXT}), '/properties/a_b "a_b" and "a-b" are both a_b in Python; give one of them another name there: "x-python-name": "other_name"'),
        (an_object(**{"": TEXT}), '/properties/ the property "" gives no name for Python; state one: "x-python-name": "other_name"'),
        ({"type": "array"}, "warning:  an array must state items: the schema of each item, or true for any value"),
        ({"type": "array", "prefixItems": [], "items": False, "minItems": 0}, "/prefixItems must be a list of 1 to 1000 schemas"),
        ({"anyOf": [TEXT, {"type": "nul"}]}, '/anyOf/1/type "nul" is not a JSON Schema type (did you mean "null"?)'),
        ({"enum": ["a", "b", "a"]}, 'warning: /enum/2 "a" is listed twice'),
        ({"type": "integer", "maximum": 10**309}, "/maximum 10000000000000000000000000000000000000000000000000000000000… is outside the range of a double-precision number"),
        ({"type": "string", "title": 3}, "warning: /title must be a text, not 3; it is ignored"),
        ({"type": "string", "deprecated": "yes"}, 'warning: /deprecated must be true or false, not "yes"; it is ignored'),
        ({"type": "string", "examples": "a"}, 'warning: /examples must be a list of values, not "a"; it is ignored'),
        ({"$ref": 3}, "/$ref must be a text, not 3"),
        ({"type": "integer", "multipleOf": "2"}, '/multipleOf must be a number above 0, not "2"'),
        ({"type": "integer", "then": {"minimum": 3}}, "warning: /then then has no effect without if"),
        (NUMBERS | {"minContains": 2}, "warning: /minContains minContains has no effect without contains"),
        (TEXT | {"contentSchema": True}, "warning: /contentSchema contentSchema has no effect without contentMediaType"),
        (TEXT | {"contentEncoding": "base32"}, 'warning: /contentEncoding "base32" is not enforced; base64 is'),
        (TEXT | {"contentMediaType": "text/html"}, 'warning: /contentMediaType "text/html" is not enforced; application/json is'),
        (NUMBERS | {"uniqueItems": "yes"}, '/uniqueItems must be true or false, not "yes"'),
        (TEXT | {"allOf": []}, "/allOf must be a list of 1 to 1000 schemas"),
        (TEXT | {"not": 3}, "/not must be a schema (an object, or true for any value), not 3"),
        (TEXT | {"not": {"minlength": 3}}, '/not/minlength "minlength" is not a keyword of JSON Schema (did you mean "minLength"?)'),
        (TEXT | {"if": {"maxLength": 3, "minLength": 4}, "then": False}, "/if/maxLength maxLength 3 is below minLength 4: nothing is allowed"),
        (an_object(a=TEXT) | {"dependentRequired": ["a"]}, '/dependentRequired must be an object of lists of property names, not ["a"]'),
        (an_object(a=TEXT) | {"dependentRequired": {"a": "b"}}, '/dependentRequired/a must be a list of property names, not "b"'),
        (an_object(a=TEXT) | {"dependentSchemas": []}, "/dependentSchemas must be an object of named schemas, not []"),
        ({"type": "object", "patternProperties": {"(?=a)": TEXT}, "additionalProperties": False}, "/patternProperties/(?=a) the pattern \"(?=a)\" uses look-around ('(?='), which cannot be enforced in linear time; check that in the handler"),
        ({"type": "object", "patternProperties": {"a": {"minLength": 3}}, "additionalProperties": False}, 'warning: /patternProperties/a a schema must state its type; add "type": "string"'),
        (TEXT | {"$anchor": "a b"}, '/$anchor must be a name such as address, not "a b"'),
        (TEXT | {"$dynamicRef": "#a"}, "/$dynamicRef $dynamicRef is not accepted: it depends on the schemas around it; use $ref with a JSON pointer (#/$defs/…)"),
        ({"type": "string", "$defs": []}, "/$defs must be an object of named schemas, not []"),
    ],
)  # fmt: skip
def test_a_schema_with_a_mistake(tmp_path: Path, schema: object, expected: str) -> None:
    assert problems_of(tmp_path, schema) == [expected]


@pytest.mark.parametrize("keyword", ADVICE)
def test_a_keyword_that_the_model_would_not_enforce_is_refused_with_advice(tmp_path: Path, keyword: str) -> None:
    (line,) = problems_of(tmp_path, {"type": "string", keyword: True})
    assert line == f"/{keyword} {keyword} is not accepted: {ADVICE[keyword]}"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "additionalProperties": False, "properties": {"a": TEXT, "b": TEXT}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
        {"type": "integer", "not": {"multipleOf": 2}, "if": {"minimum": 3}, "then": {"maximum": 5}, "else": {"minimum": 0}},
        {"allOf": [TEXT, {"minLength": 3}]},
        {"type": "object", "$ref": "#/properties/result"},
        {"type": "object", "unevaluatedProperties": False, "properties": {"a": TEXT}, "dependentSchemas": {"a": {"properties": {"b": {"minLength": 2}}}}},
        {"type": "array", "items": TEXT, "contains": {"pattern": "^a"}},
        {"type": "object", "additionalProperties": True, "required": ["any"], "propertyNames": {"maxLength": 3}},
        {"const": {"a": [1.5]}},
    ],
)  # fmt: skip
def test_a_schema_that_only_adds_to_another_need_not_say_it_all_again(tmp_path: Path, schema: object) -> None:
    assert problems_of(tmp_path, schema) == []


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "integer", "default": "x"}, 'warning: /default does not fit its own schema: must be a whole number, not "x"'),
        ({"type": "integer", "default": True}, "warning: /default does not fit its own schema: must be a whole number, not true"),
        ({"type": "string", "default": None}, "warning: /default does not fit its own schema: must be a string, not null"),
        ({"type": "integer", "maximum": 3, "default": 4}, "warning: /default does not fit its own schema: must be at most 3, not 4"),
        ({"type": "integer", "multipleOf": 3, "default": 4}, "warning: /default does not fit its own schema: must be a multiple of 3, not 4"),
        ({"type": "number", "exclusiveMinimum": 3, "default": 3}, "warning: /default does not fit its own schema: must be above 3, not 3"),
        ({"type": "string", "maxLength": 1, "default": "ab"}, 'warning: /default does not fit its own schema: must have at most 1 characters, not "ab"'),
        ({"type": "string", "pattern": "^a", "default": "b"}, 'warning: /default does not fit its own schema: must match the pattern "^a", not "b"'),
        ({"type": "string", "format": "email", "default": "b"}, 'warning: /default does not fit its own schema: must be of the format email, not "b"'),
        ({"enum": ["a", 1], "default": True}, 'warning: /default does not fit its own schema: must be "a" or 1, not true'),
        ({"const": None, "default": 0}, "warning: /default does not fit its own schema: must be null, not 0"),
        (NUMBERS | {"default": [1, "2"]}, 'warning: /default/1 does not fit its own schema: must be a number, not "2"'),
        (NUMBERS | {"minItems": 2, "default": []}, "warning: /default does not fit its own schema: must have at least 2 items, not []"),
        (an_object(a=TEXT) | {"default": {"b": 1}}, "warning: /default/b does not fit its own schema: is not allowed here"),
        (an_object(a=TEXT) | {"required": ["a"], "default": {}}, 'warning: /default does not fit its own schema: lacks the property "a"'),
        ({"anyOf": [TEXT, {"type": "null"}], "default": 3}, "warning: /default does not fit its own schema: fits none of the 2 branches of anyOf"),
        ({"$ref": "#/$defs/Small", "default": 4}, "warning: /default does not fit its own schema: must be at most 3, not 4"),
        ({"type": "string", "examples": ["a", 2]}, "warning: /examples/1 does not fit its own schema: must be a string, not 2"),
        ({"type": "string", "enum": ["a", 2]}, "warning: /enum/1 does not fit its own schema: must be a string, not 2"),
        ({"type": "string", "const": 2}, "/const does not fit its own schema: must be a string, not 2"),
    ],
)  # fmt: skip
def test_a_value_that_its_own_schema_refuses_is_reported(tmp_path: Path, schema: object, expected: str) -> None:
    spec = a_spec(an_object(x=schema), **{"$defs": {"Small": {"type": "integer", "maximum": 3}}})
    assert [_PLACE.sub("", line) for line in findings(tmp_path, {"case.json": spec})] == [expected]


def models_of(root: Path, branches: object, **more: object) -> str:
    return render_models(job(root, a_spec(an_object(x={"oneOf": branches}), **more)))


def tagged(kind: object, **more: object) -> Schema:
    return {**an_object(kind=kind, **more), "required": ["kind"]}


@pytest.mark.parametrize(
    "branches",
    [
        [TEXT, {"type": "integer"}],
        [TEXT, {"type": ["null", "boolean"]}],
        [{"const": "a"}, {"const": "b"}],
        [{"const": 1}, {"const": True}, {"enum": ["x", None]}],
        [tagged({"const": "a"}), tagged({"const": "b"}), {"type": "null"}],
        [tagged({"enum": ["a", "c"]}), tagged({"enum": ["b"]})],
        [an_object(a=TEXT) | {"required": ["a"]}, an_object(b=TEXT) | {"required": ["b"]}],
        [an_object(a=TEXT, b=TEXT) | {"required": ["b"]}, an_object(a=TEXT)],
        [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}],
        [{"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]}, {"$ref": "#/$defs/B"}],
    ],
)
def test_one_of_needs_no_check_where_its_branches_exclude_each_other(tmp_path: Path, branches: object) -> None:
    definitions = {"A": tagged({"const": "a"}), "B": tagged({"$ref": "#/$defs/Tag"}), "Tag": {"const": "b"}}
    assert '"oneOf"' not in models_of(tmp_path, branches, **{"$defs": definitions})


@pytest.mark.parametrize(
    "branches",
    [
        [TEXT, TEXT],
        [{"type": "integer"}, {"type": "number"}],
        [TEXT, True],
        [TEXT, {"enum": ["a"]}],
        [{"const": "a"}, {"enum": ["b", "a"]}],
        [{"type": ["string", "null"]}, {"type": ["integer", "null"]}],
        [an_object(kind={"const": "a"}), an_object(kind={"const": "b"})],
        [an_object(a=TEXT, b=TEXT) | {"required": ["a"]}, an_object(a=TEXT, b=TEXT) | {"required": ["b"]}],
        [an_object(a=TEXT), an_object(b=TEXT)],
        [tagged({"const": "a"}), tagged({"type": "string"})],
        [tagged({"const": "a"}), tagged({"const": "b"}), tagged({"const": "a"})],
        [NUMBERS, {"type": "array", "items": TEXT}],
    ],
)
def test_one_of_is_checked_where_two_branches_may_fit(tmp_path: Path, branches: object) -> None:
    assert '"oneOf"' in models_of(tmp_path, branches)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"foo": 1}, '/foo "foo" is not accepted at the top of a spec; use $schema, $comment, title, description, x-job, type, properties, required, additionalProperties, $defs or definitions'),
        ({"$id": "a"}, '/$id "$id" is not accepted at the top of a spec: a spec is identified by the name of its file; remove it'),
        ({"name": "A"}, '/name "name" is not accepted at the top of a spec: the name of a job is its title'),
        ({"params": {}}, '/params "params" is not accepted at the top of a spec: it belongs into properties, as the spec has them'),
        ({"queue": "a"}, '/queue "queue" is not accepted at the top of a spec; it belongs into x-job'),
        ({"max_retries": 3}, '/max_retries "max_retries" is not accepted at the top of a spec (did you mean "maxAttempts", in x-job?)'),
        ({"x-jobs": {}}, '/x-jobs "x-jobs" is not accepted at the top of a spec (did you mean "x-job"?)'),
        ({"$schema": "http://json-schema.org/draft-03/schema#"}, '/$schema must be "http://json-schema.org/draft-04/schema", "http://json-schema.org/draft-06/schema", "http://json-schema.org/draft-07/schema", "http://json-schema.org/schema", "https://json-schema.org/draft/2019-09/schema", "https://json-schema.org/draft/2020-12/schema" or "https://spec.openapis.org/oas/3.1/dialect/base", not "http://json-schema.org/draft-03/schema#"'),
        ({"type": "array"}, '/type a spec must state "type": "object" at the top'),
        ({"required": ["params"]}, '/required must be ["params", "result"], the properties of this spec, not ["params"]'),
        ({"required": "params"}, '/required must be ["params", "result"], the properties of this spec, not "params"'),
        ({"additionalProperties": {}}, "/additionalProperties must be true or false at the top of a spec, not {}"),
        ({"title": 3}, "/title must be the name of the job such as SendEmail, not 3"),
        ({"title": "send email"}, '/title the title "send email" does not name a job: a job\'s name starts with a capital letter and continues with letters and digits, for example SendEmail (did you mean "SendEmail"?)'),
        ({"description": 3}, "/description must be a text, not 3"),
        ({"$defs": {"A": {"type": "strng"}}}, '/$defs/A/type "strng" is not a JSON Schema type (did you mean "string"?)'),
        ({"properties": {"params": an_object(), "result": an_object(), "reslt": True}}, '/properties/reslt only params and result belong here, not "reslt" (did you mean "result"?)'),
        ({"properties": {"params": an_object(), "result": an_object(), "to": TEXT}}, '/properties/to only params and result belong here, not "to"; put it into the properties of one of them'),
        ({"properties": {"params": an_object()}}, '/required must be ["params"], the properties of this spec, not ["params", "result"]'),
        ({"properties": {}}, '/required must be [], the properties of this spec, not ["params", "result"]'),
        ({"properties": []}, '/properties must be an object with "params" and "result", not []'),
        ({"properties": {"params": an_object(), "result": TEXT}}, '/properties/result result must be an object: state "type": "object"'),
        ({"properties": {"params": False, "result": an_object()}}, '/properties/params params must be an object: state "type": "object"'),
        ({"properties": {"params": an_object(), "result": {"$ref": "#/$defs/T"}}, "$defs": {"T": False}}, '/properties/result result must be an object: state "type": "object"'),
        ({"properties": {"params": {"$ref": "#/$defs/T"}, "result": an_object()}, "$defs": {"T": TEXT}}, '/properties/params params must be an object: state "type": "object"'),
    ],
)  # fmt: skip
def test_a_frame_that_is_refused(tmp_path: Path, more: dict[str, object], expected: str) -> None:
    (line,) = problems(tmp_path, {"case.json": a_spec() | more})
    assert line.partition(" ")[2] == expected


@pytest.mark.parametrize("document", [b"[]", b'"x"', b"null", b"3"])
def test_a_spec_that_is_no_object_is_refused(tmp_path: Path, document: bytes) -> None:
    (line,) = problems(tmp_path, {"case.json": document})
    assert f"a spec is an object with params and result, not {document.decode()}" in line


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"type": "strng"}, '/type "strng" is not a JSON Schema type'),
        ({"$defs": {"A": {"type": "strng"}}}, '/$defs/A/type "strng" is not a JSON Schema type'),
        ({"$defs": {"A": {"type": "integer", "examples": ["x"]}}}, "/$defs/A/examples/0 does not fit its own schema"),
        ({"$defs": {"A": {"$ref": "nowhere.json"}}}, '/$defs/A/$ref "nowhere.json" leads to "shared/nowhere.json"'),
        ({"type": "string", "x-job": {}}, "/x-job x-job is not accepted: it belongs to the top of a job's spec"),
        ({"$schema": 3, "type": "string"}, "/$schema must be "),
        ([], "(whole file) must be a schema"),
    ],
)
def test_shared_files_are_checked_too_even_if_nothing_uses_them(
    tmp_path: Path, document: object, expected: str
) -> None:
    (line,) = findings(tmp_path, {"case.json": a_spec(), "shared/a.json": document})
    assert line.removeprefix("warning: ").startswith("specs/shared/a.json:")
    assert expected in line


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (3, " must be an object with version, queue, priority, maxAttempts, timeout, expiresAfter, runIn, image, resources, retry, unique, concurrency, rate, shardBy, retention, redact, status, compat, reserved, view, indexes or schedules, not 3"),
        ({"maxAttemps": 3}, '/maxAttemps "maxAttemps" is not a key of x-job (did you mean "maxAttempts"?)'),
        ({"version": 0}, "/version must be a whole number from 1 to 2147483647, not 0"),
        ({"version": True}, "/version must be a whole number from 1 to 2147483647, not true"),
        ({"version": 1.0}, "/version must be a whole number from 1 to 2147483647, not 1.0"),
        ({"queue": "a b"}, "/queue must be a name (1 to 63 of A-Z, a-z, 0-9, '_', '.' and '-', the first a letter or a digit), not \"a b\" (did you mean \"a-b\"?)"),
        ({"priority": 101}, "/priority must be a whole number from -100 to 100, not 101"),
        ({"maxAttempts": 0}, "/maxAttempts must be a whole number from 1 to 10000, not 0"),
        ({"timeout": 30}, "/timeout must be an ISO 8601 duration of weeks, days, hours, minutes and seconds such as PT30S, up to 365 days, not 30 (did you mean \"PT30S\"?)"),
        ({"timeout": "P1M"}, '/timeout must be an ISO 8601 duration of weeks, days, hours, minutes and seconds such as PT30S, up to 365 days, not "P1M"'),
        ({"timeout": "P366D"}, '/timeout must be an ISO 8601 duration of weeks, days, hours, minutes and seconds such as PT30S, up to 365 days, not "P366D"'),
        ({"timeout": "PT0S"}, "/timeout must be longer than zero; leave timeout out for no bound"),
        ({"expiresAfter": "PT0.0001S"}, '/expiresAfter must be at least PT0.001S, not "PT0.0001S"; leave expiresAfter out for no bound'),
        ({"unique": {"by": ["/to"], "onConflict": "drop"}}, '/unique/onConflict must be keep, replace or reschedule, not "drop"'),
        ({"expires": "PT1M"}, '/expires "expires" is not a key of x-job (did you mean "expiresAfter"?)'),
        ({"runIn": "proces"}, '/runIn must be worker, process or kubernetes, not "proces" (did you mean "process"?)'),
        ({"image": "shop:1"}, '/image works only with "runIn": "kubernetes"'),
        ({"runIn": "process", "resources": {}}, '/resources works only with "runIn": "kubernetes"'),
        ({"runIn": "kubernetes", "image": "shop jobs"}, '/image must be the name of a container image such as "ghcr.io/shop/jobs:1.4", not "shop jobs"'),
        ({"runIn": "kubernetes", "resources": {"limit": {}}}, '/resources/limit "limit" is not a key of resources (did you mean "limits"?)'),
        ({"runIn": "kubernetes", "resources": {"limits": {"memory": "2 GB"}}}, '/resources/limits "memory" must be a text with a quantity such as "500m", "2" or "1.5Gi", not "2 GB"'),
        ({"runIn": "kubernetes", "resources": {"requests": {"cpu": 1}}}, '/resources/requests "cpu" must be a text with a quantity such as "500m", "2" or "1.5Gi", not 1'),
        ({"runIn": "kubernetes", "resources": {"requests": {"cpu cores": "1"}}}, '/resources/requests "cpu cores" is no name of a resource; use cpu, memory, ephemeral-storage, or a name such as nvidia.com/gpu'),
        ({"retry": {"backof": "fixed"}}, '/retry/backof "backof" is not a key of retry (did you mean "backoff"?)'),
        ({"retry": {"backoff": "linaer"}}, '/retry/backoff must be exponential, linear or fixed, not "linaer" (did you mean "linear"?)'),
        ({"retry": {"jitter": 2}}, "/retry/jitter must be a number from 0 to 1, not 2"),
        ({"retry": {"initial": "PT20M"}}, "/retry/initial initial PT20M is longer than max, which is PT10M if it is not stated; no delay may be longer than max"),
        ({"retry": {"max": "PT1S"}}, "/retry/max initial, which is PT2S if it is not stated, is longer than max PT1S; no delay may be longer than max"),
        ({"retry": {"initial": "PT9S", "max": "PT8S"}}, "/retry/initial initial PT9S is longer than max PT8S; no delay may be longer than max"),
        ({"unique": {}}, '/unique must state "by": pointers into params, at least one; "" stands for all of them'),
        ({"unique": {"by": []}}, '/unique must state "by": pointers into params, at least one; "" stands for all of them'),
        ({"unique": {"by": ["to"]}}, '/unique/by/0 must be a JSON pointer into params such as "/to", not "to" (did you mean "/to"?)'),
        ({"retries": 3}, '/retries "retries" is not a key of x-job (did you mean "maxAttempts"?)'),
        ({"cron": "* * * * *"}, '/cron "cron" is not a key of x-job (did you mean "schedules"?)'),
        ({"Max_Attempts": 3}, '/Max_Attempts "Max_Attempts" is not a key of x-job (did you mean "maxAttempts"?)'),
        ({"unique": {"by": ["/t"]}}, '/unique/by/0 "/t" leads to nothing in params: there is no "t" (did you mean "/to"?)'),
        ({"unique": {"by": ["/to", "/to"]}}, '/unique/by/1 "/to" is listed twice'),
        ({"unique": {"by": ["/address/stret"]}}, '/unique/by/0 "/address/stret" leads to nothing in params: there is no "stret" (did you mean "/address/street"?)'),
        ({"redact": ["/params/to"]}, '/redact/0 "/params/to" leads to nothing in params: there is no "params" (did you mean "/to"?)'),
        ({"redact": ["/properties/params/properties/address/properties/Street"]}, '/redact/0 "/properties/params/properties/address/properties/Street" leads to nothing in params: there is no "properties" (did you mean "/address/street"?)'),
        ({"redact": ["address.street"]}, '/redact/0 must be a JSON pointer into params such as "/to", not "address.street" (did you mean "/address/street"?)'),
        ({"redact": ["#/To"]}, '/redact/0 must be a JSON pointer into params such as "/to", not "#/To" (did you mean "/to"?)'),
        ({"redact": ["/to/x"]}, '/redact/0 "/to/x" leads to nothing in params: there is no "x"'),
        ({"redact": "/to"}, '/redact must be a list of JSON pointers into params such as ["/to"], not "/to"'),
        ({"concurrency": {}}, '/concurrency must state "limit": the number of runs at one time'),
        ({"concurrency": {"limit": 0}}, "/concurrency/limit must be a whole number from 1 to 100000, not 0"),
        ({"concurrency": {"limit": 1, "by": ["/t"]}}, '/concurrency/by/0 "/t" leads to nothing in params: there is no "t" (did you mean "/to"?)'),
        ({"rate": {"limit": 9}}, '/rate must state "limit" and "per": how many starts within which time, such as 100 and "PT1M"'),
        ({"rate": {"limit": 9, "per": "PT0S"}}, '/rate/per must be a duration from PT0.001S to P31D, not "PT0S"'),
        ({"rate": {"limit": 9, "per": "P32D"}}, '/rate/per must be a duration from PT0.001S to P31D, not "P32D"'),
        ({"rate": {"limit": 9, "per": "PT1M", "by": ["to"]}}, '/rate/by/0 must be a JSON pointer into params such as "/to", not "to" (did you mean "/to"?)'),
        ({"retention": {"done": "P1D"}}, '/retention/done "done" is not a key of retention; use completed, failed or cancelled'),
        ({"retention": {"failed": 30}}, "/retention/failed must be an ISO 8601 duration of weeks, days, hours, minutes and seconds such as PT30S, up to 365 days, not 30 (did you mean \"PT30S\"?)"),
        ({"status": "gone"}, '/status must be active or retired, not "gone"'),
        ({"status": "retired", "schedules": [{"name": "a", "cron": "* * * * *", "params": {"to": "x"}}]}, "/schedules a retired job is not scheduled; remove them"),
        ({"compat": {"queue": "fatal"}}, '/compat/queue must be error, warning or ignore, not "fatal"'),
        ({"compat": {"results": "error"}}, '/compat/results "results" is not a key of compat; use queue, rollout, store or reader'),
        ({"reserved": "to"}, '/reserved must be a list of names of properties, not "to"'),
        ({"reserved": ["a", "a"]}, '/reserved/1 "a" is listed twice'),
        ({"reserved": [1]}, "/reserved/0 must be the name of a property, not 1"),
        ({"schedules": {}}, "/schedules must be a list of schedules, not {}"),
        ({"schedules": [3]}, "/schedules/0 must be an object with name, cron, timezone, misfire, misfireLimit, params or shard, not 3"),
    ],
)  # fmt: skip
def test_options_that_are_refused(tmp_path: Path, options: object, expected: str) -> None:
    address = {"anyOf": [{"$ref": "#/$defs/Address"}, {"type": "null"}]}
    spec = a_spec(
        an_object(to=TEXT, address=address), **{"x-job": options, "$defs": {"Address": an_object(street=TEXT)}}
    )
    (line,) = problems(tmp_path, {"case.json": spec})
    assert line.partition("/x-job")[2] == expected


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"name": None}, "/name must be a name "),
        ({"cron": "0 9 * *"}, "/cron cron expression '0 9 * *' has 4 fields, not 5"),
        ({"cron": "@daily"}, "/cron cron expression '@daily': aliases are not accepted; write '0 0 * * *'"),
        ({"cron": "0 0 0 1 1 *"}, "/cron cron expression '0 0 0 1 1 *' has 6 fields, not 5"),
        ({"cron": "0 0 30 2 *"}, "/cron "),
        ({"cron": 5}, '/cron must be a cron expression such as "0 9 * * MON", not 5'),
        ({"timezone": "Europe/Berln"}, "/timezone unknown time zone 'Europe/Berln'; did you mean 'Europe/Berlin'"),
        ({"timezone": None}, '/timezone must be an IANA time zone such as "Europe/Berlin", not null'),
        ({"misfireLimit": 24, "misfire": "fire_al"}, '/misfire must be skip, fire_once or fire_all, not "fire_al" (did you'),
        ({"misfireLimit": 24}, '/misfireLimit works only with "misfire": "fire_all"'),
        ({"misfireLimit": 24, "misfire": "skip"}, '/misfireLimit works only with "misfire": "fire_all"'),
        ({"misfireLimit": 0, "misfire": "fire_all"}, "/misfireLimit must be a whole number from 1 to 1000, not 0"),
        ({"misfireLimit": 1001, "misfire": "fire_all"}, "/misfireLimit must be a whole number from 1 to 1000, not 1001"),
        ({"misfireLimit": 2.5, "misfire": "fire_all"}, "/misfireLimit must be a whole number from 1 to 1000, not 2.5"),
        ({"misfireLimit": None, "misfire": "fire_all"}, "/misfireLimit must be a whole number from 1 to 1000, not null"),
        ({"misfire": "fire"}, '/misfire must be skip, fire_once or fire_all, not "fire" (did you mean "fire_'),
        ({"params": {"to": "a", "To": "b"}}, '/params/To params of this schedule do not fit the schema of params: is not allowed here (did you mean "/to"?)'),
        ({"params": {"to": 3}}, "/params/to params of this schedule do not fit the schema of params: must be a string, not 3"),
        ({"params": {}}, '/params params of this schedule do not fit the schema of params: lacks the property "to"'),
        ({"params": {"to": {"$slot": "day"}}}, '/params $slot must be "date" or "date-time", not "day"'),
        ({"params": {"to": {"$slot": {"$slot": "date"}}}}, '/params $slot must be "date" or "date-time", not "2026-01-31"'),
        ({"params": {"to": {"$slot": "date", "x": 1}}}, '/params/to params of this schedule do not fit the schema of params: must be a string, not {'),
        ({"params": {"to": [{"$slot": "date"}]}}, '/params/to params of this schedule do not fit the schema of params: must be a string, not ["2026-01-31"]'),
        ({"zone": "UTC"}, '/zone "zone" is not a key of a schedule'),
    ],
)  # fmt: skip
def test_schedules_that_are_refused(tmp_path: Path, schedule: dict[str, object], expected: str) -> None:
    right: dict[str, object] = {"name": "n", "cron": "0 9 * * *", "params": {"to": "a"}}
    spec = a_spec(an_object(to=TEXT) | {"required": ["to"]}, **{"x-job": {"schedules": [right | schedule]}})
    (line,) = problems(tmp_path, {"case.json": spec})
    assert line.partition("/x-job/schedules/0")[2].startswith(expected)


@pytest.mark.parametrize(
    ("form", "wanted", "refusals"),
    [
        ("date", "date", []),
        ("date-time", "date-time", []),
        ("date-time", "date", ['must be of the format date, not "2026-01-31T12:00:00+00:00"']),
    ],
)
def test_params_of_a_schedule_that_take_the_slot_fit_their_format(
    tmp_path: Path, form: str, wanted: str, refusals: list[str]
) -> None:
    schedule = {"name": "n", "cron": "0 9 * * *", "params": {"day": {"$slot": form}}}
    spec = a_spec(an_object(day=TEXT | {"format": wanted}), **{"x-job": {"schedules": [schedule]}})
    found = problems(tmp_path, {"case.json": spec})
    assert [line.partition("schema of params: ")[2] for line in found] == refusals


def test_a_schedule_needs_a_unique_name_a_cron_expression_and_valid_params(tmp_path: Path) -> None:
    spec = a_spec(an_object(to=TEXT) | {"required": ["to"]}, **{"x-job": {"schedules": [{}]}})
    messages = [line.partition("/x-job/schedules/0 ")[2] for line in problems(tmp_path, {"case.json": spec})]
    assert messages == [
        'a schedule must state "cron"',
        'a schedule must state "name"',
        'params of this schedule do not fit the schema of params: lacks the property "to"',
    ]
    twice = {"name": "n", "cron": "0 9 * * *"}
    (line,) = problems(tmp_path, {"case.json": a_spec(**{"x-job": {"schedules": [twice, twice]}})})
    assert line.endswith('/x-job/schedules/1/name a schedule named "n" stands above; rename one of them')


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *((30, "PT30S"), (1.5, "PT1.5S"), ("30", "PT30S"), ("30s", "PT30S"), ("5 minutes", "PT5M"), ("1h30m", "PT1H30M")),
        *(("2 weeks", "P2W"), ("1w 2d", "P9D"), ("1w3h", "P7DT3H"), ("1d 2h", "P1DT2H"), ("pt30s", "PT30S"), ("P1H", "PT1H"), ("PT1D", "P1D")),
        *((value, None) for value in ("P1M", "P1Y", "PT1H30", "1:00", "500ms", "-PT5S", "PT", "P", "", None, True, "9" * 20)),
    ],
)  # fmt: skip
def test_a_duration_is_shown_in_iso_8601(tmp_path: Path, written: object, meant: str | None) -> None:
    (line,) = problems(tmp_path, {"case.json": a_spec(**{"x-job": {"timeout": written}})})
    assert line.partition(" (did you mean ")[2] == ("" if meant is None else f'"{meant}"?)')


@pytest.mark.parametrize(
    ("name", "title", "meant"),
    [
        ("Send-Email", "SendEmail", "send_email.json"),
        ("sendEmail", "SendEmail", "send_email.json"),
        ("send email", "SendEmail", "send_email.json"),
        ("case", "send_email", "SendEmail"),
        ("case", "Send Email!", "SendEmail"),
        ("case", "3", None),
        ("class", "SendEmail", None),
    ],
)
def test_an_invalid_name_gets_a_valid_suggestion(tmp_path: Path, name: str, title: str, meant: str | None) -> None:
    (line,) = problems(tmp_path, {f"{name}.json": a_spec(title=title)})
    assert line.partition(" (did you mean ")[2] == ("" if meant is None else f'"{meant}"?)')


@pytest.mark.parametrize(
    ("queue", "meant"), [("my queue", "my-queue"), ("mail!", "mail"), ("\u00fcber", None), ("-", None)]
)
def test_an_invalid_queue_name_gets_a_suggestion(tmp_path: Path, queue: str, meant: str | None) -> None:
    (line,) = problems(tmp_path, {"case.json": a_spec(**{"x-job": {"queue": queue}})})
    assert line.partition(" (did you mean ")[2] == ("" if meant is None else f'"{meant}"?)')


def test_a_default_is_checked_against_keywords_beside_references(tmp_path: Path) -> None:
    definitions = {"Middle": {"$ref": "#/$defs/Last", "maximum": 3}, "Last": {"type": "integer"}}
    case = a_spec(an_object(x={"$ref": "#/$defs/Middle", "default": 5}), **{"$defs": definitions})
    (line,) = findings(tmp_path, {"case.json": case})
    assert line.endswith("/x/default does not fit its own schema: must be at most 3, not 5")


def test_pointers_may_lead_to_properties_beside_a_reference(tmp_path: Path) -> None:
    definitions = {
        "Middle": {**an_object(a=TEXT), "additionalProperties": True, "$ref": "#/$defs/Last"},
        "Last": {**an_object(b=TEXT), "additionalProperties": True},
    }
    x_job = {"redact": ["/x/a", "/x/b"], "unique": {"by": ["/x/a"]}}
    params = {**an_object(x={"$ref": "#/$defs/Middle"}), "required": ["x"]}
    assert problems(tmp_path, {"case.json": a_spec(params, **{"$defs": definitions, "x-job": x_job})}) == []


def test_everything_wrong_in_a_file_is_reported_at_once(tmp_path: Path) -> None:
    spec = a_spec(
        an_object(a={"type": "strng"}, b={"type": "integer", "default": "x"}, c={"$ref": "#/nowhere"}, d={"not": {}}),
        title="no title",
        **{"x-job": {"priority": 1000, "schedules": [{"name": "n", "cron": "@daily"}]}},
    )
    text = json.dumps(spec, indent=1)[:-1] + ', "title": "X",}'
    assert len(findings(tmp_path, {"case.json": text.encode()})) == 8


def test_a_problem_is_one_line_for_any_text_of_a_spec(tmp_path: Path) -> None:
    hostile = "a\nb\r\u2028\u202e\x1b[31m"
    for line in problems(tmp_path, {"case.json": a_spec(an_object(**{hostile: {hostile: 1, "type": hostile}}))}):
        assert line.isprintable()


def test_a_file_with_endless_problems_is_cut_short(tmp_path: Path) -> None:
    wrong = {f"p{number}": {"type": "strng"} for number in range(1000)}
    lines = problems(tmp_path, {"case.json": a_spec(an_object(**wrong))})
    assert len(lines) == 201
    assert "(whole file) has 200 problems or more; the rest is not shown" in lines[0]


def test_many_warnings_of_one_rule_become_one(tmp_path: Path) -> None:
    unknown = {f"kw{number}": 1 for number in range(1000)}
    some, others = {"type": "string"} | dict([*unknown.items()][:10]), {"type": "string"} | unknown
    assert len(findings(tmp_path, {"case.json": a_spec(an_object(x=some))})) == 10
    (line,) = findings(tmp_path, {"case.json": a_spec(an_object(x=others))})
    assert line.endswith('/x/kw0 "kw0" is not a keyword of JSON Schema, and has no effect (and 999 more in this file)')


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        *(("minlength", 3), ("min_length", 3), ("MinLength", 3), ("minLenght", 3), ("minLengt", 3), ("mminLength", 3)),
        *(("item", {}), ("requird", []), ("propertes", {}), ("tpye", "string"), ("Type", "string")),
    ],
)
def test_a_likely_misspelling_of_a_keyword_is_refused(tmp_path: Path, keyword: str, value: object) -> None:
    (line,) = problems_of(tmp_path, {"$comment": "", "enum": ["a"], keyword: value})
    assert line.startswith(f'/{keyword} "{keyword}" is not a keyword of JSON Schema (did you mean "')


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        *(("item", "a"), ("descriptions", {}), ("$default", 1), ("_title", "a"), ("typeof", "string"), ("note", "a")),
        *(("markdownDescription", "a"), ("version", 1), ("meta:license", "a"), ("nullable", False)),
    ],
)
def test_keywords_of_others_are_ignored(tmp_path: Path, keyword: str, value: object) -> None:
    assert all(line.startswith("warning: ") for line in problems_of(tmp_path, {"type": "string", keyword: value}))


@pytest.mark.parametrize(
    "keyword", ["x-order", "discriminator", "externalDocs", "xml", "readOnly", "writeOnly", "$vocabulary"]
)
def test_nobody_expects_an_effect_of_an_annotation(tmp_path: Path, keyword: str) -> None:
    assert problems_of(tmp_path, {"type": "string", keyword: True}) == []


def test_a_misspelling_in_a_public_schema_is_ignored(tmp_path: Path) -> None:
    public = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "array", "item": {"type": "string"}}
    for files in ({"case.json": a_spec(an_object(x=public))}, {"case.json": a_spec(), "shared/a.json": public}):
        lines = findings(tmp_path, files)
        assert [line for line in lines if '"item" is not' in line and line.startswith("warning: ")]
        assert all(line.startswith("warning: ") for line in lines)


def test_a_default_that_does_not_fit_is_not_filled_in(tmp_path: Path) -> None:
    spec = a_spec(an_object(x={"type": "integer", "default": "3"}, y={"type": "integer", "default": 3}))
    text = render_models(job(tmp_path, spec))
    assert "    x: Omittable[Integer] = None" in text
    assert "    y: Integer = 3" in text


def test_a_default_that_fills_in_itself_is_not_filled_in(tmp_path: Path) -> None:
    inner = {"anyOf": [{"$ref": "#/$defs/Schema"}, {"type": "boolean"}], "default": {}}
    definitions = {"Schema": an_object(items=inner, of=TEXT | {"default": "a"})}
    spec = a_spec(an_object(x={"$ref": "#/$defs/Schema"}), **{"$defs": definitions})
    (line,) = findings(tmp_path, {"case.json": spec})
    assert line.endswith("/items/default would fill in itself again, endlessly, so it is not filled in")
    assert '    of: str = "a"' in render_models(job(tmp_path, spec))
