"""The oracle finds every kind of violation in a made-up history."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.faults.oracle import illegal, is_legal, is_stale, most_at_once
from tests.faults.outage import most_repeated
from tests.faults.site import Change

OLD, NEW = "0" * 32 + "a", "1" * 32 + "a"
OF_ANOTHER_JOB = "1" * 32 + "b"

INSERTED = Change(
    happened_at=0,
    job_id="a",
    old_status=None,
    new_status="pending",
    old_attempt=None,
    new_attempt=0,
    max_attempts=2,
    old_token=None,
    new_token=None,
    old_result=None,
    new_result=None,
    old_error=None,
    new_error=None,
    old_message=None,
    new_message=None,
)


def then(change: Change, status: str, **changes: object) -> Change:
    """Return the change that follows, with some values replaced."""
    following = replace(
        change,
        old_status=change.new_status,
        new_status=status,
        old_attempt=change.new_attempt,
        old_token=change.new_token,
        old_result=change.new_result,
        old_error=change.new_error,
        old_message=change.new_message,
    )
    return replace(following, **changes)  # type: ignore[arg-type]  # fields of the change


CLAIMED = then(INSERTED, "running", new_attempt=1, new_token=OLD)
EXPIRED = then(CLAIMED, "pending", new_token=None, new_error="its lease expired")
RECLAIMED = then(EXPIRED, "running", new_attempt=2, new_token=NEW)
REPORTED = then(RECLAIMED, "running", new_message=f"token {NEW}")
COMPLETED = then(REPORTED, "completed", new_token=None, new_result=f'{{"token": "{NEW}"}}', new_error=None)
LIFE = [INSERTED, CLAIMED, EXPIRED, RECLAIMED, REPORTED, COMPLETED]


def test_a_life_as_it_may_be_is_legal_and_nothing_in_it_is_stale() -> None:
    assert illegal(LIFE) == []
    assert not [change for change in LIFE if is_stale(change)]


@pytest.mark.parametrize(
    "change",
    [
        then(INSERTED, "running", new_token=OLD),  # not counted
        then(INSERTED, "running", new_attempt=1),  # without a token
        then(INSERTED, "completed", new_result="{}"),  # never claimed
        then(CLAIMED, "running", new_token=NEW),  # taken from a running claim
        then(CLAIMED, "running", new_attempt=2),
        then(CLAIMED, "pending"),  # with its token
        then(CLAIMED, "pending", new_token=None, new_attempt=2),
        then(CLAIMED, "failed", new_token=None, new_result="{}"),
        then(RECLAIMED, "pending", new_token=None, new_attempt=0),
        then(COMPLETED, "pending"),
        then(COMPLETED, "completed", new_result="{}"),
        then(COMPLETED, "running", new_attempt=3, new_token=OLD),
        then(COMPLETED, "cancelled"),
    ],
)
def test_a_move_that_the_life_of_a_job_does_not_have_is_seen(change: Change) -> None:
    assert not is_legal(change)


def test_a_change_that_does_not_follow_on_the_one_before_is_seen() -> None:
    assert illegal([INSERTED, CLAIMED, COMPLETED]) == [COMPLETED]
    assert illegal([CLAIMED]) == [CLAIMED]
    assert illegal([INSERTED, INSERTED]) == [INSERTED]


def test_a_token_that_is_used_again_is_seen() -> None:
    again = replace(RECLAIMED, new_token=OLD)
    assert illegal([INSERTED, CLAIMED, EXPIRED, again]) == [again]


@pytest.mark.parametrize(
    "change",
    [
        replace(COMPLETED, new_result=f'{{"token": "{OLD}"}}'),
        then(RECLAIMED, "running", new_message=f"token {OLD}"),
        then(RECLAIMED, "failed", new_token=None, new_error=f"RuntimeError: token {OLD} (at jobs.py:1 in nap)"),
    ],
)
def test_writes_of_an_older_claim_are_stale(change: Change) -> None:
    assert is_stale(change)


@pytest.mark.parametrize(
    "change",
    [
        replace(COMPLETED, new_result=f'{{"token": "{OF_ANOTHER_JOB}"}}'),
        then(RECLAIMED, "running", new_message=f"token {OF_ANOTHER_JOB}"),
        then(RECLAIMED, "failed", new_token=None, new_error=f"RuntimeError: token {OF_ANOTHER_JOB} (at jobs.py:1)"),
    ],
)
def test_a_write_under_another_jobs_claim_of_the_batch_is_stale(change: Change) -> None:
    assert is_stale(change)


def test_writes_of_the_claim_that_ends_here_are_not_stale() -> None:
    said = then(RECLAIMED, "failed", new_token=None, new_error=f"RuntimeError: token {NEW} (at jobs.py:1 in nap)")
    assert not is_stale(said)


def test_runs_at_one_moment_are_counted() -> None:
    other = replace(CLAIMED, job_id="b")
    assert most_at_once([CLAIMED, other, EXPIRED, RECLAIMED], {"a", "b"}) == 2
    assert most_at_once([CLAIMED, EXPIRED, other], {"a", "b"}) == 1
    assert most_at_once([CLAIMED, other], {"b"}) == 1


def test_repeated_lines_of_a_worker_are_counted_except_lines_about_jobs() -> None:
    job_id = "01a2138b-06e9-7001-b949-d5750cc91f0c"
    log = [
        "1 ERROR it is away: once",
        "1 ERROR it is away: twice",
        "2 ERROR it is away: once",
        "Traceback (most recent)",
    ]
    assert most_repeated([*log, *[f"3 WARNING the claim on Nap {job_id} was lost"] * 5]) == 2
    assert most_repeated([]) == 0
