"""Each manual change writes one entry to the audit log in the same transaction. Nothing else writes entries."""

from __future__ import annotations

from datetime import timedelta

import pytest
from server_jobs.domain.audit import AUDIT_RETENTION, AuditAction
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import Deletion, Repair
from server_jobs.domain.record.audit import AuditQuery
from server_jobs.errors import InvalidOptionError, JobNotFoundError, JobNotRepairableError, JobNotRetryableError
from server_jobs.testing import FakeClock
from server_jobs.testing.conformance.examples import SECOND, START, completed, insert_and_claim, job, read

Entry = tuple[str, str, str, str | None, str | None]


async def entries(store: Store, query: AuditQuery | None = None) -> list[Entry]:
    """The log, newest first."""
    found = await store.audit_log(query or AuditQuery())
    return [(one.actor, str(one.action), one.target, one.job_name, one.detail) for one in found]


async def test_every_move_by_hand_is_entered_with_who_made_it(store: Store, clock: FakeClock) -> None:
    await insert_and_claim(store, job("run"))
    await store.insert([job("a"), job("b")])

    await store.cancel("a", by="token:shop")
    clock.advance(SECOND)
    await store.retry("a", by="user:ann")
    await store.cancel("run", by="user:ann")
    before = await read(store, "b")
    await store.repair(Repair(instead_of=before, params='{"x": 1}', spec_version=2), by="user:bob")
    await store.delete(["b"], by="user:bob", detail="at /params/x")
    await store.pause_queue("mail", by="user:ann")
    await store.resume_queue("mail", by="user:bob")

    assert await entries(store) == [
        ("user:bob", "resume", "mail", None, None),
        ("user:ann", "pause", "mail", None, None),
        ("user:bob", "delete", "b", "SendEmail", "at /params/x"),
        ("user:bob", "repair", "b", "SendEmail", "version 1 to 2"),
        ("user:ann", "cancel", "run", "SendEmail", "asked to stop"),
        ("user:ann", "retry", "a", "SendEmail", None),
        ("token:shop", "cancel", "a", "SendEmail", None),
    ]
    assert [one.at for one in await store.audit_log(AuditQuery())] == [START + SECOND] * 6 + [START]


async def test_calls_without_effect_have_no_entry(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a"))
    await store.settle([completed(claim)])
    record = await read(store, "a")

    await store.cancel("a")
    for move in (store.cancel("gone"), store.cancel("\0")):
        with pytest.raises(JobNotFoundError):
            await move
    with pytest.raises(JobNotRetryableError):
        await store.retry("a")
    with pytest.raises(JobNotRepairableError):
        await store.repair(Repair(instead_of=record, params="{}", spec_version=1))
    await store.delete(["gone", "\0"])
    await store.resume_queue("mail")
    await store.pause_queue("mail")
    await store.pause_queue("mail")

    assert await entries(store) == [("application", "pause", "mail", None, None)]


async def test_automatic_changes_have_no_entry(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a"))
    await store.settle([completed(claim)])

    assert await entries(store) == []


async def test_the_log_is_filtered_and_read_page_by_page(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a"), job("b")])
    await store.cancel("a", by="user:ann")
    await store.cancel("b", by="user:bob")
    await store.retry("a", by="user:bob")

    assert len(await entries(store, AuditQuery(actor="user:bob"))) == 2
    assert len(await entries(store, AuditQuery(target="a"))) == 2
    assert len(await entries(store, AuditQuery(action=AuditAction.CANCEL))) == 2
    assert await entries(store, AuditQuery(actor="user:ann' OR '1'='1")) == []
    newest = await store.audit_log(AuditQuery(limit=2))
    rest = await store.audit_log(AuditQuery(before=newest[-1].id))
    assert [one.target for one in (*newest, *rest)] == ["a", "b", "a"]


async def test_entries_are_deleted_after_their_retention(store: Store, clock: FakeClock) -> None:
    await store.pause_queue("a")
    clock.advance(AUDIT_RETENTION)
    assert len(await entries(store)) == 1
    assert await store.forget_audit() == 0

    clock.advance(SECOND)
    assert await entries(store) == []
    await store.pause_queue("b")  # a new entry deletes old ones

    assert await store.forget_audit() == 0
    assert [entry[2] for entry in await entries(store)] == ["b"]


async def test_old_entries_are_deleted_on_demand(store: Store, clock: FakeClock) -> None:
    await store.pause_queue("a")
    clock.advance(AUDIT_RETENTION + timedelta(milliseconds=1))

    assert await store.forget_audit() == 1


@pytest.mark.parametrize("limit", [0, 1001])
def test_a_page_has_a_length(limit: int) -> None:
    with pytest.raises(InvalidOptionError, match="limit must be between 1 and 1000"):
        AuditQuery(limit=limit)


async def test_pending_and_finished_jobs_are_deleted_and_running_ones_stay(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("done"))
    await store.settle([completed(claim)])
    await insert_and_claim(store, job("run"))
    await store.insert([job("wait", unique_key="k"), job("other")])

    answers = await store.delete(["done", "run", "wait", "gone"])

    assert answers == [Deletion.DELETED, Deletion.RUNNING, Deletion.DELETED, Deletion.NOT_FOUND]
    assert [await store.get(job_id) for job_id in ("done", "wait")] == [None, None]
    await read(store, "run")
    await read(store, "other")
    assert (await store.insert([job("next", unique_key="k")]))[0].created
    assert await store.delete([]) == []


async def test_ids_to_delete_are_never_sql(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a")])

    hostile = ["' OR 1=1 --", '"', "%", "a' --", "]"]
    assert set(await store.delete(hostile)) == {Deletion.NOT_FOUND}
    await read(store, "a")
