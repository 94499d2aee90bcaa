"""The rules of a change: an id for each, and what to do where it breaks something."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class ChangeRule(StrEnum):
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
    REF_RENAMED = "REF_RENAMED"
    UNKNOWN_CHANGE = "UNKNOWN_CHANGE"
    RESERVED_REUSED = "RESERVED_REUSED"
    JOB_DELETED = "JOB_DELETED"
    VERSION_NOT_BUMPED = "VERSION_NOT_BUMPED"
    VERSION_LOWERED = "VERSION_LOWERED"
    CONTRACT_FORGOTTEN = "CONTRACT_FORGOTTEN"
    QUEUE_MOVED = "QUEUE_MOVED"
    ATTEMPTS_LOWERED = "ATTEMPTS_LOWERED"
    TIMEOUT_LOWERED = "TIMEOUT_LOWERED"
    UNIQUE_PROP_REMOVED = "UNIQUE_PROP_REMOVED"
    UNIQUE_CHANGED = "UNIQUE_CHANGED"
    ACCEPTED_EXPIRED = "ACCEPTED_EXPIRED"
    ACCEPTED_UNUSED = "ACCEPTED_UNUSED"
    ACCEPTED_MALFORMED = "ACCEPTED_MALFORMED"


_OPTIONAL_FIRST = "make it optional with a default, and required once no older row is left"
_ADD_BESIDE = "add a new optional property beside it and deprecate this one"
_RELAX = "keep the old bound"
_READERS_FIRST = "let every reader take it before a writer gives it"

ADVICE: Mapping[ChangeRule, str] = {
    ChangeRule.PROP_ADDED_TO_OPEN: "choose a name that no row holds yet, or let it take what was allowed there",
    ChangeRule.REQUIRED_ADDED: _OPTIONAL_FIRST,
    ChangeRule.REQUIRED_ADDED_DEFAULT: "take it out of required: a default fills in only what is optional",
    ChangeRule.REQUIRED_REMOVED: "keep it required until no older reader is left",
    ChangeRule.PROP_REMOVED_OPTIONAL: "add its name to x-job.reserved: it must not come back with another meaning",
    ChangeRule.PROP_REMOVED_REQUIRED: "make it optional first, and remove it once no older reader is left",
    ChangeRule.PROP_RENAMED: (
        f"{_ADD_BESIDE}: a new name is a new property to every row; "
        "if the two have nothing to do with each other, name the old one in x-job.reserved"
    ),
    ChangeRule.NULL_ADDED: _READERS_FIRST,
    ChangeRule.NULL_REMOVED: "keep null among the types",
    ChangeRule.TYPE_WIDENED: _READERS_FIRST,
    ChangeRule.TYPE_NARROWED: "keep the old type among the types",
    ChangeRule.TYPE_CHANGED: _ADD_BESIDE,
    ChangeRule.ENUM_ADDED: _READERS_FIRST,
    ChangeRule.ENUM_REMOVED: "keep the value, and refuse it in the code that enqueues",
    ChangeRule.CONST_CHANGED: "use an enum with both values",
    ChangeRule.CONSTRAINT_TIGHTENED: _RELAX,
    ChangeRule.CONSTRAINT_RELAXED: _READERS_FIRST,
    ChangeRule.PATTERN_CHANGED: "nobody can tell which texts fit both; keep the pattern, or add a property beside it",
    ChangeRule.FORMAT_CHANGED: "nobody can tell which texts fit both; keep the format, or add a property beside it",
    ChangeRule.EXTRA_CLOSED: "keep additionalProperties: true if the values matter",
    ChangeRule.EXTRA_OPENED: _READERS_FIRST,
    ChangeRule.UNION_ADDED: _READERS_FIRST,
    ChangeRule.UNION_REMOVED: "keep the branch until no older row is left",
    ChangeRule.UNION_TAG_CHANGED: "add a branch beside the old one",
    ChangeRule.TUPLE_CHANGED: "use an object, whose optional properties can be added",
    ChangeRule.DEFAULT_CHANGED: "rows that exist keep the value they were stored with",
    ChangeRule.DEFAULT_REMOVED: "the handler now meets the absence of the value",
    ChangeRule.UNKNOWN_CHANGE: "it cannot be told what this change refuses; undo it, or add a property beside it",
    ChangeRule.QUEUE_MOVED: "jobs that are queued stay in the old one: keep a worker on it until it is empty",
    ChangeRule.ATTEMPTS_LOWERED: "jobs that are queued keep the number they were stored with",
    ChangeRule.TIMEOUT_LOWERED: "the next attempt of a queued job has the shorter time too",
    ChangeRule.UNIQUE_PROP_REMOVED: (
        "keep the property: the keys of queued jobs were made of it; "
        "or raise version in x-job, if new jobs need not exclude those"
    ),
    ChangeRule.UNIQUE_CHANGED: "jobs that are queued keep their keys: they and new ones do not exclude each other",
    ChangeRule.VERSION_LOWERED: "rows of the higher version may be queued; raise it instead",
    ChangeRule.RESERVED_REUSED: "choose another name, or take it out of x-job.reserved if no row ever held it",
}
"""What to do about a change where it breaks something."""

SUMMARIES: Mapping[ChangeRule, str] = {
    ChangeRule.PROP_ADDED_OPTIONAL: "an optional property was added where older readers refuse it",
    ChangeRule.PROP_ADDED_TO_OPEN: "a property was added to an object that could hold it already",
    ChangeRule.REQUIRED_ADDED: "a property is required now",
    ChangeRule.REQUIRED_ADDED_DEFAULT: "a required property was added, with a default that does not help",
    ChangeRule.REQUIRED_REMOVED: "a property is required no more",
    ChangeRule.PROP_REMOVED_OPTIONAL: "an optional property was removed, and its name is not reserved",
    ChangeRule.PROP_REMOVED_REQUIRED: "a required property was removed",
    ChangeRule.PROP_RENAMED: "a property has another name",
    ChangeRule.NULL_ADDED: "a value may be null now",
    ChangeRule.NULL_REMOVED: "a value may be null no more",
    ChangeRule.TYPE_WIDENED: "a value may have another type as well",
    ChangeRule.TYPE_NARROWED: "a value may have one type less",
    ChangeRule.TYPE_CHANGED: "a value has another type",
    ChangeRule.ENUM_ADDED: "a value was added to those that are listed",
    ChangeRule.ENUM_REMOVED: "a value was removed from those that are listed",
    ChangeRule.CONST_CHANGED: "the only value allowed is another one",
    ChangeRule.CONSTRAINT_TIGHTENED: "less is allowed than before",
    ChangeRule.CONSTRAINT_RELAXED: "more is allowed than before",
    ChangeRule.PATTERN_CHANGED: "texts have to match another pattern",
    ChangeRule.FORMAT_CHANGED: "texts have another format",
    ChangeRule.EXTRA_CLOSED: "an object takes no other properties any more",
    ChangeRule.EXTRA_OPENED: "an object takes other properties now",
    ChangeRule.UNION_ADDED: "a union has one more branch",
    ChangeRule.UNION_REMOVED: "a union has one branch less",
    ChangeRule.UNION_TAG_CHANGED: "the branches of a union are told apart by something else",
    ChangeRule.TUPLE_CHANGED: "a list has another number of items by position",
    ChangeRule.DEFAULT_CHANGED: "a default has another value",
    ChangeRule.DEFAULT_REMOVED: "a default is gone",
    ChangeRule.REF_RENAMED: "a definition has another name",
    ChangeRule.UNKNOWN_CHANGE: "something changed whose effect cannot be told",
    ChangeRule.RESERVED_REUSED: "a reserved name is used again",
    ChangeRule.JOB_DELETED: "the spec of a job is gone while jobs of it may be queued",
    ChangeRule.VERSION_NOT_BUMPED: "params broke, and the version is the same",
    ChangeRule.VERSION_LOWERED: "the version is lower than one that was released",
    ChangeRule.CONTRACT_FORGOTTEN: "the lock has lost what was released of a job",
    ChangeRule.QUEUE_MOVED: "a job has another queue",
    ChangeRule.ATTEMPTS_LOWERED: "a job is tried less often",
    ChangeRule.TIMEOUT_LOWERED: "an attempt has less time",
    ChangeRule.UNIQUE_PROP_REMOVED: "a property is gone that made jobs unique",
    ChangeRule.UNIQUE_CHANGED: "jobs are unique by other values",
    ChangeRule.ACCEPTED_EXPIRED: "an accepted finding has expired",
    ChangeRule.ACCEPTED_UNUSED: "an accepted finding is not there any more",
    ChangeRule.ACCEPTED_MALFORMED: "an entry of the accepted findings cannot be read",
}
"""What each rule is about, in one line."""

NEVER_TOLD = frozenset({ChangeRule.DEFAULT_CHANGED, ChangeRule.REF_RENAMED})
"""Rules of changes that are safe in every direction."""

NEVER_ACCEPTED = frozenset(
    {
        ChangeRule.VERSION_NOT_BUMPED,
        *(ChangeRule.ACCEPTED_EXPIRED, ChangeRule.ACCEPTED_UNUSED, ChangeRule.ACCEPTED_MALFORMED),
    }
)
"""Rules of findings about other findings, or about entries that accept them."""
