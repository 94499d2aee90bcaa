"""Why a change of a spec is refused, or only told, once jobs of it may be queued.

An example is a change: properties of params or of the result before and after (those with `?` are optional), or more of
the spec. Right is what may become of the same beginning instead.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from pydantic import JsonValue

from ..contracts.contract_rules import SUMMARIES, ChangeRule
from ..problems.rule import Rule
from .explanation import Example, Explanation

PARAMS = "in params that change"
RESULT = "in a result that changes"
SPEC = "in a spec that changes"
ACCEPTED = "in specs/contracts.accepted.json"
LOCKED = "in a shell, on a branch where a spec got another property"

Members = dict[str, JsonValue]

_TEXT: Members = {"type": "string"}
_OPEN: Members = {"type": "object", "additionalProperties": True}
_MAP: Members = {"type": "object", "additionalProperties": _TEXT}
_ENTRY: Members = {
    "rule": "ENUM_REMOVED",
    "job": "Case",
    "pointer": "/properties/params/properties/x",
    "change": 'may be "b" no more',
}


def _params(rule: ChangeRule, why: str, before: Members, wrong: Members, right: Members) -> Explanation:
    return _change(rule, why, PARAMS, before, wrong, right)


def _result(rule: ChangeRule, why: str, before: Members, wrong: Members, right: Members) -> Explanation:
    return _change(rule, why, RESULT, before, wrong, right)


def _spec(rule: ChangeRule, why: str, before: Members, wrong: Members, right: Members) -> Explanation:
    return _change(rule, why, SPEC, before, wrong, right)


def _change(rule: ChangeRule, why: str, place: str, before: Members, wrong: Members, right: Members) -> Explanation:
    texts = (json.dumps({"before": before, "after": after}, ensure_ascii=False) for after in (wrong, right))
    return Explanation(Rule(rule.value, SUMMARIES[rule]), why, Example(place, *texts))


def _accepted(rule: ChangeRule, why: str, wrong: Sequence[Members], right: Members) -> Explanation:
    texts = (json.dumps({"accepted": [*entries]}) for entries in (wrong, [right]))
    return Explanation(Rule(rule.value, SUMMARIES[rule]), why, Example(ACCEPTED, *texts))


def _closed(*names: str) -> Members:
    return {"type": "object", "additionalProperties": False, "properties": dict.fromkeys(names, _TEXT)}


def _tagged(*kinds: str) -> Members:
    properties: list[JsonValue] = [{"kind": {"const": kind}} for kind in kinds]
    frame: Members = {"type": "object", "additionalProperties": False, "required": ["kind"]}
    return {"oneOf": [{**frame, "properties": one} for one in properties]}


def _tuple(*items: Members) -> Members:
    return {"type": "array", "prefixItems": [*items], "items": False, "minItems": len(items)}


EXPLANATIONS = (
    _params(
        ChangeRule.PROP_ADDED_OPTIONAL,
        "Readers pass over a property that they do not declare, but not where something else looks at it: in a branch "
        "of a union it may be what tells the branches apart, and an older worker refuses it.",
        {"x": {"anyOf": [_closed("y"), _TEXT]}},
        {
            "x": {
                "anyOf": [
                    {"type": "object", "additionalProperties": False, "properties": {"y": _TEXT, "z": _TEXT}},
                    _TEXT,
                ]
            }
        },
        {"x": {"anyOf": [_TEXT, _closed("y")]}},
    ),
    _params(
        ChangeRule.PROP_ADDED_TO_OPEN,
        "An object that takes any property may hold this one already, as anything: rows that do would be refused.",
        {"x": _OPEN},
        {"x": {**_OPEN, "properties": {"y": _TEXT}}},
        {"x": {**_OPEN, "properties": {"y": True}}},
    ),
    _params(
        ChangeRule.REQUIRED_ADDED,
        "Jobs that are queued do not have the property, and the new handler would not get them.",
        {},
        {"x": _TEXT},
        {"x?": _TEXT},
    ),
    _params(
        ChangeRule.REQUIRED_ADDED_DEFAULT,
        "A default fills in an optional property only: a required one has to be there, whatever its default.",
        {},
        {"x": {**_TEXT, "default": ""}},
        {"x?": {**_TEXT, "default": ""}},
    ),
    _result(
        ChangeRule.REQUIRED_REMOVED,
        "Older readers of a result count on the property. Params are read by older workers only as long as a rollout "
        "takes, so for params this is a warning, unless x-job.compat says otherwise.",
        {"x": _TEXT},
        {"x?": _TEXT},
        {"x": _TEXT, "y?": _TEXT},
    ),
    _spec(
        ChangeRule.PROP_REMOVED_OPTIONAL,
        "What rows hold of it is passed over. The name must not come back with another meaning while such rows are "
        "there, which x-job.reserved makes sure of.",
        {"params": {"x?": _TEXT}},
        {"params": {}},
        {"params": {}, "x-job": {"reserved": ["x"]}},
    ),
    _result(
        ChangeRule.PROP_REMOVED_REQUIRED,
        "Older readers of a result count on the property, and would refuse results without it.",
        {"x": _TEXT},
        {},
        {"x": _TEXT},
    ),
    _params(
        ChangeRule.PROP_RENAMED,
        "To every row, a new name is a new property: the value under the old name is not found. That one was renamed "
        "is guessed where it went and one of the same shape came in one change; a name in x-job.reserved was not.",
        {"x": _TEXT},
        {"y": _TEXT},
        {"x": _TEXT, "y?": _TEXT},
    ),
    _result(
        ChangeRule.NULL_ADDED,
        "Older readers of a result do not expect null.",
        {"x": _TEXT},
        {"x": {"type": ["string", "null"]}},
        {"x": _TEXT, "y?": {"type": ["string", "null"]}},
    ),
    _params(
        ChangeRule.NULL_REMOVED,
        "Jobs that are queued with null would be refused.",
        {"x": {"type": ["string", "null"]}},
        {"x": _TEXT},
        {"x": {"type": ["null", "string"]}},
    ),
    _result(
        ChangeRule.TYPE_WIDENED,
        "Older readers of a result do not expect the new type.",
        {"x": _TEXT},
        {"x": {"type": ["string", "boolean"]}},
        {"x": _TEXT, "y?": {"type": "boolean"}},
    ),
    _params(
        ChangeRule.TYPE_NARROWED,
        "Jobs that are queued with a value of the other type would be refused.",
        {"x": {"type": ["string", "boolean"]}},
        {"x": _TEXT},
        {"x": {"type": ["boolean", "string"]}},
    ),
    _params(
        ChangeRule.TYPE_CHANGED,
        "No value of the old type fits the new one, so that every job that is queued would be refused.",
        {"x": _TEXT},
        {"x": {"type": "integer"}},
        {"x": _TEXT, "y?": {"type": "integer"}},
    ),
    _result(
        ChangeRule.ENUM_ADDED,
        "Older readers of a result do not know the value.",
        {"x": {"enum": ["a"]}},
        {"x": {"enum": ["a", "b"]}},
        {"x": {"enum": ["a"]}, "y?": {"const": "b"}},
    ),
    _params(
        ChangeRule.ENUM_REMOVED,
        "Jobs that are queued with the value would be refused.",
        {"x": {"enum": ["a", "b"]}},
        {"x": {"enum": ["a"]}},
        {"x": {"enum": ["b", "a"]}},
    ),
    _params(
        ChangeRule.CONST_CHANGED,
        "Every job that is queued has the old value.",
        {"x": {"const": "a"}},
        {"x": {"const": "b"}},
        {"x": {"enum": ["a"]}},
    ),
    _params(
        ChangeRule.CONSTRAINT_TIGHTENED,
        "Jobs that are queued may hold values that are no longer allowed.",
        {"x": {**_TEXT, "maxLength": 9}},
        {"x": {**_TEXT, "maxLength": 5}},
        {"x": {**_TEXT, "maxLength": 9, "description": "At most five in new code."}},
    ),
    _result(
        ChangeRule.CONSTRAINT_RELAXED,
        "Older readers of a result refuse values beyond the old bound.",
        {"x": {**_TEXT, "maxLength": 5}},
        {"x": {**_TEXT, "maxLength": 9}},
        {"x": {**_TEXT, "maxLength": 5}, "y?": {**_TEXT, "maxLength": 9}},
    ),
    _params(
        ChangeRule.PATTERN_CHANGED,
        "Which texts fit both patterns cannot be told, so it counts as breaking both ways.",
        {"x": {**_TEXT, "pattern": "^a"}},
        {"x": {**_TEXT, "pattern": "^[ab]"}},
        {"x": {**_TEXT, "pattern": "^a"}, "y?": {**_TEXT, "pattern": "^[ab]"}},
    ),
    _params(
        ChangeRule.FORMAT_CHANGED,
        "Which texts fit both formats cannot be told, so it counts as breaking both ways.",
        {"x": {**_TEXT, "format": "uuid"}},
        {"x": {**_TEXT, "format": "uri"}},
        {"x": {**_TEXT, "format": "uuid"}, "y?": {**_TEXT, "format": "uri"}},
    ),
    _params(
        ChangeRule.EXTRA_CLOSED,
        "What rows hold beside the properties that are named is passed over from now on.",
        {"x": _OPEN},
        {"x": {**_OPEN, "additionalProperties": False}},
        {"x": {**_OPEN, "description": "Anything."}},
    ),
    _params(
        ChangeRule.EXTRA_OPENED,
        "Older workers pass over what new rows hold beside the properties that they know.",
        {"x": {**_OPEN, "additionalProperties": False}},
        {"x": _OPEN},
        {"x": {**_OPEN, "additionalProperties": False, "properties": {"y": _TEXT}}},
    ),
    _result(
        ChangeRule.UNION_ADDED,
        "Older readers of a result do not know the new branch.",
        {"x": _tagged("a", "b")},
        {"x": _tagged("a", "b", "c")},
        {"x": _tagged("b", "a")},
    ),
    _params(
        ChangeRule.UNION_REMOVED,
        "Jobs that are queued with the branch would be refused.",
        {"x": _tagged("a", "b", "c")},
        {"x": _tagged("a", "b")},
        {"x": _tagged("c", "b", "a")},
    ),
    _params(
        ChangeRule.UNION_TAG_CHANGED,
        "The value that tells the branches apart stands in every row.",
        {"x": _tagged("a", "b")},
        {"x": _tagged("a", "c")},
        {"x": _tagged("b", "a")},
    ),
    _params(
        ChangeRule.TUPLE_CHANGED,
        "Rows have the old number of items. An object can grow by optional properties; a list by position cannot.",
        {"x": _tuple(_TEXT, _TEXT)},
        {"x": _tuple(_TEXT, _TEXT, _TEXT)},
        {"x": _tuple(_TEXT, _TEXT), "y?": _TEXT},
    ),
    _params(
        ChangeRule.DEFAULT_REMOVED,
        "The handler meets the absence of the value from now on.",
        {"x?": {**_TEXT, "default": "a"}},
        {"x?": _TEXT},
        {"x?": {**_TEXT, "default": "a", "description": "Seldom given."}},
    ),
    _params(
        ChangeRule.DEFAULT_CHANGED,
        "Python stores params with their defaults, and rows keep those that they were stored with. What insertJob of "
        "the generated TypeScript stores has only what it was given: the handler meets the default of its own day.",
        {"x?": {**_TEXT, "default": "a"}},
        {"x?": {**_TEXT, "default": "b"}},
        {"x?": {**_TEXT, "default": "a"}, "y?": {**_TEXT, "default": "b"}},
    ),
    _params(
        ChangeRule.UNKNOWN_CHANGE,
        "What is not understood is never taken for safe: below not, if and the like, or where branches overlap, a "
        "change may refuse what is queued.",
        {"x": {"type": "array", "items": _TEXT, "contains": {"const": "a"}}},
        {"x": {"type": "array", "items": _TEXT, "contains": {"const": "b"}}},
        {"x": {"type": "array", "items": _TEXT, "contains": {"enum": ["a"]}}},
    ),
    _spec(
        ChangeRule.RESERVED_REUSED,
        "The name was reserved because rows may hold it with another meaning.",
        {"params": {}, "x-job": {"reserved": ["x"]}},
        {"params": {"x?": _TEXT}, "x-job": {"reserved": ["x"]}},
        {"params": {"y?": _TEXT}, "x-job": {"reserved": ["x"]}},
    ),
    _spec(
        ChangeRule.JOB_DELETED,
        "Jobs of it may be queued, and no worker would run them. A retired job keeps its handler until no row is left; "
        "then its spec may go.",
        {},
        {"title": "Other"},
        {"x-job": {"status": "retired"}},
    ),
    _spec(
        ChangeRule.VERSION_NOT_BUMPED,
        "Rows say by which version they were written. With a new one, those of the old are made new by a function that "
        "you write, before they are checked; with the same one, they would be refused.",
        {"params": {}},
        {"params": {"x": _TEXT}},
        {"params": {"x": _TEXT}, "x-job": {"version": 2}},
    ),
    _spec(
        ChangeRule.RESULT_BROKEN,
        "Results are kept and read as they were written: no function brings them to a new version. Whoever knows all "
        "readers can bring the change to them first, and say so in x-job.compat.",
        {"result": {"x": _TEXT}},
        {"result": {"x": {"type": ["string", "null"]}}},
        {"result": {"x": {"type": ["string", "null"]}}, "x-job": {"compat": {"reader": "ignore"}}},
    ),
    _spec(
        ChangeRule.VERSION_LOWERED,
        "Workers of this version would leave rows of the higher one where they are.",
        {"x-job": {"version": 2}},
        {"x-job": {"version": 1}},
        {"x-job": {"version": 3}},
    ),
    Explanation(
        Rule(ChangeRule.CONTRACT_FORGOTTEN.value, SUMMARIES[ChangeRule.CONTRACT_FORGOTTEN]),
        "Rows are guarded by the contract that they were queued with as long as the lock has it. A branch that drops "
        "it with --relock, or makes the lock anew, could break them unseen, so that check --against compares the locks "
        "as well. A version older than all that are left may have gone with --forget, once no row of it was left: "
        "that is a warning. Where nothing was ever queued, accept the finding.",
        Example(LOCKED, "server-jobs generate --relock SendEmail", "server-jobs generate", "sh"),
    ),
    _spec(
        ChangeRule.QUEUE_MOVED,
        "Jobs that are queued stay in the queue that they were put in, and a worker has to serve it until they are "
        "done.",
        {"x-job": {"queue": "old"}},
        {"x-job": {"queue": "new"}},
        {"x-job": {"queue": "old", "priority": 5}},
    ),
    _spec(
        ChangeRule.ATTEMPTS_LOWERED,
        "Jobs that are queued keep the number that they were stored with, and may be tried more often than the spec "
        "says.",
        {"x-job": {"maxAttempts": 5}},
        {"x-job": {"maxAttempts": 3}},
        {"x-job": {"maxAttempts": 8}},
    ),
    _spec(
        ChangeRule.TIMEOUT_LOWERED,
        "Jobs that are queued get the shorter time too, however large they are.",
        {"x-job": {"timeout": "PT60S"}},
        {"x-job": {"timeout": "PT30S"}},
        {"x-job": {"timeout": "PT90S"}},
    ),
    _spec(
        ChangeRule.UNIQUE_PROP_REMOVED,
        "The keys of jobs that are queued were made of the property; new ones would never meet them. With a higher "
        "version, it is only told.",
        {"params": {"x?": _TEXT, "y?": _TEXT}, "x-job": {"unique": {"by": ["/x", "/y"]}}},
        {"params": {"y?": _TEXT}, "x-job": {"unique": {"by": ["/y"]}, "reserved": ["x"]}},
        {"params": {"x?": _TEXT, "y?": _TEXT, "z?": _TEXT}, "x-job": {"unique": {"by": ["/x", "/y"]}}},
    ),
    _spec(
        ChangeRule.UNIQUE_CHANGED,
        "Jobs that are queued keep the keys that they were stored with, and those of new jobs are of other values, "
        "or of the same in another order: no old key equals a new one.",
        {"params": {"x?": _TEXT, "y?": _TEXT}, "x-job": {"unique": {"by": ["/x"]}}},
        {"params": {"x?": _TEXT, "y?": _TEXT}, "x-job": {"unique": {"by": ["/x", "/y"]}}},
        {"params": {"x?": _TEXT, "y?": _TEXT}, "x-job": {"unique": {"by": ["/x"]}, "priority": 5}},
    ),
    _spec(
        ChangeRule.REDACT_REMOVED,
        "The tools hide what redact names, also of rows that are stored already; without it they show those as well. A "
        "property that is removed needs no place in redact any more: what older rows have there stays hidden.",
        {"params": {"x?": _TEXT, "y?": _TEXT}, "x-job": {"redact": ["/x"]}},
        {"params": {"x?": _TEXT, "y?": _TEXT}, "x-job": {}},
        {"params": {"y?": _TEXT}, "x-job": {"reserved": ["x"]}},
    ),
    _accepted(
        ChangeRule.ACCEPTED_EXPIRED,
        "What was accepted for a time was not meant to stay. By then the spec should be mended, or the old rows gone.",
        [{**_ENTRY, "reason": "No row has b.", "expires": "2024-01-31"}],
        {**_ENTRY, "reason": "No row has b.", "expires": "2999-01-31"},
    ),
    _accepted(
        ChangeRule.ACCEPTED_UNUSED,
        "An entry that nothing needs would hide the same finding when it comes back.",
        [{**_ENTRY, "pointer": "", "reason": "No row has b.", "expires": "2999-01-31"}],
        {**_ENTRY, "reason": "No row has b.", "expires": "2999-01-31"},
    ),
    _accepted(
        ChangeRule.ACCEPTED_TWICE,
        "Of two entries for one change the one that holds longer counts. Whoever removes it, or moves its day, would "
        "not expect that another one goes on.",
        [{**_ENTRY, "reason": "No row has b.", "expires": day} for day in ("2998-01-31", "2999-01-31")],
        {**_ENTRY, "reason": "No row has b.", "expires": "2999-01-31"},
    ),
    _accepted(
        ChangeRule.ACCEPTED_MALFORMED,
        "An entry names a rule, a job and the pointer of the finding, repeats what changed there, and says why it is "
        "accepted and until when. Another change at the same place needs another entry.",
        [{**_ENTRY, "expires": "2999-01-31"}],
        {**_ENTRY, "reason": "No row has b.", "expires": "2999-01-31"},
    ),
)
