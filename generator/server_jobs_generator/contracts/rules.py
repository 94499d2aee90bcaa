"""The rules of a change: an id for each, and what to do where it breaks something."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Rule(StrEnum):
    """What kind of change a finding is about."""

    PROP_ADDED_OPTIONAL = "PROP_ADDED_OPTIONAL"
    PROP_ADDED_TO_OPEN = "PROP_ADDED_TO_OPEN"
    REQUIRED_ADDED = "REQUIRED_ADDED"
    REQUIRED_ADDED_DEFAULT = "REQUIRED_ADDED_DEFAULT"
    REQUIRED_REMOVED = "REQUIRED_REMOVED"
    PROP_REMOVED_OPTIONAL = "PROP_REMOVED_OPTIONAL"
    PROP_REMOVED_REQUIRED = "PROP_REMOVED_REQUIRED"
    PROP_RENAMED = "PROP_RENAMED"
    NULL_ADDED = "NULL_ADDED"
    NULL_REMOVED = "NULL_REMOVED"
    TYPE_WIDENED = "TYPE_WIDENED"
    TYPE_NARROWED = "TYPE_NARROWED"
    TYPE_CHANGED = "TYPE_CHANGED"
    ENUM_ADDED = "ENUM_ADDED"
    ENUM_REMOVED = "ENUM_REMOVED"
    CONST_CHANGED = "CONST_CHANGED"
    CONSTRAINT_TIGHTENED = "CONSTRAINT_TIGHTENED"
    CONSTRAINT_RELAXED = "CONSTRAINT_RELAXED"
    PATTERN_CHANGED = "PATTERN_CHANGED"
    FORMAT_CHANGED = "FORMAT_CHANGED"
    EXTRA_CLOSED = "EXTRA_CLOSED"
    EXTRA_OPENED = "EXTRA_OPENED"
    UNION_ADDED = "UNION_ADDED"
    UNION_REMOVED = "UNION_REMOVED"
    UNION_TAG_CHANGED = "UNION_TAG_CHANGED"
    TUPLE_CHANGED = "TUPLE_CHANGED"
    DEFAULT_CHANGED = "DEFAULT_CHANGED"
    DEFAULT_REMOVED = "DEFAULT_REMOVED"
    DOC_CHANGED = "DOC_CHANGED"
    REF_RENAMED = "REF_RENAMED"
    UNKNOWN_CHANGE = "UNKNOWN_CHANGE"
    RESERVED_REUSED = "RESERVED_REUSED"
    JOB_DELETED = "JOB_DELETED"
    VERSION_NOT_BUMPED = "VERSION_NOT_BUMPED"
    VERSION_LOWERED = "VERSION_LOWERED"
    QUEUE_MOVED = "QUEUE_MOVED"
    ATTEMPTS_LOWERED = "ATTEMPTS_LOWERED"
    TIMEOUT_LOWERED = "TIMEOUT_LOWERED"
    UNIQUE_PROP_REMOVED = "UNIQUE_PROP_REMOVED"
    ACCEPTED_EXPIRED = "ACCEPTED_EXPIRED"
    ACCEPTED_UNUSED = "ACCEPTED_UNUSED"
    ACCEPTED_MALFORMED = "ACCEPTED_MALFORMED"


_OPTIONAL_FIRST = "make it optional with a default, and required once no older row is left"
_ADD_BESIDE = "add a new property beside it and deprecate this one"
_RELAX = "keep the old bound"
_READERS_FIRST = "let every reader take it before a writer gives it"

ADVICE: Mapping[Rule, str] = {
    Rule.PROP_ADDED_TO_OPEN: "choose a name that rows cannot hold yet, or let the property take what was allowed there",
    Rule.REQUIRED_ADDED: _OPTIONAL_FIRST,
    Rule.REQUIRED_ADDED_DEFAULT: "take it out of required: a default fills in only what is optional",
    Rule.REQUIRED_REMOVED: "keep it required until no older reader is left",
    Rule.PROP_REMOVED_OPTIONAL: "add its name to x-job.reserved, so that it never comes back with another meaning",
    Rule.PROP_REMOVED_REQUIRED: "make it optional first, and remove it once no older reader is left",
    Rule.PROP_RENAMED: f"{_ADD_BESIDE}; a new name is a new property to every row",
    Rule.NULL_ADDED: _READERS_FIRST,
    Rule.NULL_REMOVED: "keep null among the types",
    Rule.TYPE_WIDENED: _READERS_FIRST,
    Rule.TYPE_NARROWED: "keep the old type among the types",
    Rule.TYPE_CHANGED: _ADD_BESIDE,
    Rule.ENUM_ADDED: _READERS_FIRST,
    Rule.ENUM_REMOVED: "keep the value, and refuse it in the code that enqueues",
    Rule.CONST_CHANGED: "use an enum with both values",
    Rule.CONSTRAINT_TIGHTENED: _RELAX,
    Rule.CONSTRAINT_RELAXED: _READERS_FIRST,
    Rule.PATTERN_CHANGED: "nobody can tell which texts fit both; keep the pattern, or add a property beside it",
    Rule.FORMAT_CHANGED: "nobody can tell which texts fit both; keep the format, or add a property beside it",
    Rule.EXTRA_CLOSED: "keep additionalProperties: true if the values matter",
    Rule.EXTRA_OPENED: _READERS_FIRST,
    Rule.UNION_ADDED: _READERS_FIRST,
    Rule.UNION_REMOVED: "keep the branch until no older row is left",
    Rule.UNION_TAG_CHANGED: "add a branch beside the old one",
    Rule.TUPLE_CHANGED: "use an object, whose optional properties can be added",
    Rule.DEFAULT_CHANGED: "rows that exist keep the value they were stored with",
    Rule.DEFAULT_REMOVED: "the handler now meets the absence of the value",
    Rule.UNKNOWN_CHANGE: "it cannot be told what this change refuses; undo it, or add a property beside it",
    Rule.RESERVED_REUSED: "choose another name, or take it out of x-job.reserved if no row ever held it",
}
"""What to do about a change where it breaks something."""
