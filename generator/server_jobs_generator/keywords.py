"""Which JSON Schema keywords a spec may use, where, and what to write instead of the others.

A keyword is accepted only if the generated model enforces it in full; whoever adds one adds the proof to the table in
`tests/generator/test_models_enforce_the_schema.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

TYPES = ("string", "integer", "number", "boolean", "null", "object", "array")

ANNOTATIONS = frozenset({"title", "description", "$comment", "default", "examples", "deprecated", "$defs"})

BY_TYPE: Mapping[str, frozenset[str]] = {
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "integer": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}),
    "boolean": frozenset(),
    "null": frozenset(),
    "object": frozenset({"properties", "required", "additionalProperties", "minProperties", "maxProperties"}),
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems"}),
}

FORMS: Mapping[str, frozenset[str]] = {
    "$ref": frozenset({"$ref"}),
    "anyOf": frozenset({"anyOf"}),
    "oneOf": frozenset({"oneOf"}),
    "const": frozenset({"const", "type"}),
    "enum": frozenset({"enum", "type"}),
}
"""The ways to describe values other than by `type` alone, in the order in which they are recognised."""

_ONE_OBJECT = "write the one object out, or reference it with $ref"
_IN_THE_HANDLER = "check it in the handler"

ADVICE: Mapping[str, str] = {
    "allOf": f"the model cannot promise what allOf says; {_ONE_OBJECT} ($ref may stand beside a description)",
    "not": f"the model would not enforce it; say what is allowed, or {_IN_THE_HANDLER}",
    "if": "the model would not enforce it; use oneOf with a const property that tells the cases apart",
    "then": "the model would not enforce it; use oneOf with a const property that tells the cases apart",
    "else": "the model would not enforce it; use oneOf with a const property that tells the cases apart",
    "dependentRequired": "the model would not enforce it; use oneOf with a const property that tells the cases apart",
    "dependentSchemas": "the model would not enforce it; use oneOf with a const property that tells the cases apart",
    "dependencies": "the model would not enforce it; use oneOf with a const property that tells the cases apart",
    "contains": f"the model would not enforce it; {_IN_THE_HANDLER}",
    "minContains": f"the model would not enforce it; {_IN_THE_HANDLER}",
    "maxContains": f"the model would not enforce it; {_IN_THE_HANDLER}",
    "uniqueItems": f"the model would not enforce it; {_IN_THE_HANDLER}",
    "patternProperties": "the model would not enforce it; use additionalProperties with one schema for all values",
    "propertyNames": f"the model would not enforce it; use additionalProperties, and {_IN_THE_HANDLER}",
    "unevaluatedProperties": "the model would not enforce it; use additionalProperties",
    "unevaluatedItems": "the model would not enforce it; use items",
    "additionalItems": "it belongs to an older draft; use prefixItems with items: false",
    "contentEncoding": f"the model would not enforce it; leave it out, and {_IN_THE_HANDLER}",
    "contentMediaType": f"the model would not enforce it; leave it out, and {_IN_THE_HANDLER}",
    "contentSchema": f"the model would not enforce it; leave it out, and {_IN_THE_HANDLER}",
    "components": "it belongs to OpenAPI; use $defs, or a file under specs/shared/",
    "definitions": "it belongs to an older draft; use $defs",
    "nullable": 'it belongs to OpenAPI; use "type": ["…", "null"]',
    "example": "it belongs to OpenAPI; use examples, with a list",
    "discriminator": "it belongs to OpenAPI; a const property in each branch of oneOf is enough",
    "readOnly": "params are only read and results only written; remove it",
    "writeOnly": "params are only read and results only written; remove it",
    "id": "references are relative to the file; remove it",
    "$id": "references are relative to the file; remove it",
    "$anchor": "reference the place with a JSON pointer (#/$defs/…), and remove it",
    "$dynamicAnchor": "reference the place with a JSON pointer (#/$defs/…), and remove it",
    "$dynamicRef": "use $ref",
    "$recursiveRef": "use $ref",
    "$recursiveAnchor": "use $ref with a JSON pointer (#/$defs/…)",
    "$vocabulary": "it belongs to meta-schemas; remove it",
    "$schema": "it belongs to the top of a file; remove it",
    "x-job": "it belongs to the top of a job's spec; remove it",
}
"""Why a known keyword is refused, and what to do."""

NUMBER_ADVICE: Mapping[str, str] = {
    "multipleOf": "multiples of a fraction cannot be checked exactly in binary; use an integer of the smallest unit",
    "format": "the model would not enforce it; use minimum and maximum",
}
"""Why a keyword is refused beside the type number (format also beside integer), and what to do."""

KNOWN = ANNOTATIONS | frozenset(FORMS) | {"type"} | frozenset[str]().union(*BY_TYPE.values())
"""Every accepted keyword, for suggestions."""
