"""Which statements a database understands: one module for each dialect of SQL, all with the same names."""

from __future__ import annotations

from typing import Protocol, cast

from ..domain.interfaces import Database
from . import statements


class Statements(Protocol):
    """The statements of one dialect; `{now}` in them stands for the clock, `GIVEN_NOW` for one that a test gives.

    `EXPIRE` is repeated for as long as it changes `MOST_EXPIRED` jobs; None: it is without bounds. `CLAIMED` follows
    each claim of many and says what it took; None: they say it themselves. `SETTLE_ONE` is for an outcome that `SETTLE`
    could not carry; None: it can carry any. `RECORD_STARTS` follows a claim of jobs with rates; None: the claim records
    them itself. `CLAIM_NEXT` claims the jobs behind a given one in its group; None: `CLAIM` is as fast.
    `PACKED_INSERT` with `PACKED_INSERTED`, `PACKED_CLAIMED` and `PACKED_COMPLETE` are for databases with `packs_rows`,
    in the place of `INSERT`, `CLAIMED` and `COMPLETE`.
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
    """The statements for this database."""
    if database.name == "postgresql":
        from . import postgres_statements  # for servers alone: a Worker does without

        return cast("Statements", postgres_statements)  # type checkers fear that somebody assigns to a constant
    return cast("Statements", statements)
