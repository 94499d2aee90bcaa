"""An accepted finding covers exactly one change, not every finding of its rule at that place."""

from __future__ import annotations

import json

import pytest

from tests.generator.contracts.history import ACCEPTED, TEXT, WHOLE, History, accepted, kinds, needing, stopping
from tests.generator.spec_projects import Schema

SHORTER = "maxLength was 50, and is 40 now"


def short(longest: int, **more: object) -> Schema:
    return needing(x={"type": "string", "maxLength": longest, **more})


def test_an_accepted_change_covers_no_later_one_of_the_same_rule_at_the_same_place(history: History) -> None:
    files = accepted(change=SHORTER)
    history.release(short(50))
    assert stopping(history.now(short(40), files=files)) == set()
    history.release(short(40))
    assert stopping(history.now(short(40), files=files)) == set()
    found = history.now(short(1, minLength=1, pattern="^x$"), files=files)
    assert stopping(found) == {"CONSTRAINT_TIGHTENED", "VERSION_NOT_BUMPED"}
    assert {one.message for one in found if one.rule == "CONSTRAINT_TIGHTENED"} == {
        "maxLength was 50, and is 1 now",
        "maxLength was 40, and is 1 now",
        "minLength was 0 characters, and is 1 now",
        'pattern "^x$" was added',
    }
    for one in found:
        if one.rule == "CONSTRAINT_TIGHTENED":
            assert f'{ACCEPTED}:1:15 accepts another change, "{SHORTER}"' in one.advice


def test_two_entries_at_one_place_cover_both_changes_and_an_old_one_is_reported(
    history: History,
) -> None:
    history.release(short(50))
    changes = (SHORTER, "minLength was 0 characters, and is 1 now", "maxLength was 50, and is 45 now")
    entries = [accepted(change=change)[ACCEPTED]["accepted"][0] for change in changes]  # type: ignore[index]
    found = history.now(short(40, minLength=1), files={ACCEPTED: {"accepted": entries}})
    assert [one.rule for one in found if one.accepted is None] == ["ACCEPTED_UNUSED"]
    assert [one.place.pointer for one in found if one.accepted is None] == ["/accepted/2"]


VAGUE: dict[str, tuple[Schema, Schema, Schema]] = {
    "a branch is removed": (kinds("a", "b", "c"), kinds("a", "b"), kinds("a")),
    "branches are told apart otherwise": (kinds("a", "b"), kinds("a", "c"), kinds("a", "d")),
    "one more schema": (
        TEXT,
        {"allOf": [TEXT, {"pattern": "a"}]},
        {"allOf": [TEXT, {"pattern": "a"}, {"format": "uri"}]},
    ),
    "not": ({"not": WHOLE, **TEXT}, {"not": TEXT, **TEXT}, {"not": {"const": "a"}, **TEXT}),
    "a long enum": ({"enum": [*range(40)]}, {"enum": [*range(20)]}, {"enum": [*range(9)]}),
}


@pytest.mark.parametrize("name", VAGUE)
def test_changes_that_no_words_tell_apart_are_accepted_apart(history: History, name: str) -> None:
    first, second, third = VAGUE[name]
    history.release(needing(x=first))
    entries = [json.loads(one.entry) for one in history.now(needing(x=second)) if one.stops and one.entry]
    files: dict[str, object] = {
        ACCEPTED: {"accepted": [{**entry, "reason": "None are left.", "expires": "2030-01-01"} for entry in entries]}
    }
    assert entries
    assert stopping(history.now(needing(x=second), files=files)) == set()
    history.release(needing(x=second))
    assert stopping(history.now(needing(x=second), files=files)) == set()
    assert len(stopping(history.now(needing(x=third), files=files))) > 1


def together(*entries: dict[str, object]) -> dict[str, object]:
    """Return one file with the entries of several."""
    return {ACCEPTED: {"accepted": [one for entry in entries for one in entry[ACCEPTED]["accepted"]]}}  # type: ignore[index]


@pytest.mark.parametrize(
    "days", [("2030-01-01", "2029-01-01"), ("2029-01-01", "2030-01-01"), ("2020-01-01", "2030-01-01")]
)
@pytest.mark.parametrize("is_needed", [True, False])
def test_two_entries_for_one_change_are_reported_and_the_longer_one_counts(
    history: History, days: tuple[str, str], *, is_needed: bool
) -> None:
    history.release(short(50))
    files = together(*(accepted(change=SHORTER, expires=day) for day in days))
    found = [one for one in history.now(short(40 if is_needed else 50), files=files) if one.accepted is None]
    longer = days.index(max(days))
    assert [one.rule for one in found] == ["ACCEPTED_TWICE"] if is_needed else ["ACCEPTED_TWICE", "ACCEPTED_UNUSED"]
    (twice,) = (one for one in found if one.rule == "ACCEPTED_TWICE")
    assert twice.place.pointer == f"/accepted/{1 - longer}"
    assert twice.message.startswith(f"specs/{ACCEPTED}:1:")
    assert twice.message.endswith(f"accepts the same, until {max(days)}")
    assert not twice.stops


def test_entries_for_other_changes_at_one_place_are_not_the_same(history: History) -> None:
    history.release(short(50))
    files = together(accepted(change=SHORTER), accepted(change="minLength was 0 characters, and is 1 now"))
    assert [one for one in history.now(short(40, minLength=1), files=files) if one.accepted is None] == []


@pytest.mark.parametrize(
    ("slip", "pointer", "word"),
    [
        ({"job": "case"}, "/accepted/0/job", 'there is no job "case" (did you mean "Case"?)'),
        ({"job": "Cose"}, "/accepted/0/job", 'there is no job "Cose" (did you mean "Case"?)'),
        ({"job": "Other"}, "/accepted/0/job", 'there is no job "Other"; write its name, or remove'),
        ({"rule": "CONSTRAINT_RELAXED"}, "/accepted/0", "write CONSTRAINT_TIGHTENED and"),
        ({"pointer": "/properties/params/x"}, "/accepted/0", 'and "/properties/params/properties/x" for'),
    ],
)  # fmt: skip
def test_a_typo_in_an_entry_is_reported(history: History, slip: dict[str, object], pointer: str, word: str) -> None:
    history.release(short(50))
    found = history.now(short(40), files=accepted(change=SHORTER, **slip))
    (entry,) = (one for one in found if one.rule == "ACCEPTED_UNUSED")
    assert entry.place.pointer == pointer
    assert word in str(entry)
    assert stopping(found) == {"CONSTRAINT_TIGHTENED", "VERSION_NOT_BUMPED"}
