"""Only the newest claim of a job may write. Each claim of each job has its own token."""

from __future__ import annotations

from datetime import datetime, timedelta

from server_jobs.domain.lifecycle import claim
from server_jobs.domain.record import JobRecord, JobStatus
from server_jobs.stores.sql import attempts, rows
from server_jobs.stores.sql.claims import claims
from server_jobs.stores.sql.dialect import statements_of

from tests.conformance.suite import test_big_batches, test_claim, test_leases
from tests.sabotage import sabotage

from .case import Case, Sabotage, instead_of, together, with_other, without

_FENCE = "\n   AND jobs.fencing_token = (SELECT by_id FROM items) -> jobs.id ->> 'token'"
_FENCE_OF_COMPLETE = "\n   AND jobs.fencing_token = left((SELECT by_id FROM items) ->> jobs.id, 32) || jobs.id"


def held_by_anybody(record: JobRecord, token: str) -> bool:
    return record.status is JobStatus.RUNNING


def claim_with_one_token(
    record: JobRecord, *, token: str, lease: timedelta, now: datetime, worker_id: str | None
) -> JobRecord:
    return claim(record, token="t" * 32, lease=lease, now=now, worker_id=worker_id)


def one_batch() -> str:
    return "t" * 32


def batch_alone(batch: str, job_id: str) -> str:
    return batch


def completing_unguarded(name: str) -> Sabotage:
    """Remove the token guard from one of the two statements of a completion with packed rows."""
    guard = " AND jobs.fencing_token = outcome.token"
    return lambda monkeypatch, store: sabotage(monkeypatch, statements_of("sqlite"), name, guard)


CASES = [
    Case(
        "token guard of settle",
        noticed_by=test_leases.test_a_stale_worker_cannot_complete_a_reclaimed_job,
        sqlite=without(" AND jobs.fencing_token = outcome.token", "SETTLE", "COMPLETE"),
        postgresql=together(without(_FENCE, "SETTLE"), without(_FENCE_OF_COMPLETE, "COMPLETE")),
        memory=instead_of("is_leased", held_by_anybody),
    ),
    Case(
        "token guard of renew",
        noticed_by=test_leases.test_a_token_is_worth_nothing_for_another_job,
        sqlite=without(" AND jobs.fencing_token = beat.token", "RENEW"),
        postgresql=without(_FENCE, "RENEW"),
        memory=instead_of("is_leased", held_by_anybody),
    ),
    Case(
        "token guard of a result that is long",
        noticed_by=test_big_batches.test_a_long_result_of_a_claim_that_was_lost_is_not_stored,
        sqlite=without(" AND jobs.fencing_token = outcome.token", "SETTLE_ONE"),
    ),
    Case(
        "token guard of the answer to a completion",
        noticed_by=test_leases.test_a_stale_worker_cannot_complete_a_reclaimed_job,
        sqlite=completing_unguarded("PACKED_COMPLETABLE"),
    ),
    Case(
        "token guard of the completion itself",
        noticed_by=test_leases.test_a_stale_worker_cannot_complete_a_reclaimed_job,
        sqlite=completing_unguarded("PACKED_COMPLETE"),
    ),
    Case(
        "a batch for each claim",
        noticed_by=test_claim.test_every_claim_has_its_own_token,
        sql=together(with_other(claims, "new_batch", one_batch), with_other(attempts, "new_batch", one_batch)),
        memory=instead_of("new_batch", one_batch),
    ),
    Case(
        "a token for each job of a claim",
        noticed_by=test_claim.test_every_claim_has_its_own_token,
        sqlite=together(
            without("fencing_token = :batch || id", "CLAIM", "CLAIM_ONE", instead="fencing_token = :batch"),
            with_other(rows, "token_of", batch_alone),
        ),
        postgresql=together(
            without("CAST(:batch AS text) || id", "CLAIM", "CLAIM_ONE", instead="CAST(:batch AS text)"),
            with_other(rows, "token_of", batch_alone),
        ),
        memory=instead_of("token_of", batch_alone),
    ),
    Case(
        "the token of a claim in its row",
        noticed_by=test_claim.test_every_claim_has_its_own_token,
        sqlite=without(":batch || id", "CLAIM", "CLAIM_ONE", instead=":batch || 'tttt'"),
        postgresql=without(
            "CAST(:batch AS text) || id", "CLAIM", "CLAIM_ONE", instead="CAST(:batch AS text) || 'tttt'"
        ),
        memory=instead_of("claim", claim_with_one_token),
    ),
    Case(
        "claims of others in the answer to a claim",
        noticed_by=test_claim.test_a_claimed_job_is_not_claimed_again,
        sqlite=without(" AND substr(fencing_token, 1, 32) = :batch", "CLAIMED"),
    ),
]
