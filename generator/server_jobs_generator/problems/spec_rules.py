"""The rules that a file under `specs/` can break. `rule_book` collects them with those of the other modules."""

from __future__ import annotations

from .rule import Rule

# A file as a whole.
FILE_UNREADABLE = Rule("FILE_UNREADABLE", "a file under specs/ cannot be read")
FILE_MISPLACED = Rule("FILE_MISPLACED", "something lies under specs/ that does not belong there")
LINK_OUTSIDE = Rule("LINK_OUTSIDE", "a link leads out of specs/")
NOT_UTF8 = Rule("NOT_UTF8", "a file is not UTF-8 without a byte order mark")
JSON_SYNTAX = Rule("JSON_SYNTAX", "a file is not JSON")
COMMENT = Rule("COMMENT", "a comment stands in a JSON file")
DUPLICATE_KEY = Rule("DUPLICATE_KEY", "an object has one key twice")
TEXT_NOT_STORABLE = Rule("TEXT_NOT_STORABLE", "a text has a character that cannot be stored")
NUMBER_OUT_OF_RANGE = Rule("NUMBER_OUT_OF_RANGE", "a number is none, or too large for a double")
TOO_LARGE = Rule("TOO_LARGE", "there is more of something than one spec may have")
TOO_DEEP = Rule("TOO_DEEP", "values or schemas are nested too deep")
TOO_MANY_PROBLEMS = Rule("TOO_MANY_PROBLEMS", "a file has so many problems that the rest is not shown")

# Names.
NAME_NOT_USABLE = Rule("NAME_NOT_USABLE", "a file, a title or a property gives no name for Python")
NAME_TAKEN = Rule("NAME_TAKEN", "two things would have one name")
LISTED_TWICE = Rule("LISTED_TWICE", "a list of different values has one twice")

# The frame of a spec.
SPEC_FRAME = Rule("SPEC_FRAME", "a spec is not an object with params and result")
UNKNOWN_KEY = Rule("UNKNOWN_KEY", "a key is not known at the top of a spec")
DIALECT_UNKNOWN = Rule("DIALECT_UNKNOWN", "$schema names another dialect of JSON Schema")
PART_NOT_AN_OBJECT = Rule("PART_NOT_AN_OBJECT", "params or result is not an object")

# Schemas.
NOT_A_SCHEMA = Rule("NOT_A_SCHEMA", "something else stands where a schema belongs")
TYPE_MISSING = Rule("TYPE_MISSING", "a schema does not state its type")
UNKNOWN_TYPE = Rule("UNKNOWN_TYPE", "a type is not known to JSON Schema")
UNKNOWN_KEYWORD = Rule("UNKNOWN_KEYWORD", "a keyword is not known to JSON Schema")
VENDOR_KEYWORD = Rule("VENDOR_KEYWORD", "a keyword of a vendor (x-…) would have no effect")
KEYWORD_REFUSED = Rule("KEYWORD_REFUSED", "a keyword of JSON Schema would not be enforced")
KEYWORD_MISPLACED = Rule("KEYWORD_MISPLACED", "a keyword has no effect where it stands")
KEYWORD_VALUE = Rule("KEYWORD_VALUE", "a keyword has a value that it cannot have")
ALLOWS_NOTHING = Rule("ALLOWS_NOTHING", "no value at all could fit a schema")
EXTRA_NOT_STATED = Rule("EXTRA_NOT_STATED", "an object does not say whether it may have further properties")
REQUIRED_UNKNOWN = Rule("REQUIRED_UNKNOWN", "a required property is not described")
ITEMS_MISSING = Rule("ITEMS_MISSING", "an array does not say what its items are")
UNKNOWN_FORMAT = Rule("UNKNOWN_FORMAT", "a format is not one that is enforced")
PATTERN_REFUSED = Rule("PATTERN_REFUSED", "a regular expression cannot be enforced")
DEFAULT_MISPLACED = Rule("DEFAULT_MISPLACED", "a default stands elsewhere than at a property")
DEFAULT_DOES_NOT_FIT = Rule("DEFAULT_DOES_NOT_FIT", "a default does not fit its own schema")
EXAMPLE_DOES_NOT_FIT = Rule("EXAMPLE_DOES_NOT_FIT", "an example does not fit its own schema")
VALUE_DOES_NOT_FIT = Rule("VALUE_DOES_NOT_FIT", "a value in enum or const is refused by what stands beside it")

# References.
REFERENCE_OUTSIDE = Rule("REFERENCE_OUTSIDE", "a $ref leads out of specs/")
REFERENCE_UNRESOLVED = Rule("REFERENCE_UNRESOLVED", "a $ref leads nowhere")
REFERENCE_ENDLESS = Rule("REFERENCE_ENDLESS", "references lead round in a circle")
VALUE_ENDLESS = Rule("VALUE_ENDLESS", "a value that fits would have no end")

# The keyword x-job.
OPTION_UNKNOWN = Rule("OPTION_UNKNOWN", "a key of x-job is not known")
OPTION_VALUE = Rule("OPTION_VALUE", "an option of x-job has a value that it cannot have")
OPTION_MISSING = Rule("OPTION_MISSING", "an option of x-job needs another beside or inside it")
OPTION_WITHOUT_EFFECT = Rule("OPTION_WITHOUT_EFFECT", "an option of x-job does nothing beside the others")
DURATION_INVALID = Rule("DURATION_INVALID", "a duration is not one of ISO 8601 with a fixed length")
CRON_INVALID = Rule("CRON_INVALID", "a cron expression cannot be read, or never fires")
TIMEZONE_UNKNOWN = Rule("TIMEZONE_UNKNOWN", "a time zone is not in the IANA database")
POINTER_UNRESOLVED = Rule("POINTER_UNRESOLVED", "a JSON pointer leads to nothing in params")
SCHEDULE_PARAMS_DO_NOT_FIT = Rule("SCHEDULE_PARAMS_DO_NOT_FIT", "params of a schedule do not fit the schema")
