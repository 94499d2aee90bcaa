"""How the store speaks to each database: the statements, one module per dialect with the same names, and two habits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

from ..domain.interfaces import Database
from . import statements


class Statements(Protocol):
    """The statements of one dialect. `{now}` stands for the time of the database, or `GIVEN_NOW` in tests.

    A statement is None if the dialect does not need it. `EXPIRE` is repeated while it changes `MOST_EXPIRED` jobs.
    `CLAIMED` reads the jobs of a claim, if the claim does not return them. `INSERT_MANY` is `INSERT` with a row per id.
    `WAIT_LIMIT` is the part of inserts that limits the wait for another transaction, `AND_WAIT_LIMIT` the same part
    after another condition.

    `SETTLE_ONE` stores an outcome that is too large for `SETTLE`. `RECORD_STARTS` follows a claim of jobs with rates.
    `CLAIM_NEXT` claims the jobs behind a given job of its group. `RECORD_ATTEMPTS`, `RECORD_EXPIRED` and
    `DELETE_ATTEMPTS` precede `SETTLE`, `EXPIRE` and `DELETE`. `AUDIT_CANCEL`, `AUDIT_RETRY` and `AUDIT_DELETE` precede
    their moves. If their condition depends on the time, both statements get the same time, so that they find the same
    jobs: `ANY_OVERDUE` returns it for `RECORD_EXPIRED` and `EXPIRE`. `PRUNE_ATTEMPTS` follows `PRUNE`.

    `{rows}` in `FIND`, `SEARCH` and `SEARCH_RANGE` stands for the query of the rows of a step, `{scanned}` in
    `FIND_RANGE` for the query of their ids, and `{among}` in `LIST` and `LIST_SUMMARIES` for `AMONG_IDS` or nothing.
    `{counted}` in `COUNT` stands for the jobs to count. `{source}` in `PAGE` is the query of the rows to filter.
    `OF_GROUP` joins up to `{most}` jobs of each `{group}` in `{order}`, and `LOOK_UP` joins the `{columns}` of jobs to
    their ids in `chosen`.

    With `Dialect.packs_rows`, the store uses `PACKED_INSERT` with `PACKED_INSERTED`, `PACKED_CLAIMED` and
    `PACKED_COMPLETE` instead of `INSERT`, `CLAIMED` and `COMPLETE`.
    """

    GIVEN_NOW: str
    value: Callable[[str, str], str]
    jobs_by: Callable[[str], str]
    OF_QUEUES: str
    MOST_EXPIRED: int | None
    CLAIMED: str | None
    WAIT_LIMIT: str
    AND_WAIT_LIMIT: str
    PACKED_INSERT: str | None
    PACKED_INSERTED: str | None
    PACKED_CLAIMED: str | None
    PACKED_COMPLETE: tuple[str, str] | None

    PROBE: str
    PING: str
    INSERT: str
    INSERT_MANY: str
    INSERT_ONE: str
    KEY_OWNERS: str
    REPLACED_JOBS: str
    SUPERSEDE: str
    AUDIT_REPLACE: str
    REPLACE: str
    REPLACE_ONE: str
    START: str
    CLAIM: str
    CLAIM_NEXT: str | None
    DUE: str
    CLAIM_ONE: str
    RELEASE_UNANSWERED: str
    RENEW: str
    SETTLE: str
    SETTLE_ONE: str | None
    COMPLETE: str
    EXPIRE: str
    ANY_OVERDUE: str | None
    ENDED_BATCHES: str
    END_BATCHES: str
    COUNT_BATCH: str
    BATCH_JOBS: str
    CANCEL_LATE: str
    CANCEL_LATE_OWNERS: str
    CANCEL: str
    RETRY: str
    REPAIR: str
    DELETE: str
    AMONG_IDS: str
    STATUSES: str
    AUDIT_CANCEL: str | None
    AUDIT_RETRY: str | None
    AUDIT_REPAIR: str
    AUDIT_DELETE: str | None
    AUDIT_PAUSE: str
    AUDIT_RESUME: str
    AUDIT_LOG: str
    FORGET_AUDIT: str
    FIND_RANGE: str
    FIND: str
    DOCUMENT_BYTES: str
    SEARCH_RANGE: str
    SEARCH: str
    GET: str
    LIST: str
    SUMMARY: str
    LIST_SUMMARIES: str
    PAGE: str
    OF_GROUP: str
    LOOK_UP: str
    ALLOW_SCAN: str | None
    AVOID_JIT: str | None
    PLAN_ANEW: str | None
    COUNT: str
    COUNT_DUE: str
    PENDING_WORK: str
    UPCOMING_WORK: str
    SAVE_SCHEDULES: str
    TAKE_OVER_SCHEDULES: str
    UNAPPLIED_SCHEDULES: str
    APPLY_SCHEDULES: tuple[str, ...]
    FORGET_WITHDRAWAL: str
    FIND_SCHEDULE: str
    LIST_SCHEDULES: str
    ENABLE_SCHEDULE: str
    ADD_SCHEDULE: str
    CHANGE_SCHEDULE: str
    REMOVE_SCHEDULE: str
    AUDIT_ADD_SCHEDULE: str
    AUDIT_CHANGE_SCHEDULE: str
    AUDIT_ENABLE_SCHEDULE: str
    DUE_SCHEDULES: str
    NOW: str
    FIRE: str
    FIRED: str
    ADOPTABLE: str
    ADOPT: str
    ADOPT_RUNNING: str
    DISMISS: str
    LIMITED_DUE: str
    LOCK_LIMITS: str | None
    CLAIM_LIMITED: str
    CLAIM_LANES: str
    RECORD_STARTS: str | None
    FORGET_STARTS: str
    PAUSE_QUEUE: str
    RESUME_QUEUE: str
    PAUSED_QUEUES: str
    PRUNE_RANGE: str
    PRUNE: str
    PRUNABLE: str
    PRUNE_MOVE: str
    PRUNE_ATTEMPTS: str | None
    DELETE_ATTEMPTS: str | None
    RECORD_ATTEMPTS: str | None
    RECORD_EXPIRED: str | None
    QUEUE_STATES: str
    FAILURE_GROUPS: str
    ENQUEUED_COUNTS: str
    ADD_COUNTS: str
    FINISHED_COUNTS: str
    FORGET_COUNTS: str
    ATTEMPTS: str
    AHEAD: str
    HOLDERS: str
    HELD_JOBS: str
    RATE_FREE_AT: str
    REPORT_WORKER: str
    REPORT_TICK: str
    REMOVE_WORKER: str
    FORGET_WORKERS: str
    WORKERS: str


@dataclass(frozen=True, slots=True)
class Dialect:
    """The statements for one kind of database, and how to use them."""

    statements: Statements
    packs_rows: bool = False
    """Whether a statement packs many rows into one, because fetching each row is slow."""
    checks_at_open: bool = True
    """Whether the store checks its tables when it opens. If not, `ping` checks them instead."""


def dialect_of(database: Database) -> Dialect:
    """Return the dialect of this database. Databases with an unknown name get plain SQLite."""
    match database.name:
        case "postgresql":
            from . import postgres_statements  # a Worker does not upload this module

            return Dialect(cast("Statements", postgres_statements))  # type checkers see constants as assignable
        case "sqlite":  # each row needs the GIL, which the event loop seldom releases
            return Dialect(cast("Statements", statements), packs_rows=True)
        case "d1" | "durable object":  # every invocation opens it, and Cloudflare charges for reads
            return Dialect(cast("Statements", statements), checks_at_open=False)
        case _:
            return Dialect(cast("Statements", statements))
