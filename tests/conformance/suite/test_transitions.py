"""Every move in every state, against the table of the state machine."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from server_jobs.domain.interfaces import Store
from server_jobs.domain.options import OnConflict
from server_jobs.domain.record import (
    UNREADABLE,
    Cancelled,
    Claim,
    JobRecord,
    JobStatus,
    PruneRule,
    PruneStep,
    Released,
    Repair,
    Settlement,
)
from server_jobs.domain.transitions import TRANSITIONS, Move, State
from server_jobs.errors import ServerJobsError
from server_jobs.testing import FakeClock
from server_jobs.testing.conformance.examples import (
    LEASE,
    MILLISECOND,
    NO_DELAY,
    SECOND,
    completed,
    failed,
    finish,
    insert_and_claim,
    job,
    read,
    request,
)

STATES = [state for state in State if state is not State.DELETED]
FINISHED = {State.COMPLETED: JobStatus.COMPLETED, State.FAILED: JobStatus.FAILED, State.CANCELLED: JobStatus.CANCELLED}
EVERYTHING = PruneStep(
    rules=tuple(PruneRule(status=status, age=MILLISECOND) for status in FINISHED.values()),
)


async def bring_to(store: Store, job_id: str, state: State, clock: FakeClock) -> Claim | None:
    """Store a job and bring it to this state. Return its claim, current or not, if it ever had one."""
    new = job(job_id, unique_key=f"key of {job_id}", max_attempts=1 if state is State.LAST_ATTEMPT else 3)
    if state is State.PENDING:
        await store.insert([new])
        return None
    if state is State.LATE:
        await store.insert([new._replace(scheduled_for=clock.now() - SECOND, expires_after=MILLISECOND)])
        return None
    claim = await insert_and_claim(store, new)
    if state is State.CANCEL_REQUESTED:
        await store.cancel(job_id)
    elif state is State.REPLACED:
        await make(Move.REPLACE, store, job_id, clock)
    elif state is State.PARKED:
        await store.settle([failed(claim, f"{UNREADABLE}no such key", retry_after=None)])
    elif state in FINISHED:
        await finish(store, claim, FINISHED[state])
    return claim


def state_of(record: JobRecord | None, now: datetime) -> State:
    """Return the state of a stored job."""
    if record is None:
        return State.DELETED
    if record.status is JobStatus.PENDING and record.start_before is not None and record.start_before < now:
        return State.LATE
    if record.status is JobStatus.RUNNING and record.cancel_requested:
        return State.CANCEL_REQUESTED
    if record.status is JobStatus.RUNNING and record.attempt_count == record.max_attempts:
        return State.LAST_ATTEMPT
    if record.status is JobStatus.RUNNING and record.replaced_by is not None:
        return State.REPLACED
    return State.PARKED if record.is_parked else State(record.status.value)


def outcome(move: Move, claim: Claim) -> Settlement | None:
    """Return the outcome of an attempt that is this move; None if it is no move of a worker."""
    match move:
        case Move.COMPLETE:
            return completed(claim)
        case Move.FAIL:
            return failed(claim, retry_after=SECOND)
        case Move.FAIL_FOR_GOOD:
            return failed(claim, retry_after=None)
        case Move.PARK:
            return failed(claim, f"{UNREADABLE}no such key", retry_after=None)
        case Move.RELEASE:
            return Released(id=claim.id, token=claim.token)
        case Move.SNOOZE:
            return Released(id=claim.id, token=claim.token, delay=SECOND)
        case Move.CANCEL_BY_HANDLER:
            return Cancelled(id=claim.id, token=claim.token, reason="not needed")
        case _:
            return None


async def make(move: Move, store: Store, job_id: str, clock: FakeClock) -> None:
    """Make a move that needs no claim."""
    match move:
        case Move.REPLACE:
            other = job(f"other {job_id}", unique_key=f"key of {job_id}", on_conflict=OnConflict.REPLACE)
            await store.insert([other])
        case Move.CLAIM:
            await store.claim_one(job_id, request())
        case Move.EXPIRE:
            clock.advance(LEASE + MILLISECOND)
            await store.expire(jitter=NO_DELAY)
        case Move.CANCEL_LATE:
            await store.cancel_late()
        case Move.CANCEL:
            await store.cancel(job_id)
        case Move.RETRY:
            await store.retry(job_id)
        case Move.REPAIR:
            repaired = Repair(instead_of=await read(store, job_id), params='{"to": "ada"}', spec_version=1)
            await store.repair(repaired)
        case Move.DELETE:
            await store.delete([job_id])
        case Move.PRUNE:
            clock.advance(timedelta(seconds=1))
            await store.prune(EVERYTHING)
        case _:
            raise AssertionError(move)


@pytest.mark.parametrize("state", STATES)
async def test_every_move_leads_where_the_table_says(store: Store, clock: FakeClock, state: State) -> None:
    """An outcome is stored under the token of the claim, also in states in which that claim is stale."""
    found: dict[Move, State] = {}
    for move in Move:
        job_id = f"{state} {move}"
        claim = await bring_to(store, job_id, state, clock) or Claim(job_id, "SendEmail", 1, "{}", 1, 3, None, "stale")
        with suppress(ServerJobsError):
            if (settlement := outcome(move, claim)) is not None:
                await store.settle([settlement])
            else:
                await make(move, store, job_id, clock)
        found[move] = state_of(await store.get(job_id), clock.now())

    assert found == {move: TRANSITIONS[move].get(state, state) for move in Move}
