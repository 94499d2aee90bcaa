"""The table of the state machine: which move takes a job from which state to which.

`lifecycle` has the moves as functions, for the memory store. The `.sql` files in `stores` have them for both dialects
of SQL. The conformance suite makes every move in every state on every store and compares with this table. The
documentation draws its picture from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """The status of a job, with the conditions that decide where a move leads."""

    PENDING = "pending"
    LATE = "pending, late"
    RUNNING = "running"
    LAST_ATTEMPT = "running, last attempt"
    CANCEL_REQUESTED = "running, cancel requested"
    REPLACED = "running, replaced"
    COMPLETED = "completed"
    FAILED = "failed"
    PARKED = "failed, parked"
    CANCELLED = "cancelled"
    DELETED = "deleted"


class Move(StrEnum):
    """Every change of state. `renew` is absent: it changes the lease, not the state."""

    REPLACE = "replace"
    CLAIM = "claim"
    COMPLETE = "complete"
    FAIL = "fail"
    FAIL_FOR_GOOD = "fail for good"
    PARK = "park"
    RELEASE = "release"
    SNOOZE = "snooze"
    CANCEL_BY_HANDLER = "cancel by handler"
    EXPIRE = "expire"
    CANCEL_LATE = "cancel late"
    CANCEL = "cancel"
    RETRY = "retry"
    REPAIR = "repair"
    DELETE = "delete"
    PRUNE = "prune"


def _running(
    attempts_left: State, last_attempt: State, cancel_requested: State, replaced: State
) -> Mapping[State, State]:
    return {
        State.RUNNING: attempts_left,
        State.LAST_ATTEMPT: last_attempt,
        State.CANCEL_REQUESTED: cancel_requested,
        State.REPLACED: replaced,
    }


TRANSITIONS: Mapping[Move, Mapping[State, State]] = MappingProxyType(
    {
        # Another job with the same unique key is enqueued, and not with `keep`.
        Move.REPLACE: {
            State.PENDING: State.PENDING,
            State.LATE: State.CANCELLED,
            State.RUNNING: State.REPLACED,
        },
        Move.CLAIM: {State.PENDING: State.RUNNING},
        # The moves of a worker, under the token of its claim: they change nothing if the claim is stale.
        Move.COMPLETE: _running(State.COMPLETED, State.COMPLETED, State.COMPLETED, State.COMPLETED),
        Move.FAIL: _running(State.PENDING, State.FAILED, State.CANCELLED, State.CANCELLED),
        Move.FAIL_FOR_GOOD: _running(State.FAILED, State.FAILED, State.CANCELLED, State.FAILED),
        Move.PARK: _running(State.PARKED, State.PARKED, State.CANCELLED, State.PARKED),
        Move.RELEASE: _running(State.PENDING, State.PENDING, State.CANCELLED, State.CANCELLED),
        Move.SNOOZE: _running(State.PENDING, State.PENDING, State.CANCELLED, State.CANCELLED),
        Move.CANCEL_BY_HANDLER: _running(State.CANCELLED, State.CANCELLED, State.CANCELLED, State.CANCELLED),
        # The moves of others.
        Move.EXPIRE: _running(State.PENDING, State.FAILED, State.CANCELLED, State.CANCELLED),
        Move.CANCEL_LATE: {State.LATE: State.CANCELLED},
        Move.CANCEL: {
            State.PENDING: State.CANCELLED,
            State.LATE: State.CANCELLED,
            State.RUNNING: State.CANCEL_REQUESTED,
            State.LAST_ATTEMPT: State.CANCEL_REQUESTED,
            State.REPLACED: State.CANCEL_REQUESTED,
            State.PARKED: State.CANCELLED,
        },
        Move.RETRY: dict.fromkeys((State.FAILED, State.PARKED, State.CANCELLED), State.PENDING),
        Move.REPAIR: dict.fromkeys((State.PENDING, State.LATE, State.PARKED), State.PENDING),
        Move.DELETE: dict.fromkeys(
            (State.PENDING, State.LATE, State.COMPLETED, State.FAILED, State.PARKED, State.CANCELLED), State.DELETED
        ),
        Move.PRUNE: dict.fromkeys((State.COMPLETED, State.FAILED, State.CANCELLED), State.DELETED),
    }
)
"""The state after each move. A move that is absent for a state changes nothing."""
