"""Why a schema is refused: what would be enforced wrongly or not at all, or does not hold together."""

from __future__ import annotations

from ..problems.spec_rules import (
    ALLOWS_NOTHING,
    DEFAULT_DOES_NOT_FIT,
    DEFAULT_MISPLACED,
    EXAMPLE_DOES_NOT_FIT,
    EXTRA_NOT_STATED,
    ITEMS_MISSING,
    KEYWORD_MISPLACED,
    KEYWORD_REFUSED,
    KEYWORD_VALUE,
    NOT_A_SCHEMA,
    PATTERN_REFUSED,
    REFERENCE_ENDLESS,
    REFERENCE_OUTSIDE,
    REFERENCE_UNRESOLVED,
    REQUIRED_UNKNOWN,
    TYPE_MISSING,
    UNKNOWN_FORMAT,
    UNKNOWN_KEYWORD,
    UNKNOWN_TYPE,
    VALUE_DOES_NOT_FIT,
    VALUE_ENDLESS,
    VENDOR_KEYWORD,
)
from .explanation import Example, Explanation

PROPERTY = "/properties/params/properties/x"

EXPLANATIONS = (
    Explanation(
        NOT_A_SCHEMA,
        "A schema is an object with keywords, or true for any value. Anything else says nothing about values.",
        Example(PROPERTY, '"string"', '{"type": "string"}'),
    ),
    Explanation(
        TYPE_MISSING,
        "In JSON Schema a keyword such as minLength says nothing about values of other types: without a type, 3 would "
        "fit too. The type is also what the Python class needs. For any value at all, write true; a project that wants "
        'JSON Schema as it is writes allow = ["untyped-schemas"] under [tool.server-jobs].',
        Example(PROPERTY, '{"minLength": 3}', '{"type": "string", "minLength": 3}'),
    ),
    Explanation(
        UNKNOWN_TYPE,
        "JSON Schema knows seven types: string, integer, number, boolean, null, object and array. A date or a URL is a "
        "string with a format.",
        Example(PROPERTY, '{"type": "date"}', '{"type": "string", "format": "date"}'),
    ),
    Explanation(
        UNKNOWN_KEYWORD,
        "JSON Schema passes over keywords it does not know, so a typing mistake would silently allow everything.",
        Example(PROPERTY, '{"type": "string", "minLenght": 3}', '{"type": "string", "minLength": 3}'),
    ),
    Explanation(
        VENDOR_KEYWORD,
        "Keywords of other tools would have no effect here, and whoever reads them would believe they had. What is "
        "only for people goes into $comment.",
        Example(PROPERTY, '{"type": "string", "x-order": 3}', '{"type": "string", "$comment": "shown third"}'),
    ),
    Explanation(
        KEYWORD_REFUSED,
        "What a spec says is what the queue enforces. A keyword that could not be enforced in full is refused at "
        "generation, and the message says what to write instead.",
        Example(PROPERTY, '{"type": "string", "nullable": true}', '{"type": ["string", "null"]}'),
    ),
    Explanation(
        KEYWORD_MISPLACED,
        "The keyword says nothing about values of this type, or what stands beside it leaves it without effect. "
        "Probably another type or another place is meant.",
        Example(PROPERTY, '{"type": "integer", "minLength": 3}', '{"type": "integer", "minimum": 3}'),
    ),
    Explanation(
        KEYWORD_VALUE,
        "Each keyword takes values of one kind: a bound is a number, a count a whole number from 0, a title a text.",
        Example(PROPERTY, '{"type": "string", "minLength": -1}', '{"type": "string", "minLength": 1}'),
    ),
    Explanation(
        ALLOWS_NOTHING,
        "No value fits this schema, so no job with it could ever be enqueued. Usually two bounds were swapped.",
        Example(
            PROPERTY,
            '{"type": "integer", "minimum": 10, "maximum": 1}',
            '{"type": "integer", "minimum": 1, "maximum": 10}',
        ),
    ),
    Explanation(
        EXTRA_NOT_STATED,
        "JSON Schema lets objects have any further properties, which most people do not expect: a misspelt property "
        "would be stored and never read. Say false to refuse them, true to keep them, or give their schema; "
        'or write allow = ["open-objects"] under [tool.server-jobs].',
        Example(
            PROPERTY,
            '{"type": "object", "properties": {"a": {"type": "string"}}}',
            '{"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false}',
        ),
    ),
    Explanation(
        REQUIRED_UNKNOWN,
        "A property that is required and nowhere described is nearly always misspelt.",
        Example(
            "/properties/params",
            '{"type": "object", "additionalProperties": false, "required": ["too"], '
            '"properties": {"to": {"type": "string"}}}',
            '{"type": "object", "additionalProperties": false, "required": ["to"], '
            '"properties": {"to": {"type": "string"}}}',
        ),
    ),
    Explanation(
        ITEMS_MISSING,
        "Without items a list may hold anything, which is rarely meant. If it is, write true.",
        Example(PROPERTY, '{"type": "array"}', '{"type": "array", "items": {"type": "string"}}'),
    ),
    Explanation(
        UNKNOWN_FORMAT,
        "JSON Schema lets validators pass over formats they do not know, so a misspelt one would allow any text. Use "
        "one of those in the message, or a pattern.",
        Example(PROPERTY, '{"type": "string", "format": "e-mail"}', '{"type": "string", "format": "email"}'),
    ),
    Explanation(
        PATTERN_REFUSED,
        "Patterns are those of JavaScript, as JSON Schema says, and are matched in linear time, so that no value can "
        "stop a worker. Look-around and backreferences are impossible then; and a few spellings mean different "
        "things to different engines. Check the rest in the handler.",
        Example(PROPERTY, '{"type": "string", "pattern": "^(?!tmp)"}', '{"type": "string", "pattern": "^[a-su-z]"}'),
    ),
    Explanation(
        DEFAULT_MISPLACED,
        "A default is what a property has that is left out. Nothing else can be left out: an item of a list is there "
        "or not.",
        Example(
            PROPERTY,
            '{"type": "array", "items": {"type": "string", "default": "a"}}',
            '{"type": "array", "items": {"type": "string"}, "default": ["a"]}',
        ),
    ),
    Explanation(
        DEFAULT_DOES_NOT_FIT,
        "The handler would get a value that nobody may send. JSON Schema does not check defaults; here they are.",
        Example(PROPERTY, '{"type": "integer", "default": "3"}', '{"type": "integer", "default": 3}'),
    ),
    Explanation(
        EXAMPLE_DOES_NOT_FIT,
        "People copy examples, and documents are made of them. One that would be refused misleads.",
        Example(
            PROPERTY,
            '{"type": "string", "format": "date", "examples": ["1.2.2026"]}',
            '{"type": "string", "format": "date", "examples": ["2026-02-01"]}',
        ),
    ),
    Explanation(
        VALUE_DOES_NOT_FIT,
        "Enum (or const) and all that stands beside it must hold, so a listed value of another type, or one that is "
        "too long, can never be sent.",
        Example(PROPERTY, '{"type": "string", "enum": ["1", 2]}', '{"type": "string", "enum": ["1", "2"]}'),
    ),
    Explanation(
        REFERENCE_OUTSIDE,
        "Nothing is ever fetched and nothing outside specs/ is read: the same commit gives the same code everywhere, "
        "and a spec from a stranger cannot look at your files. Put the definition under specs/shared/.",
        Example(PROPERTY, '{"$ref": "https://example.com/address.json"}', '{"$ref": "shared/address.json"}'),
    ),
    Explanation(
        REFERENCE_UNRESOLVED,
        "A $ref leads to a schema: in the same file (#/$defs/Address), or in another under specs/ "
        "(shared/places.json#/$defs/Address).",
        Example(PROPERTY, '{"$ref": "#/$defs/Adress"}', '{"$ref": "#/$defs/Address"}'),
    ),
    Explanation(
        REFERENCE_ENDLESS,
        "Following the references comes to no end, so no class can be made of it. Recursion is welcome where it leads "
        "through a property of an object, as in a tree with children.",
        Example(
            "/$defs",
            '{"Address": {"$ref": "#/$defs/Address"}}',
            '{"Address": {"type": "object", "additionalProperties": false, '
            '"properties": {"next": {"$ref": "#/$defs/Address"}}}}',
        ),
    ),
    Explanation(
        VALUE_ENDLESS,
        "The object requires a property that needs another such object, and so on: only a value without end would fit. "
        "Make one property of the circle optional, or let it be null.",
        Example(
            "/$defs",
            '{"Address": {"type": "object", "additionalProperties": false, "required": ["next"], '
            '"properties": {"next": {"$ref": "#/$defs/Address"}}}}',
            '{"Address": {"type": "object", "additionalProperties": false, "required": [], '
            '"properties": {"next": {"$ref": "#/$defs/Address"}}}}',
        ),
    ),
)
