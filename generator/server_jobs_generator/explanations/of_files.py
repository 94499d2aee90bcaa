"""Why a file under `specs/` is refused before it is looked at as a spec, and why names are."""

from __future__ import annotations

from ..problems.spec_rules import (
    COMMENT,
    DIALECT_UNKNOWN,
    DUPLICATE_KEY,
    FILE_MISPLACED,
    FILE_UNREADABLE,
    JSON_SYNTAX,
    LINK_OUTSIDE,
    LISTED_TWICE,
    NAME_NOT_USABLE,
    NAME_TAKEN,
    NOT_UTF8,
    NUMBER_OUT_OF_RANGE,
    PART_NOT_AN_OBJECT,
    SPEC_FRAME,
    TEXT_NOT_STORABLE,
    TOO_DEEP,
    TOO_LARGE,
    TOO_MANY_PROBLEMS,
    UNKNOWN_KEY,
)
from .explanation import Example, Explanation

PROPERTY = "/properties/params/properties/x"
SHELL = "in a shell"
TOP = "among the keys at the top of a spec"

EXPLANATIONS = (
    Explanation(
        FILE_UNREADABLE,
        "A spec is an ordinary file that whoever generates may read. A pipe or a device would never end.",
        Example(SHELL, "mkfifo specs/report.json", "mkfifo report.json", "sh"),
    ),
    Explanation(
        FILE_MISPLACED,
        "Everything under specs/ is a contract. A file that is none would be taken for one that does not work, so "
        "notes and data belong elsewhere. Specs lie directly in specs/, definitions that several of them use under "
        "specs/shared/. README.md, hidden files and leftovers of editors (x.json~) may lie there too.",
        Example(SHELL, "echo 'call Ann' > specs/notes.txt", "echo 'call Ann' > notes.txt", "sh"),
    ),
    Explanation(
        LINK_OUTSIDE,
        "What is generated depends on specs/ alone: the same commit gives the same code everywhere. A link that leads "
        "out would read what another machine does not have, or what was never meant to be read.",
        Example(SHELL, "ln -s /etc/hostname specs/host.json", "echo '{\"$defs\": {}}' > specs/shared/host.json", "sh"),
    ),
    Explanation(
        NOT_UTF8,
        "JSON is UTF-8, and a byte order mark makes some parsers fail and others not. Save the file as UTF-8 without "
        "one; every editor has a setting for it.",
        Example(
            SHELL,
            """printf '\\357\\273\\277{"$defs": {}}' > specs/shared/places.json""",
            """printf '{"$defs": {}}' > specs/shared/places.json""",
            "sh",
        ),
    ),
    Explanation(
        JSON_SYNTAX,
        "The file stops being JSON at this place, so nothing behind it can be judged. The usual reasons are a comma "
        "before the end, single quotes, or a bracket that was never closed.",
        Example(PROPERTY, '{"type": "string",}', '{"type": "string"}'),
    ),
    Explanation(
        COMMENT,
        "JSON has no comments: other tools that read the same file would fail. What developers should know goes into "
        "$comment, what users of the job should know into description.",
        Example(PROPERTY, '{"type": "string" /* the address */}', '{"type": "string", "$comment": "the address"}'),
    ),
    Explanation(
        DUPLICATE_KEY,
        "Parsers disagree on which of two equal keys counts: most take the last, some the first, some fail. A contract "
        "must mean the same to all of them.",
        Example(PROPERTY, '{"type": "string", "type": "integer"}', '{"type": "string"}'),
    ),
    Explanation(
        TEXT_NOT_STORABLE,
        "PostgreSQL cannot store a NUL character, and half of a surrogate pair is no Unicode, so no UTF-8 either. "
        "A text that has one could be queued on one database and not on another.",
        Example(PROPERTY, '{"type": "string", "default": "a\\u0000b"}', '{"type": "string", "default": "a b"}'),
    ),
    Explanation(
        NUMBER_OUT_OF_RANGE,
        "Numbers in JSON are read as 64-bit floating point by most languages: what does not fit becomes infinity or "
        "zero there. NaN and Infinity are no JSON at all.",
        Example(PROPERTY, '{"type": "number", "maximum": 1e999}', '{"type": "number", "maximum": 1e300}'),
    ),
    Explanation(
        TOO_LARGE,
        "A spec that is small to write and endless to read would stop everybody who generates, so there are bounds: "
        "for a file, for the schemas of a job with references written out, for enum, and for a pattern with its "
        "counts written out. They are far above what a job needs. The message names the bound.",
        Example(
            PROPERTY, '{"type": "string", "pattern": "^(a{100}){200}$"}', '{"type": "string", "pattern": "^a{2,100}$"}'
        ),
    ),
    Explanation(
        TOO_DEEP,
        "Values nested this deep overflow the stack of some parser on their way. Lists of lists of lists are better "
        "one list of objects, with a property that says where each belongs.",
        Example(
            PROPERTY,
            f'{{"type": "array", "items": true, "default": {"[" * 62}{"]" * 62}}}',
            '{"type": "array", "items": true, "default": [[]]}',
        ),
    ),
    Explanation(
        TOO_MANY_PROBLEMS,
        "Most of so many problems usually have one reason, such as a file of another kind under specs/. Mend the "
        "first ones and run the command again.",
        Example(
            PROPERTY,
            f'{{"type": "object", "additionalProperties": true, "required": [{",".join("1" * 200)}]}}',
            '{"type": "object", "additionalProperties": true, "required": []}',
        ),
    ),
    Explanation(
        NAME_NOT_USABLE,
        "File names, titles and properties become modules, classes and attributes, so they must give Python names, "
        "that hide nothing Python or the generated code needs. A title is like SendEmail, a file like send_email.json; "
        "a property may have any letters, and keeps its own spelling in JSON.",
        Example("/title", '"send email"', '"SendEmail"'),
    ),
    Explanation(
        NAME_TAKEN,
        "Two names become the same one in Python, in a database or on a file system that does not tell capitals from "
        "small letters. One of them would silently win.",
        Example(
            "/properties/params/properties",
            '{"userId": {"type": "string"}, "user_id": {"type": "string"}}',
            '{"userId": {"type": "string"}, "user_name": {"type": "string"}}',
        ),
    ),
    Explanation(
        LISTED_TWICE,
        "The order and the number of these values mean nothing, so one of them twice is a mistake of typing: perhaps "
        "another one was meant.",
        Example(PROPERTY, '{"enum": ["red", "green", "red"]}', '{"enum": ["red", "green", "blue"]}'),
    ),
    Explanation(
        SPEC_FRAME,
        "A spec is the contract of one job: the schema of an object with exactly params and result, both always there. "
        "It is a JSON Schema of its own, so other tools can read it as one.",
        Example("/required", '["params"]', '["params", "result"]'),
    ),
    Explanation(
        UNKNOWN_KEY,
        "A key that nobody reads would have no effect, and a typing mistake would go unseen. Options of the job belong "
        "into x-job.",
        Example(TOP, '"x-jobs": {"queue": "mail"}', '"x-job": {"queue": "mail"}'),
    ),
    Explanation(
        DIALECT_UNKNOWN,
        "The same keyword means different things in different drafts of JSON Schema. Specs are written in draft "
        "2020-12, and $schema may say so, name the spec.schema.json that is generated for editors, or be left out; a "
        "file whose $schema is that of draft 7 is read as draft 7. Others have to be brought to one of these.",
        Example(
            "/$schema",
            '"http://json-schema.org/draft-04/schema#"',
            '"https://json-schema.org/draft/2020-12/schema"',
        ),
    ),
    Explanation(
        PART_NOT_AN_OBJECT,
        "Params and result are objects, so that a property can be added later without breaking what is queued. A "
        "single value becomes an object with one property.",
        Example(
            "/properties/params",
            '{"type": "string"}',
            '{"type": "object", "additionalProperties": false, "properties": {"to": {"type": "string"}}}',
        ),
    ),
)
