"""The statements of a dialect: one module for each, with the same names."""

from __future__ import annotations

from typing import Protocol, cast

from ..domain.interfaces import Database
from . import statements


class Statements(Protocol):
    """The statements of one dialect. `{now}` stands for the time of the database, or `GIVEN_NOW` in tests.

    A statement is None if the dialect does not need it. `EXPIRE` is repeated while it changes `MOST_EXPIRED` jobs.
    `CLAIMED` reads the jobs of a claim, if the claim does not return them. `SETTLE_ONE` stores an outcome that is too
    large for `SETTLE`. `RECORD_STARTS` follows a claim of jobs with rates. `CLAIM_NEXT` claims the jobs behind a given
    job of its group. Databases with `packs_rows` use `PACKED_INSERT` with `PACKED_INSERTED`, `PACKED_CLAIMED` and
    `PACKED_COMPLETE` instead of `INSERT`, `CLAIMED` and `COMPLETE`.
    """

    GIVEN_NOW: str
    MOST_EXPIRED: int | None
    CLAIMED: str | None
    PACKED_INSERT: str | None
    PACKED_INSERTED: str | None
    PACKED_CLAIMED: str | None
    PACKED_COMPLETE: tuple[str, str] | None

    PROBE: str
    PING: str
    INSERT: str
    INSERT_ONE: str
    HOLDERS: str
    START: str
    CLAIM: str
    CLAIM_NEXT: str | None
    DUE: str
    CLAIM_ONE: str
    GIVE_BACK: str
    RENEW: str
    SETTLE: str
    SETTLE_ONE: str | None
    COMPLETE: str
    EXPIRE: str
    CANCEL: str
    RETRY: str
    REPAIR: str
    DELETE: str
    AUDIT_CANCEL: str
    AUDIT_RETRY: str
    AUDIT_REPAIR: str
    AUDIT_DELETE: str
    AUDIT_PAUSE: str
    AUDIT_RESUME: str
    AUDIT_LOG: str
    FORGET_AUDIT: str
    SEARCH_RANGE: str
    SEARCH: str
    GET: str
    LIST: str
    SUMMARY: str
    LIST_SUMMARIES: str
    ALLOW_SCAN: str | None
    COUNT: str
    COUNT_DUE: str
    SURVEY: str
    NEXT_DUE: str
    SAVE_SCHEDULES: str
    TAKE_OVER_SCHEDULES: str
    UNAPPLIED_SCHEDULES: str
    APPLY_SCHEDULES: tuple[str, ...]
    FORGET_WITHDRAWAL: str
    LIST_SCHEDULES: str
    ENABLE_SCHEDULE: str
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


def statements_of(database: Database) -> Statements:
    """Return the statements for this database."""
    if database.name == "postgresql":
        from . import postgres_statements  # a Worker does not upload this module

        return cast("Statements", postgres_statements)  # type checkers see constants as assignable
    return cast("Statements", statements)
