"""The rules for changes: an id for each, and advice if it breaks something."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class ChangeRule(StrEnum):
    """The kind of change that a finding reports."""

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
    RESULT_ADDED = "RESULT_ADDED"
    RESULT_REMOVED = "RESULT_REMOVED"
    UNKNOWN_CHANGE = "UNKNOWN_CHANGE"
    RESERVED_REUSED = "RESERVED_REUSED"
    JOB_DELETED = "JOB_DELETED"
    VERSION_NOT_BUMPED = "VERSION_NOT_BUMPED"
    RESULT_BROKEN = "RESULT_BROKEN"
    VERSION_LOWERED = "VERSION_LOWERED"
    EARLIER_BROKEN = "EARLIER_BROKEN"
    CONTRACT_FORGOTTEN = "CONTRACT_FORGOTTEN"
    QUEUE_MOVED = "QUEUE_MOVED"
    ATTEMPTS_LOWERED = "ATTEMPTS_LOWERED"
    TIMEOUT_LOWERED = "TIMEOUT_LOWERED"
    UNIQUE_PROP_REMOVED = "UNIQUE_PROP_REMOVED"
    UNIQUE_CHANGED = "UNIQUE_CHANGED"
    SHARD_CHANGED = "SHARD_CHANGED"
    REDACT_REMOVED = "REDACT_REMOVED"
    ACCEPTED_EXPIRED = "ACCEPTED_EXPIRED"
    ACCEPTED_UNUSED = "ACCEPTED_UNUSED"
    ACCEPTED_TWICE = "ACCEPTED_TWICE"
    ACCEPTED_MALFORMED = "ACCEPTED_MALFORMED"


_OPTIONAL_FIRST = "make it optional with a default, and required once no older row is left"
_ADD_ANOTHER = "add a new optional property beside it and deprecate this one"
_KEEP_BOUND = "keep the old bound"
_WORKERS_FIRST = "update every worker before anything enqueues it"
_READERS_FIRST = "bring it to every reader before a worker gives it"
_BOTH = "keep the {}, or add a new optional property beside it: it is unknown which texts fit both"

_GENERAL: Mapping[ChangeRule, str] = {
    ChangeRule.PROP_ADDED_TO_OPEN: "let it take what was allowed there, or accept the finding if no row holds the name",
    ChangeRule.REQUIRED_ADDED: _OPTIONAL_FIRST,
    ChangeRule.REQUIRED_ADDED_DEFAULT: "take it out of required: a default fills in only what is optional",
    ChangeRule.PROP_REMOVED_OPTIONAL: "keep it: no reader ignores it there",
    ChangeRule.PROP_RENAMED: f"{_ADD_ANOTHER}: a new name is a new property to every row",
    ChangeRule.NULL_REMOVED: "keep null among the types",
    ChangeRule.TYPE_NARROWED: "keep the old type among the types",
    ChangeRule.TYPE_CHANGED: _ADD_ANOTHER,
    ChangeRule.ENUM_REMOVED: "keep the value among those that are listed",
    ChangeRule.CONSTRAINT_TIGHTENED: _KEEP_BOUND,
    ChangeRule.PATTERN_CHANGED: _BOTH.format("pattern"),
    ChangeRule.FORMAT_CHANGED: _BOTH.format("format"),
    ChangeRule.EXTRA_CLOSED: "keep additionalProperties: true if the values matter",
    ChangeRule.UNION_REMOVED: "keep the branch until no older row is left",
    ChangeRule.TUPLE_CHANGED: _ADD_ANOTHER,
    ChangeRule.UNKNOWN_CHANGE: f"undo it, or {_ADD_ANOTHER}: the effect of this change is unknown",
    ChangeRule.QUEUE_MOVED: "jobs that are queued stay in the old one: keep a worker on it until it is empty",
    ChangeRule.ATTEMPTS_LOWERED: "jobs that are queued keep the number they were stored with",
    ChangeRule.TIMEOUT_LOWERED: "the next attempt of a queued job has the shorter time too",
    ChangeRule.UNIQUE_PROP_REMOVED: (
        "keep the property: the keys of queued jobs were made of it; "
        "or raise version in x-job, if new jobs need not exclude those"
    ),
    ChangeRule.UNIQUE_CHANGED: "jobs that are queued keep their keys: they and new ones do not exclude each other",
    ChangeRule.SHARD_CHANGED: (
        "stored jobs stay in their databases: unique keys and limits exclude new jobs only in the same database"
    ),
    ChangeRule.REDACT_REMOVED: "stored rows may have a secret there: keep it in redact while there are any",
    ChangeRule.VERSION_LOWERED: "rows of the higher version may be queued; raise it instead",
    ChangeRule.RESERVED_REUSED: "choose another name, or take it out of x-job.reserved if no row ever held it",
}
_MORE_IS_GIVEN = (
    *(ChangeRule.PROP_ADDED_OPTIONAL, ChangeRule.NULL_ADDED, ChangeRule.TYPE_WIDENED, ChangeRule.ENUM_ADDED),
    *(ChangeRule.CONSTRAINT_RELAXED, ChangeRule.EXTRA_OPENED, ChangeRule.UNION_ADDED),
)

PARAMS_ADVICE: Mapping[ChangeRule, str] = {
    **_GENERAL,
    **dict.fromkeys(_MORE_IS_GIVEN, _WORKERS_FIRST),
    ChangeRule.REQUIRED_REMOVED: "keep it required until no older worker is left",
    ChangeRule.PROP_REMOVED_REQUIRED: "keep it until no older worker is left",
    ChangeRule.ENUM_REMOVED: "keep the value, and refuse it in the code that enqueues",
    ChangeRule.CONST_CHANGED: "use an enum with both values",
    ChangeRule.UNION_TAG_CHANGED: "add a branch beside the old one",
    ChangeRule.DEFAULT_CHANGED: "jobs that insertJob of jobs.ts stored without the value get the new one",
    ChangeRule.DEFAULT_REMOVED: "the handler now meets the absence of the value",
}
"""Advice about a breaking change of params or options."""

RESULT_ADVICE: Mapping[ChangeRule, str] = {
    **_GENERAL,
    **dict.fromkeys(_MORE_IS_GIVEN, _READERS_FIRST),
    ChangeRule.REQUIRED_REMOVED: "keep it required until no older reader is left",
    ChangeRule.PROP_REMOVED_REQUIRED: "keep it until no older reader is left",
    ChangeRule.CONST_CHANGED: _ADD_ANOTHER,
    ChangeRule.UNION_TAG_CHANGED: "keep what tells the branches apart",
    ChangeRule.DEFAULT_REMOVED: "readers now meet the absence of the value",
    ChangeRule.RESULT_ADDED: "wait until nothing reads a job that completed without one, or add a job beside it",
    ChangeRule.RESULT_REMOVED: "keep it until no older reader is left",
}
"""Advice about a breaking change of the result. Added values would break older readers."""

RESERVE = "add its name to x-job.reserved: it must not come back with another meaning"
RESERVE_UNRELATED = "if the two have nothing to do with each other, name the old one in x-job.reserved"
NOT_RESERVABLE = "other properties of this spec have its name: do not give it back to this one with another meaning"

NEVER_REPORTED = frozenset({ChangeRule.REF_RENAMED})
"""Rules of changes that are safe in every direction."""

NEVER_ACCEPTED = frozenset(
    {
        *(ChangeRule.VERSION_NOT_BUMPED, ChangeRule.RESULT_BROKEN),
        *(ChangeRule.ACCEPTED_EXPIRED, ChangeRule.ACCEPTED_UNUSED, ChangeRule.ACCEPTED_TWICE),
        ChangeRule.ACCEPTED_MALFORMED,
    }
)
"""Rules of findings about other findings or about entries that accept them."""
