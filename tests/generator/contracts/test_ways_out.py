"""Remedies for breaking changes: after following one, no finding stops generation."""

from __future__ import annotations

import json
import re

import pytest
from server_jobs_generator.contracts.finding import ContractFinding, Direction
from server_jobs_generator.contracts.job_history import relock

from tests.generator.contracts.history import ACCEPTED, TEXT, WHOLE, History, both, kinds, needing, stopping
from tests.generator.contracts.test_compare import TABLE
from tests.generator.spec_projects import Schema, a_spec, a_spec_without_result, an_object

# Some schemas of the table are invalid in specs. Other tests cover their comparison.
IN_NO_SPEC = {
    "a keyword nobody knows",
    "close an object that requires what it does not declare",
    "rename a definition",
}
IN_SPECS = {name: row for name, row in TABLE.items() if name not in IN_NO_SPEC}


def accepting(found: list[ContractFinding]) -> dict[str, object]:
    """Return the file that accepts every finding that stops, as printed, with a reason and a day."""
    entries = [json.loads(one.entry) for one in found if one.stops and one.entry]
    return {ACCEPTED: {"accepted": [{**entry, "reason": "Seen.", "expires": "2030-01-01"} for entry in entries]}}


@pytest.mark.parametrize("name", IN_SPECS)
def test_every_way_out_of_broken_params_leads_out(history: History, name: str) -> None:
    old, new, *_ = IN_SPECS[name]
    strict: Schema = {"compat": {"rollout": "error"}}
    history.release(old)
    found = history.now(new, x_job=strict)
    assert ("VERSION_NOT_BUMPED" in stopping(found)) == bool(stopping(found))
    for one in found:
        if one.rule == "VERSION_NOT_BUMPED":
            assert 'write "version": 2 in x-job' in one.advice
    assert stopping(history.now(new, x_job={**strict, "version": 2})) == set()
    assert stopping(history.now(new, x_job=strict, files=accepting(found))) == set()
    history.lock = relock(history.lock, [("Case", None)])
    assert history.now(new, x_job=strict) == []


@pytest.mark.parametrize("name", IN_SPECS)
def test_every_way_out_of_a_broken_result_leads_out(history: History, name: str) -> None:
    old, new, *_ = IN_SPECS[name]
    history.release(an_object(), old)
    found = history.now(an_object(), new)
    assert ("RESULT_BROKEN" in stopping(found)) == bool(stopping(found))
    for one in found:
        if one.rule == "RESULT_BROKEN":
            compat = re.search(r'write ("compat": \{.*?\}) in x-job', one.advice)
            assert compat is not None
            assert stopping(history.now(an_object(), new, x_job=json.loads(f"{{{compat[1]}}}"))) == set()
    assert stopping(history.now(an_object(), new, files=accepting(found))) == set()
    history.lock = relock(history.lock, [("Case", None)])
    assert history.now(an_object(), new) == []


def test_only_contracts_that_broke_the_result_and_newer_ones_leave_the_lock(history: History) -> None:
    history.release(needing(x=TEXT), needing(x=TEXT))
    history.release(needing(y=TEXT), needing(x=TEXT), x_job={"version": 2})
    history.release(needing(y=TEXT), some("x", x=TEXT, y=TEXT), x_job={"version": 3})
    found = history.now(needing(y=TEXT), some("x", x=TEXT, y=WHOLE), x_job={"version": 3})
    (way_out,) = (one.advice for one in found if one.rule == "RESULT_BROKEN")
    assert "if none of version 3 was ever queued, run server-jobs generate --relock Case:3;" in way_out
    found = history.now(needing(y=TEXT), some("x", x=WHOLE, y=TEXT), x_job={"version": 3})
    (way_out,) = (one.advice for one in found if one.rule == "RESULT_BROKEN")
    assert "--relock Case:1 --relock Case:2 --relock Case:3;" in way_out


@pytest.mark.parametrize("order", [1, -1])
def test_a_result_that_comes_or_goes_has_ways_out(history: History, order: int) -> None:
    old, new = [a_spec_without_result(title="Case"), a_spec(title="Case")][::order]
    history.found({"case.json": old})
    history.lock = history.released
    found = history.found({"case.json": new})
    assert stopping(found) == {"RESULT_ADDED" if order == 1 else "RESULT_REMOVED", "RESULT_BROKEN"}
    assert stopping(history.found({"case.json": new, **accepting(found)})) == set()
    compat = {"store": "ignore"} if order == 1 else {"reader": "ignore"}
    assert stopping(history.found({"case.json": {**new, "x-job": {"compat": compat}}})) == set()


def either(*properties: str) -> Schema:
    """Return a union with such a branch, in which readers do not ignore other properties."""
    return {"anyOf": [an_object(**dict.fromkeys(properties, TEXT)), WHOLE]}


def some(*required: str, **properties: object) -> Schema:
    """Return an object that requires some of these properties."""
    return {**an_object(**properties), "required": [*required]}


A, B, A_OR_B, NULLABLE = {"const": "a"}, {"const": "b"}, {"enum": ["a", "b"]}, {"type": ["string", "null"]}
TWO, ONE = an_object(x=either("a", "b")), an_object(x=either("a"))
BESIDE = "add a new optional property"
# The old schema, the new one, a broken rule, words of the advice, and the schema after following it.
FOLLOWED: list[tuple[Schema, Schema, str, str, Schema]] = [
    (needing(x=TEXT), an_object(x=TEXT), "REQUIRED_REMOVED", "keep it required", needing(x=TEXT)),
    (needing(x=TEXT), an_object(), "PROP_REMOVED_REQUIRED", "keep it until", needing(x=TEXT)),
    (TWO, ONE, "PROP_REMOVED_OPTIONAL", "keep it", TWO),
    (an_object(), needing(x=TEXT), "REQUIRED_ADDED", "make it optional", an_object(x=TEXT)),
    (needing(x=A), needing(x=B), "CONST_CHANGED", BESIDE, some("x", x=A, y=TEXT)),
    (needing(x=A_OR_B), needing(x=A), "ENUM_REMOVED", "keep the value", needing(x=A_OR_B)),
    (needing(x=TEXT), needing(y=TEXT), "PROP_RENAMED", BESIDE, some("x", x=TEXT, y=TEXT)),
    (needing(x=TEXT), needing(x=WHOLE), "TYPE_CHANGED", BESIDE, some("x", x=TEXT, y=WHOLE)),
    (needing(x=NULLABLE), needing(x=TEXT), "NULL_REMOVED", "keep null", needing(x=NULLABLE)),
    (needing(x=kinds("a", "b")), needing(x=kinds("a", "c")), "UNION_TAG_CHANGED", "keep", needing(x=kinds("a", "b"))),
]


@pytest.mark.parametrize(("old", "new", "rule", "advice", "followed"), FOLLOWED)
def test_the_advice_about_a_result_leads_to_a_spec_that_breaks_nothing(
    history: History, old: Schema, new: Schema, rule: str, advice: str, followed: Schema
) -> None:
    history.release(an_object(), old)
    assert any(one.rule == rule and advice in one.advice for one in history.now(an_object(), new))
    assert history.now(an_object(), followed) == []


def test_values_that_older_readers_would_refuse_must_reach_them_first(history: History) -> None:
    history.release(needing(x=TEXT), needing(x=TEXT))
    change = both(needing(x=NULLABLE))
    told = {one.directions: one.advice for one in history.now(*change) if one.rule == "NULL_ADDED"}
    assert told == {
        (Direction.ROLLOUT,): "update every worker before anything enqueues it",
        (Direction.READER,): "bring it to every reader before a worker gives it",
    }


def test_a_name_is_to_be_reserved_only_where_that_is_possible(history: History) -> None:
    history.release(an_object(a=TEXT, b=an_object(x=TEXT)), an_object(a=TEXT))
    (gone, kept) = history.now(an_object(a=TEXT, b=an_object()))
    assert (gone.message, gone.advice[:16]) == ('the optional property "x" was removed', "add its name to ")
    assert "x-job.reserved" not in kept.advice
    assert kept.advice.startswith("other properties of this spec have its name")
    assert stopping(history.now(an_object(), an_object(a=TEXT), x_job={"reserved": ["a"]})) == {"RESERVED_REUSED"}
