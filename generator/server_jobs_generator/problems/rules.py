"""The rules that a spec or a generated file can break. The page of a rule, `rules/<id>.md`, explains it.

The states of a file, in `plan`, are rules too.
"""

from __future__ import annotations

from dataclasses import dataclass

from .verdict import Verdict


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of mistake. `id` never changes, because users write it into files.

    With the verdict `WARN`, the spec is accepted, and each run repeats the warning.
    """

    id: str
    verdict: Verdict = Verdict.FAIL


Mistake = tuple[Rule, str]
"""A broken rule, and the message."""


# A file as a whole.
FILE_UNREADABLE = Rule("FILE_UNREADABLE")
FILE_MISPLACED = Rule("FILE_MISPLACED")
LINK_OUTSIDE = Rule("LINK_OUTSIDE")
NOT_UTF8 = Rule("NOT_UTF8")
JSON_SYNTAX = Rule("JSON_SYNTAX")
YAML_SYNTAX = Rule("YAML_SYNTAX")
COMMENT = Rule("COMMENT")
DUPLICATE_KEY = Rule("DUPLICATE_KEY")
TEXT_NOT_STORABLE = Rule("TEXT_NOT_STORABLE")
NUMBER_OUT_OF_RANGE = Rule("NUMBER_OUT_OF_RANGE")
TOO_LARGE = Rule("TOO_LARGE")
TOO_DEEP = Rule("TOO_DEEP")
TOO_MANY_PROBLEMS = Rule("TOO_MANY_PROBLEMS")

# Names.
NAME_NOT_USABLE = Rule("NAME_NOT_USABLE")
NAME_TAKEN = Rule("NAME_TAKEN")
LISTED_TWICE = Rule("LISTED_TWICE")

# The frame of a spec.
SPEC_FRAME = Rule("SPEC_FRAME")
UNKNOWN_KEY = Rule("UNKNOWN_KEY")
DIALECT_UNKNOWN = Rule("DIALECT_UNKNOWN")
PART_NOT_AN_OBJECT = Rule("PART_NOT_AN_OBJECT")

# Schemas.
NOT_A_SCHEMA = Rule("NOT_A_SCHEMA")
TYPE_MISSING = Rule("TYPE_MISSING", Verdict.WARN)
UNKNOWN_TYPE = Rule("UNKNOWN_TYPE")
UNKNOWN_KEYWORD = Rule("UNKNOWN_KEYWORD")
KEYWORD_REFUSED = Rule("KEYWORD_REFUSED")
KEYWORD_IGNORED = Rule("KEYWORD_IGNORED", Verdict.WARN)
KEYWORD_VALUE = Rule("KEYWORD_VALUE")
ALLOWS_NOTHING = Rule("ALLOWS_NOTHING")
EXTRA_NOT_STATED = Rule("EXTRA_NOT_STATED", Verdict.WARN)
REQUIRED_UNKNOWN = Rule("REQUIRED_UNKNOWN", Verdict.WARN)
ITEMS_MISSING = Rule("ITEMS_MISSING", Verdict.WARN)
UNKNOWN_FORMAT = Rule("UNKNOWN_FORMAT", Verdict.WARN)
PATTERN_REFUSED = Rule("PATTERN_REFUSED")
DEFAULT_DOES_NOT_FIT = Rule("DEFAULT_DOES_NOT_FIT", Verdict.WARN)
EXAMPLE_DOES_NOT_FIT = Rule("EXAMPLE_DOES_NOT_FIT", Verdict.WARN)
VALUE_DOES_NOT_FIT = Rule("VALUE_DOES_NOT_FIT", Verdict.WARN)

# References.
REFERENCE_OUTSIDE = Rule("REFERENCE_OUTSIDE")
REFERENCE_UNRESOLVED = Rule("REFERENCE_UNRESOLVED")
REFERENCE_ENDLESS = Rule("REFERENCE_ENDLESS")
VALUE_ENDLESS = Rule("VALUE_ENDLESS")

# The keyword x-job.
OPTION_UNKNOWN = Rule("OPTION_UNKNOWN")
OPTION_VALUE = Rule("OPTION_VALUE")
OPTION_MISSING = Rule("OPTION_MISSING")
OPTION_WITHOUT_EFFECT = Rule("OPTION_WITHOUT_EFFECT")
DURATION_INVALID = Rule("DURATION_INVALID")
CRON_INVALID = Rule("CRON_INVALID")
TIMEZONE_UNKNOWN = Rule("TIMEZONE_UNKNOWN")
POINTER_UNRESOLVED = Rule("POINTER_UNRESOLVED")
SCHEDULE_PARAMS_DO_NOT_FIT = Rule("SCHEDULE_PARAMS_DO_NOT_FIT")

# Generated files that need a manual step.
HANDLER_NOT_MOVED = Rule("HANDLER_NOT_MOVED")
MERGE_CONFLICT = Rule("MERGE_CONFLICT")
