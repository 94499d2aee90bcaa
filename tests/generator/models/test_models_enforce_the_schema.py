"""The generated model enforces everything that a spec can say, in strict JSON: each keyword, type and format, and their
combinations. It must never silently accept a document that the schema forbids.
"""

# ruff: noqa: E501  # each schema and its valid and invalid values are one line, like the rows of a table

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import JsonValue, ValidationError
from server_jobs.contract.documents import read_params, write_params
from server_jobs.contract.formats import FORMATS
from server_jobs.contract.model import JobModel
from server_jobs_generator.read.keywords import ANNOTATIONS, ANY_TYPE, BY_TYPE, TYPES

from tests.generator.spec_projects import Schema, an_object, params_model

DEFINITIONS: dict[str, object] = {
    "Small": {"type": "integer", "maximum": 3},
    "Node": an_object(value={"$ref": "#/$defs/Small"}, next={"$ref": "#/$defs/Node"}),
    "Cat": {**an_object(kind={"const": "cat"}, lives={"type": "integer"}), "required": ["kind"]},
    "Nested": {"type": "array", "items": {"$ref": "#/$defs/Nested"}},
    "Unique": an_object(kids={"type": "array", "items": {"$ref": "#/$defs/Unique"}, "uniqueItems": True}),
    "Tree": {
        "anyOf": [
            {"type": "integer"},
            {**an_object(left={"$ref": "#/$defs/Tree"}, right={"$ref": "#/$defs/Tree"}), "required": ["left"]},
        ]
    },
    "Items": {"type": "array", "items": an_object(items={"$ref": "#/$defs/Items"})},
    "Term": {"oneOf": [{"type": "boolean"}, {**an_object(no={"$ref": "#/$defs/Proof"}), "required": ["no"]}]},
    "Proof": {
        "oneOf": [
            {"type": "string"},
            {
                **an_object(all={"type": "array", "items": {"$ref": "#/$defs/Term"}, "uniqueItems": True}),
                "required": ["all"],
            },
        ]
    },
    "Folder": {
        **an_object(
            name={"type": "string"},
            inner={
                **an_object(depth={"type": "integer"}),
                "additionalProperties": True,
                "allOf": [{"$ref": "#/$defs/Folder"}],
            },
            others={
                "type": "array",
                "items": {"type": ["object", "null"], "additionalProperties": True, "$ref": "#/$defs/Folder"},
            },
        ),
        "additionalProperties": True,
    },
    "Dog": {**an_object(kind={"const": "dog"}, name={"type": "string"}), "required": ["kind"]},
}

CASES: list[tuple[object, list[str], list[str]]] = [
    (True, ["1", "null", '"a"', "[1, {}]", '{"a": null}'], ["NaN", "1e999", "[Infinity]"]),
    ({"type": "string"}, ['""', '"a"', '"1"'], ["1", "true", "null", "[]", "{}", "1.5"]),
    ({"type": "string", "minLength": 2}, ['"ab"', '"😀😀"'], ['"a"', '""', '"😀"']),
    ({"type": "string", "maxLength": 1}, ['"a"', '""', '"😀"'], ['"ab"', '"e\\u0301"']),
    ({"type": "string", "pattern": "b+"}, ['"abc"', '"b"'], ['"ac"', '""']),
    ({"type": "string", "pattern": "^\\d$"}, ['"1"'], ['"\\u0661"', '"1\\n"', '"12"']),
    ({"type": "string", "pattern": "^.$"}, ['"a"'], ['"\\n"', '"\\u2028"', '"\\r"']),
    ({"type": "string", "format": "email", "maxLength": 5, "pattern": "^a"}, ['"a@b.c"'], ['"b@b.c"', '"aa@b.c"', '"abc"']),
    ({"type": "string", "format": "email"}, ['"ada@example.com"'], ['"ada"', '"a@b\\n"', "1"]),
    ({"type": "string", "format": "hostname"}, ['"a.b"'], ['"a_b"', '""']),
    ({"type": "string", "format": "uri"}, ['"urn:a"'], ['"/a"', '"http://a b"']),
    ({"type": "string", "format": "date"}, ['"2026-03-29"'], ['"2026-02-30"', '"2026-03-29T00:00:00Z"', "1774773000", '"1774773000"']),
    ({"type": "string", "format": "date-time"}, ['"2026-03-29T08:30:00Z"'], ['"2026-03-29T08:30:00"', '"2026-03-29"', "1774773000", '"1774773000"']),
    ({"type": "string", "format": "time"}, ['"08:30:00Z"'], ['"08:30:00"', "30600", '"30600"']),
    ({"type": "string", "format": "duration"}, ['"PT30S"'], ['"30"', "30", '"PT1D"']),
    ({"type": "string", "format": "uuid"}, ['"123e4567-e89b-12d3-a456-426614174000"'], ['"123e4567e89b12d3a456426614174000"', "1"]),
    ({"type": "string", "format": "ipv4"}, ['"192.0.2.1"'], ['"192.0.2.01"', '"::1"', "3221225985"]),
    ({"type": "string", "format": "ipv6"}, ['"::1"'], ['"192.0.2.1"', '"fe80::1%eth0"', "1"]),
    ({"type": "integer"}, ["0", "-1", str(2**70), "1.0", "1e2"], ["true", '"1"', "null", "1.5", "1e-1"]),
    ({"type": "integer", "minimum": 2}, ["2", str(2**70)], ["1", "-3", str(-(2**70))]),
    ({"type": "integer", "maximum": 2}, ["2", "-5"], ["3", str(2**70)]),
    ({"type": "integer", "exclusiveMinimum": 2}, ["3"], ["2", "1"]),
    ({"type": "integer", "exclusiveMaximum": 2}, ["1"], ["2", "3"]),
    ({"type": "integer", "multipleOf": 3}, ["0", "3", "-6", str(3 * 10**30)], ["1", "-4", str(3 * 10**30 + 1)]),
    ({"type": "integer", "minimum": 2**70}, [str(2**70)], [str(2**70 - 1)]),
    ({"type": "number"}, ["1", "1.5", "-0.0", "1e308"], ["true", '"1"', "null", "NaN", "Infinity", "1e309"]),
    ({"type": "integer", "multipleOf": 1}, ["0", "7"], ["1.5"]),
    ({"type": "integer", "minimum": 1.0, "exclusiveMaximum": 3.0}, ["1", "2"], ["0", "3"]),
    ({"type": "number", "maximum": 2**53 + 1}, [str(2**53), str(2**53 + 1)], [str(2**53 + 2), "1e16"]),
    ({"type": "number"}, [str(2**70), str(2**53 + 1), "1" + "0" * 400], ["1e400"]),
    ({"type": "number", "minimum": 0.1}, ["0.1", "1"], ["0.09", "0", "-1"]),
    ({"type": "number", "maximum": 0.1}, ["0.1", "-1"], ["0.11", "1"]),
    ({"type": "number", "exclusiveMinimum": 0}, ["0.001"], ["0", "0.0", "-0.0"]),
    ({"type": "number", "exclusiveMaximum": 1}, ["0.999"], ["1", "1.0"]),
    ({"type": "number", "maximum": 1e308}, ["1e308", "0"], ["1.1e308"]),
    ({"type": "number", "minimum": -1.7e308}, ["-1.7e308"], ["-1.75e308"]),
    ({"type": "integer", "maximum": 1e308}, ["1"], [str(2 * 10**308)]),
    ({"type": "boolean"}, ["true", "false"], ["1", "0", '"true"', "null", "1.0"]),
    ({"type": "null"}, ["null"], ["0", "false", '""', "[]"]),
    ({"type": ["string", "null"]}, ['"a"', "null"], ["1", "false"]),
    ({"type": ["string", "null"], "minLength": 2}, ['"ab"', "null"], ['"a"']),
    ({"type": ["integer", "string"], "maximum": 3, "maxLength": 1}, ["3", '"a"', "1.0"], ["4", '"ab"', "true", "4.0"]),
    ({"type": ["integer", "number"], "minimum": 1.5}, ["2", "1.5"], ["1", "true"]),
    ({"type": ["boolean", "integer"]}, ["1", "true", "1.0"], ["1.5", '"1"']),
    ({"type": ["array", "null"], "items": {"type": "string"}, "minItems": 1}, ['["a"]', "null"], ["[]", "[1]", "[null]"]),
    ({"type": "array", "items": True}, ["[]", "[1, null]"], ["{}", '"a"', "null", "[NaN]"]),
    ({"type": "array", "items": {"type": "integer", "minimum": 1}}, ["[1]", "[]"], ["[0]", '["1"]', "[null]"]),
    ({"type": "array", "items": True, "minItems": 1}, ["[1]"], ["[]"]),
    ({"type": "array", "items": True, "maxItems": 1}, ["[]", "[1]"], ["[1, 2]"]),
    ({"type": "array", "prefixItems": [{"type": "string", "minLength": 2}, {"type": "integer", "maximum": 3}], "items": False, "minItems": 2}, ['["ab", 1]'], ['["a", 1]', '["ab", 4]', '["ab"]', '["ab", 1, 2]', "[]"]),
    ({"type": "array", "prefixItems": [{"type": "integer", "minimum": 1}], "items": False, "minItems": 1, "maxItems": 1}, ["[1]"], ["[0]", "[]", "[1, 1]"]),
    ({"type": "object", "additionalProperties": True}, ["{}", '{"a": null}'], ["[]", "null", '{"a": NaN}']),
    ({"type": "object", "additionalProperties": {"type": "string", "minLength": 2}}, ["{}", '{"a": "ab"}'], ['{"a": "b"}', '{"a": null}', '{"a": 1}']),
    ({"type": "object", "additionalProperties": True, "minProperties": 1, "maxProperties": 2}, ['{"a": 1}', '{"a": 1, "b": 2}'], ["{}", '{"a": 1, "b": 2, "c": 3}']),
    (an_object(), ["{}"], ['{"a": 1}', "[]", "null"]),
    (an_object(messageId={"type": "string"}), ["{}", '{"messageId": "a"}'], ['{"message_id": "a"}', '{"messageId": null}', '{"messageId": 1}', '{"x": 1}']),
    ({**an_object(a={"type": "string"}, b={"type": "null"}), "required": ["a", "b"]}, ['{"a": "x", "b": null}'], ['{"a": "x"}', '{"b": null}', "{}"]),
    ({**an_object(a={"type": "integer", "maximum": 3}), "additionalProperties": True}, ['{"b": "x"}', '{"a": 3, "b": [null]}'], ['{"a": 4}', '{"b": NaN}']),
    (an_object(a={"type": "string"}) | {"additionalProperties": {"type": "integer", "minimum": 1}}, ['{"a": "x", "b": 1}'], ['{"b": 0}', '{"b": "1"}', '{"a": 1}', '{"b": null}']),
    (an_object(messageId={"type": "string"}) | {"additionalProperties": {"type": "integer"}}, ['{"messageId": "a", "message_id": 1}'], ['{"message_id": "a"}']),
    ({"const": "a"}, ['"a"'], ['"b"', "null", "1"]),
    ({"const": 1}, ["1", "1.0"], ["true", "1.5", '"1"', "2"]),
    ({"const": 0}, ["0", "0.0", "-0.0"], ["false", "0.1", "null"]),
    ({"const": True}, ["true"], ["1", "false", "1.0"]),
    ({"const": None}, ["null"], ["0", "false", '""']),
    ({"enum": ["a", "b"]}, ['"a"', '"b"'], ['"c"', "null", "1"]),
    ({"enum": [1, 2], "type": "integer"}, ["1", "2", "1.0"], ["true", "1.5", "3", '"1"']),
    ({"enum": [True, 0, "1", None]}, ["true", "0", "0.0", '"1"', "null"], ["1", "false", "1.0", '"true"', '"0"']),
    ({"enum": [1, 10**20, -(10**20), True]}, ["1", str(10**20), str(-(10**20)), "true", "1e20", "1.0"], ["2", str(10**20 + 1), "1e21"]),
    ({"oneOf": [an_object(a={"type": "string"}) | {"required": ["a"]}, an_object(b={"type": "string"}) | {"required": ["b"]}]}, ['{"a": "x"}', '{"b": "x"}'], ["{}", '{"a": "x", "b": "x"}']),
    ({"enum": [False, True]}, ["true", "false"], ["0", "1", '"true"']),
    ({"anyOf": [{"type": "integer", "minimum": 5}, {"type": "string", "minLength": 2}]}, ["5", '"ab"', "5.0"], ["4", '"a"', "true", "4.0"]),
    ({"anyOf": [{"type": "integer"}, {"type": "number", "minimum": 5}]}, ["1", "5.5"], ["1.5", "true"]),
    ({"anyOf": [{"type": "array", "items": {"type": "string", "pattern": "^a"}}, {"type": "object", "additionalProperties": True, "minProperties": 1}]}, ['["a"]', '{"x": 1}'], ['["b"]', "{}"]),
    ({"oneOf": [{"type": "string"}, {"type": "null"}]}, ['"a"', "null"], ["1"]),
    ({"oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}]}, ['{"kind": "cat", "lives": 9}', '{"kind": "dog", "name": "x"}'], ['{"kind": "cat", "name": "x"}', '{"kind": "cow"}', "{}", "null", '{"kind": null}']),
    ({"oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}, {"type": "null"}]}, ['{"kind": "cat"}', "null"], ['{"kind": "cow"}', "1"]),
    ({"$ref": "#/$defs/Small"}, ["3"], ["4", '"3"']),
    ({"type": "integer", "maximum": 1e23}, ["100000000000000000000000", "1e23"], ["100000000000000000000001", "1.1e23"]),
    ({"type": "number", "maximum": 1e23}, ["100000000000000000000000", "1e23"], ["100000000000000000000001", "1.1e23"]),
    ({"type": "integer", "not": {"exclusiveMaximum": 1e23}}, ["100000000000000000000000", "1e23"], ["99999999999999999999999"]),
    ({"$ref": "#/$defs/Tree"}, ["1", '{"left": 1}', '{"left": {"left": 1, "right": {"left": 2}}}'], ['"a"', "{}", '{"left": {"right": 1}}', '{"left": 1, "right": null}']),
    ({"$ref": "#/$defs/Items"}, ["[]", '[{"items": [{}]}]'], ["[1]", '[{"items": [{"items": 1}]}]', '[{"item": []}]']),
    ({"$ref": "#/$defs/Term"}, ["true", '{"no": "a"}', '{"no": {"all": [true, {"no": "a"}]}}'], ["1", '{"no": true}', '{"no": {"all": [true, true]}}', '{"no": {"all": [{"no": 1}]}}']),
    ({"$ref": "#/$defs/Node", "description": "A tree."}, ["{}", '{"value": 1, "next": {"next": {"value": 3}}}'], ['{"next": {"next": {"value": 4}}}', '{"next": null}']),
    ({"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/Small"}, {"type": "null"}]}}, ["[3, null]"], ["[4]"]),
    ({"type": "integer", "minimum": 1.5, "exclusiveMaximum": 3.5}, ["2", "3", "3.0"], ["1", "4"]),
    ({"type": "integer", "exclusiveMinimum": 1.5, "maximum": 3.5}, ["2", "3"], ["1", "4"]),
    ({"type": "integer", "multipleOf": 1.5}, ["0", "3", "-6.0"], ["1", "2"]),
    ({"type": "number", "multipleOf": 0.01}, ["0.07", "1.1", "3", "1e300"], ["0.075", "0.001"]),
    ({"type": "number", "exclusiveMinimum": 1.5, "exclusiveMaximum": 3}, ["2", "1.6", "2.9"], ["1", "1.5", "3", "3.0"]),
    ({"const": 1.5}, ["1.5"], ["1", '"1.5"', "true"]),
    ({"const": [0, {"a": 1}]}, ['[0, {"a": 1}]', '[0.0, {"a": 1.0}]'], ['[false, {"a": 1}]', '[0, {"a": true}]', "[]", "{}"]),
    ({"const": {"a": [True]}}, ['{"a": [true]}'], ['{"a": [1]}', "{}", '{"a": [true], "b": 1}']),
    ({"enum": [1.5, 2, "a"]}, ["1.5", "2", "2.0", '"a"'], ["1", "true", '"2"']),
    ({"enum": [1.5, 2.5]}, ["1.5"], ["1", '"a"']),
    ({"enum": [[1], [2]]}, ["[1]", "[2.0]"], ["[]", "[true]", "1"]),
    (False, [], ["1", "null", "{}"]),
    ({"type": "string", "format": "date", "pattern": "^2", "maxLength": 10}, ['"2026-03-29"'], ['"1999-03-29"', '"2026"']),
    ({"type": "string", "format": "idn-email"}, ['"ä@b.c"'], ['"ä"']),
    ({"type": "string", "format": "idn-hostname"}, ['"ä.de"'], ['"-ä"']),
    ({"type": "string", "format": "uri-reference"}, ['"../a"'], ['"a b"']),
    ({"type": "string", "format": "uri-template"}, ['"/{a}"'], ['"/{a"']),
    ({"type": "string", "format": "iri"}, ['"http://ä"'], ['"/ä"']),
    ({"type": "string", "format": "iri-reference"}, ['"/ä"'], ['"ä b"']),
    ({"type": "string", "format": "json-pointer"}, ['"/a"'], ['"a"']),
    ({"type": "string", "format": "relative-json-pointer"}, ['"1/a"'], ['"/a"']),
    ({"type": "string", "format": "regex"}, ['"(?=a)"'], ['"("']),
    ({"type": "string", "format": "byte"}, ['"YQ=="'], ['"YQ"']),
    ({"type": "string", "contentEncoding": "base64"}, ['"YQ=="'], ['"YQ"', "1"]),
    ({"type": "string", "contentMediaType": "application/json", "contentSchema": {"type": "integer"}}, ['"1"', '" 1.0 "'], ['"a"', '"{}"', '"NaN"']),
    ({"type": "string", "contentEncoding": "base64", "contentMediaType": "application/json"}, ['"e30="'], ['"YQ=="', '"{}"']),
    ({"type": "array", "items": {"type": "integer"}, "uniqueItems": True}, ["[]", "[1, 2]"], ["[1, 1]", "[1, 1.0]", '["a"]']),
    ({"type": "array", "items": True, "uniqueItems": False}, ["[1, 1]"], ["{}"]),
    ({"type": "array", "items": True, "contains": {"type": "string"}}, ['[1, "a"]'], ["[]", "[1]"]),
    ({"type": "array", "items": True, "contains": {"const": 1}, "minContains": 2, "maxContains": 3}, ["[1, 1.0, 2]"], ["[1]", "[1, 1, 1, 1]"]),
    ({"type": "array", "items": True, "contains": {"const": 1}, "minContains": 0}, ["[]"], ["1"]),
    ({"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": {"type": "null"}}, ["[]", '["a"]', '["a", 1, null]'], ["[1]", '["a", 1, 2]']),
    ({"type": "array", "prefixItems": [{"type": "string"}], "items": False}, ["[]", '["a"]'], ["[1]", '["a", 1]']),
    ({"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "minItems": 2, "maxItems": 2}, ['["a", 1]'], ["[]", '["a", 1, 2]']),
    ({"type": "array", "items": False}, ["[]"], ["[1]"]),
    ({"type": "array", "prefixItems": [True], "contains": {"type": "string"}, "unevaluatedItems": False}, ['[1, "a"]', '["a"]'], ['[1, "a", 2]', "[1]"]),
    ({"type": "array", "prefixItems": [{"type": "string", "format": "date"}], "items": False, "minItems": 1, "uniqueItems": True}, ['["2026-03-29"]'], ['["a"]', "[]"]),
    ({**an_object(a=True, b=True, c=True), "minProperties": 1, "maxProperties": 2}, ['{"a": 1}', '{"a": 1, "c": 2}'], ["{}", '{"a": 1, "b": 1, "c": 1}', '{"x": 1}']),
    ({**an_object(a={"type": "string"}), "additionalProperties": True, "required": ["a", "other"]}, ['{"a": "x", "other": null}'], ['{"a": "x"}', '{"other": 1}']),
    ({"type": "object", "additionalProperties": True, "required": ["a"]}, ['{"a": 1}'], ["{}", "[]"]),
    ({**an_object(a=False, b={"type": "string"}), "additionalProperties": True}, ["{}", '{"b": "x", "c": 1}'], ['{"a": 1}', '{"b": 1}']),
    (an_object(a=False), ["{}"], ['{"a": 1}']),
    ({"type": "object", "patternProperties": {"^n": {"type": "integer"}}, "additionalProperties": False}, ["{}", '{"n1": 1}'], ['{"n1": "x"}', '{"a": 1}']),
    (an_object(name={"type": "string"}) | {"patternProperties": {"^n": {"type": "string", "minLength": 2}, "^x": {"type": "null"}}}, ['{"name": "ab", "x": null}'], ['{"name": "a"}', '{"name": 12}', '{"x": 1}', '{"y": 1}']),
    ({"type": "object", "additionalProperties": {"type": "integer"}, "propertyNames": {"pattern": "^[a-z]+$"}}, ['{"ab": 1}'], ['{"a1": 1}', '{"a": "x"}']),
    (an_object(a=True, b=True) | {"dependentRequired": {"a": ["b"]}}, ["{}", '{"b": 1}', '{"a": 1, "b": 1}'], ['{"a": 1}']),
    (an_object(a=True, b=True) | {"dependentSchemas": {"a": {"properties": {"b": {"type": "string"}}}}}, ['{"b": 1}', '{"a": 1, "b": "x"}'], ['{"a": 1, "b": 1}']),
    (an_object(kind={"enum": ["a", "b"]}, b=True) | {"if": {"properties": {"kind": {"const": "b"}}, "required": ["kind"]}, "then": {"required": ["b"]}, "else": {"maxProperties": 1}}, ["{}", '{"kind": "b", "b": 1}', '{"kind": "a"}'], ['{"kind": "b"}', '{"kind": "a", "b": 1}']),
    ({"type": "integer", "not": {"multipleOf": 2}}, ["1", "3.0"], ["2", "2.0", '"a"']),
    ({"type": "integer", "allOf": [{"minimum": 1}, {"maximum": 3}]}, ["1", "3"], ["0", "4", "null"]),
    ({"allOf": [{"$ref": "#/$defs/Small"}, {"minimum": 1}]}, ["1", "3"], ["0", "4", '"a"']),
    ({"allOf": [{"$ref": "#/$defs/Cat"}], "required": ["lives"]}, ['{"kind": "cat", "lives": 9}'], ['{"kind": "cat"}', '{"kind": "dog", "lives": 1}']),
    ({"$ref": "#/$defs/Small", "minimum": 1}, ["1", "3"], ["0", "4"]),
    ({"$ref": "#/$defs/Cat", "required": ["lives"]}, ['{"kind": "cat", "lives": 9}'], ['{"kind": "cat"}', "{}"]),
    ({"type": "object", "allOf": [{"properties": {"a": {"type": "string"}}, "required": ["a"]}], "properties": {"b": {"type": "integer"}}, "unevaluatedProperties": False}, ['{"a": "x", "b": 1}'], ['{"b": 1}', '{"a": 1}', '{"a": "x", "c": 1}']),
    ({"type": "object", "additionalProperties": {"type": "integer"}, "allOf": [{"properties": {"b": {"type": "string"}}}]}, ['{"a": 1}'], ['{"b": "x"}', '{"b": 1}']),
    ({"anyOf": [{"type": "integer"}, {"type": "string"}], "not": {"const": 3}}, ["1", '"a"'], ["3", "3.0", "null"]),
    ({"oneOf": [{"type": "integer", "minimum": 2}, {"type": "integer", "maximum": 5}]}, ["1", "6"], ["2", "5", '"a"']),
    ({"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 5}]}, ["1", "5.5"], ["5", "5.0", "1.5", "true"]),
    ({"oneOf": [an_object(a={"type": "integer"}), an_object(b={"type": "integer"})]}, ['{"a": 1}', '{"b": 1}'], ["{}", '{"a": 1, "b": 1}']),
    ({"type": ["string", "null"], "not": {"type": "null"}}, ['"a"'], ["null", "1"]),
    ({"type": ["object", "null"], "additionalProperties": False, "properties": {"a": True}, "not": {"required": ["a"]}}, ["{}"], ['{"a": 1}', '{"b": 1}', "null"]),
    ({"$ref": "#/$defs/Nested"}, ["[]", "[[], [[]]]"], ["[1]", "[[1]]", "{}", "null"]),
    ({"$ref": "#/$defs/Folder"}, ["{}", '{"inner": {"depth": 1, "inner": {"name": "a", "others": [{}]}}}'], ['{"inner": {"inner": {"depth": "a"}}}', '{"inner": {"inner": {"inner": {"name": 1}}}}', '{"others": [null]}', '{"others": [{"others": [1]}]}']),
    ({"anyOf": [{"type": "null"}, {"const": None}]}, ["null"], ["1", '"a"', "{}"]),
    ({"type": "array", "items": {"anyOf": [{"enum": [None]}, {"oneOf": [False, {"type": "null"}]}]}}, ["[null]"], ["[1]"]),
    ({"oneOf": [{"type": "null"}, {"allOf": [{"type": "null"}]}]}, [], ["null", "1"]),
    ({"type": "number", "minimum": 2**63}, [str(2**63), "1e19"], [str(2**63 - 1), "1"]),
    ({"type": "number", "exclusiveMaximum": 2**63}, [str(2**63 - 1)], [str(2**63), "1e19"]),
    ({"$ref": "#/$defs/Unique"}, ["{}", '{"kids": [{"kids": []}]}'], ['{"kids": [{}, {}]}', '{"kids": [{"kids": [{}, {}]}]}', '{"x": 1}']),
]  # fmt: skip

ENFORCED_ELSEWHERE = {
    *("default", "examples", "title", "description", "$comment", "deprecated", "readOnly", "writeOnly"),
    *("$defs", "definitions", "x-python-name"),
}


def test_every_keyword_type_and_format_is_in_the_table() -> None:
    text = repr(CASES)
    keywords = ANY_TYPE.union(*BY_TYPE.values())
    assert [word for word in (*sorted(keywords), *TYPES, *FORMATS) if repr(word) not in text] == []
    assert ANNOTATIONS == ENFORCED_ELSEWHERE


@pytest.mark.parametrize(("schema", "accepted", "refused"), CASES, ids=lambda value: repr(value)[:60])
def test_the_model_decides_as_the_schema(
    tmp_path: Path, schema: object, accepted: list[str], refused: list[str]
) -> None:
    """The property `x` is optional in params and required in the object `needed`."""
    params = an_object(x=schema, needed={**an_object(x=schema), "required": ["x"]})
    with params_model(tmp_path, params, **{"$defs": DEFINITIONS}) as model:
        for around in ('{"x": %s}', '{"needed": {"x": %s}}'):
            for text in accepted:
                value = model.model_validate_json(around % text)
                stored = write_params("Case", model, json.loads(around % text))[1]
                assert read_params("Case", model, stored) == value
            for text in refused:
                with pytest.raises(ValidationError):
                    model.model_validate_json(around % text)
        model.model_validate_json("{}")
        with pytest.raises(ValidationError):
            model.model_validate_json('{"needed": {}}')


def test_constraints_behind_references_are_enforced_at_each_reference(tmp_path: Path) -> None:
    definitions = {
        "Middle": {"type": ["object", "null"], "additionalProperties": {"type": "integer"}, "$ref": "#/$defs/Last"},
        "Last": {"type": "object", "additionalProperties": True, "required": ["a"]},
    }
    params = {"$ref": "#/$defs/Middle", "description": "Only a reference."}
    with params_model(tmp_path, params, **{"$defs": definitions}) as model:
        assert fits(model, {"a": 1, "b": 2})
        assert not fits(model, {"a": 1, "b": "x"})
        assert not fits(model, {"b": 2})


@pytest.mark.parametrize("params", [an_object(), {"type": "object", "additionalProperties": {"type": "integer"}}])
def test_params_themselves_are_objects(tmp_path: Path, params: object) -> None:
    with params_model(tmp_path, params) as model:
        model.model_validate_json("{}")
        for text in ("[]", "null", "1", '{"a": "x"}'):
            with pytest.raises(ValidationError):
                model.model_validate_json(text)


DEFAULTS: list[tuple[object, str]] = [
    ({"type": "string", "default": 'a"\\\n'}, '"a\\"\\\\\\n"'),
    ({"type": "integer", "default": -3}, "-3"),
    ({"type": "integer", "default": 1.0}, "1"),
    ({"type": "integer", "default": 1e2}, "100"),
    ({"type": "integer", "default": -0.0}, "0"),
    ({"type": "integer", "default": 1e23}, "100000000000000000000000"),
    ({"type": "number", "default": -0.0}, "-0.0"),
    ({"type": "number", "default": 3}, "3"),
    ({"type": "number", "default": 1e30}, "1e+30"),
    ({"type": "boolean", "default": True}, "true"),
    ({"type": ["string", "null"], "default": None}, "null"),
    ({"type": ["integer", "null"], "default": 1.0}, "1"),
    ({"type": ["number", "null"], "default": 1.0}, "1.0"),
    ({"enum": ["a", 1], "default": 1}, "1"),
    ({"enum": ["a", 1], "default": 1.0}, "1"),
    ({"const": 1.0, "default": 1.0}, "1"),
    ({"type": "string", "format": "email", "default": "A@B.c"}, '"A@B.c"'),
    ({"type": "string", "format": "date", "default": "2026-03-29"}, '"2026-03-29"'),
    ({"type": "string", "format": "date-time", "default": "2026-03-29t08:30:00z"}, '"2026-03-29t08:30:00z"'),
    ({"type": "string", "format": "uuid", "default": "123E4567-e89b-12d3-a456-426614174000"}, '"123E4567-e89b-12d3-a456-426614174000"'),
    ({"type": "string", "format": "ipv4", "default": "192.0.2.1"}, '"192.0.2.1"'),
    ({"type": "string", "format": "ipv6", "default": "::1"}, '"::1"'),
    ({"type": "array", "items": {"type": "number"}, "default": [1, 2.5]}, "[1,2.5]"),
    ({"type": "array", "items": True, "default": []}, "[]"),
    ({"type": "array", "prefixItems": [{"type": "integer"}], "items": False, "minItems": 1, "default": [1]}, "[1]"),
    ({"type": "object", "additionalProperties": {"type": "string", "format": "date"}, "default": {"k": "2026-03-29"}}, '{"k":"2026-03-29"}'),
    ({"anyOf": [{"type": "integer"}, {"type": "string", "format": "date"}], "default": "2026-03-29"}, '"2026-03-29"'),
    ({"$ref": "#/$defs/Node", "default": {"next": {"value": 1}}}, '{"next":{"value":1}}'),
    ({"type": "array", "items": {"$ref": "#/$defs/Node"}, "default": [{}]}, "[{}]"),
    ({"$ref": "#/$defs/Node", "default": {"next": {"value": 1.0}}}, '{"next":{"value":1}}'),
    ({"type": "array", "items": {"type": "integer"}, "default": [1.0]}, "[1]"),
    ({"type": "object", "additionalProperties": {"anyOf": [{"type": "integer"}, {"type": "null"}]}, "default": {"a": 1.0}}, '{"a":1}'),
    ({"allOf": [{"type": "integer"}, {"minimum": 1}], "default": 1.0}, "1"),
    ({"type": "object", "additionalProperties": True, "default": {"a": [None, {"b": 1}]}}, '{"a":[null,{"b":1}]}'),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "dumped"), DEFAULTS, ids=lambda value: repr(value)[:60])
def test_a_default_equals_the_schemas_and_is_copied_each_time(tmp_path: Path, schema: object, dumped: str) -> None:
    with params_model(tmp_path, an_object(x=schema), **{"$defs": DEFINITIONS}) as model:
        absent = model.model_validate_json("{}")
        assert json.dumps(json.loads(absent.model_dump_json())["x"], separators=(",", ":")) == dumped
        assert model.model_validate_json(absent.model_dump_json()) == absent
        assert model() == absent
        value, other = absent.x, model().x  # type: ignore[attr-defined]
        assert value is not other or not isinstance(value, list | dict)


NULLABLE: Schema = {"type": ["string", "null"]}


@pytest.mark.parametrize(
    "schema",
    [
        NULLABLE,
        True,
        {"const": None},
        {"enum": ["a", None]},
        {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/Node"}]},
        {"not": {"const": 1}, "type": ["integer", "null"]},
    ],
)
@pytest.mark.parametrize(
    "around",
    [
        lambda part: part,
        lambda part: {"type": "array", "items": part},
        lambda part: {"type": "object", "additionalProperties": part},
        lambda part: {"anyOf": [{"type": "string"}, part, an_object(other={"type": "integer"})]},
        lambda part: {"type": "object", "patternProperties": {"^p": part}, "additionalProperties": False},
        lambda part: {"allOf": [part, {"maxProperties": 1}]},
    ],
)
def test_null_is_stored_only_if_it_was_given(
    tmp_path: Path, schema: object, around: Callable[[Schema], Schema]
) -> None:
    with params_model(tmp_path, an_object(around=around(an_object(x=schema))), **{"$defs": DEFINITIONS}) as model:
        parts: list[JsonValue] = [{}, {"x": None}]
        for part in parts:
            inside: list[JsonValue] = [part, [part], {"p": part}]
            found: list[JsonValue] = [{"around": one} for one in inside if fits(model, {"around": one})]
            for document in found:
                read, stored = write_params("Case", model, document)
                assert json.loads(stored) == document
                assert write_params("Case", model, read)[1] == stored
            assert found


@pytest.mark.parametrize(
    "schema",
    [
        {"type": ["integer", "boolean"]},
        {"type": ["number", "boolean"]},
        {"anyOf": [{"const": 0}, {"const": False}]},
        {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "array", "items": {"type": "boolean"}}]},
    ],
)
@pytest.mark.parametrize("others", [True, {"type": "string"}])
def test_booleans_and_numbers_keep_their_type_in_branches_with_more_properties(
    tmp_path: Path, schema: Schema, others: object
) -> None:
    branch = {**an_object(x=schema), "additionalProperties": others}
    with params_model(tmp_path, an_object(around={"anyOf": [branch, {"type": "string"}]})) as model:
        for text in ("false", "0", "[false]", "[0]"):
            document = f'{{"around":{{"x":{text}}}}}'
            if fits(model, json.loads(document)):
                assert write_params("Case", model, json.loads(document))[1] == document


def test_a_further_property_named_like_an_attribute_brings_no_null_with_it(tmp_path: Path) -> None:
    params = {**an_object(messageId=NULLABLE), "additionalProperties": True}
    with params_model(tmp_path, params) as model:
        assert write_params("Case", model, {"message_id": 1})[1] == '{"message_id":1}'
        assert write_params("Case", model, {"messageId": None})[1] == '{"messageId":null}'


def test_a_further_property_named_like_an_attribute_takes_no_value_with_it(tmp_path: Path) -> None:
    params = {**an_object(messageId=NULLABLE), "additionalProperties": True}
    with params_model(tmp_path, params) as model:
        text = write_params("Case", model, {"messageId": "a", "message_id": 2})[1]
        assert json.loads(text) == {"messageId": "a", "message_id": 2}


def test_a_default_of_null_is_filled_in(tmp_path: Path) -> None:
    with params_model(tmp_path, an_object(x={**NULLABLE, "default": None}, y=NULLABLE)) as model:
        assert write_params("Case", model, {})[1] == '{"x":null}'


def fits(model: type[JobModel], document: JsonValue) -> bool:
    try:
        model.model_validate_json(json.dumps(document))
    except ValidationError:
        return False
    return True


def test_a_default_of_a_required_property_changes_nothing(tmp_path: Path) -> None:
    params = {**an_object(x={"type": "integer", "default": 3}), "required": ["x"]}
    with params_model(tmp_path, params) as model, pytest.raises(ValidationError):
        model.model_validate_json("{}")
