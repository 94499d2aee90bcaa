"""How the store speaks to each database: the statements, one text per dialect with the same names, and two habits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Literal

from ...domain.interfaces import Database, Statement
from ...domain.record import EQUAL_FILTERS, GIVEN_COLUMNS, JOB_COLUMNS, SHARED_COLUMNS, Claim, JobSummary
from .sql_files import read_blocks

DialectName = Literal["sqlite", "postgresql"]
_FOLDER = Path(__file__).parents[1]

_TYPES: Mapping[DialectName, Mapping[str, str]] = {
    "sqlite": {"str": "TEXT", "JobStatus": "TEXT", "int": "INTEGER", "bool": "INTEGER", "datetime": "INTEGER"},
    "postgresql": {
        "str": "text",
        "JobStatus": "text",
        "int": "integer",
        "bool": "boolean",
        "datetime": "timestamptz",
    },
}
_OF_CLAIM = {"attempt": "attempt_count", "due_at": "scheduled_for"}
_OF_FILTER = ("status", "queue", "spec_version", "error", "batch_id", "created_at", "completed_at")
"""The columns of filters that `matches` in the files names, beside those of `EQUAL_FILTERS`."""


class Statements:
    """The statements of one dialect, read from the files in `shared` and in the folder of the dialect.

    A statement is None if the dialect does not need it. `{now}` in a text stands for the time of the database.
    """

    # No dataclass, because each process would spend milliseconds to make one of so many fields.

    fragments: Mapping[str, str]
    """Parts of statements by name, for queries that are built at run time."""

    CLAIMED: Statement | None
    PACKED_INSERT: Statement | None
    PACKED_INSERTED: Statement | None
    PACKED_CLAIMED: Statement | None
    PACKED_COMPLETABLE: Statement | None
    PACKED_COMPLETE: Statement | None
    PROBE: Statement
    PING: Statement
    INSERT: Statement
    INSERT_NEW: Statement | None
    INSERT_ONE: Statement
    KEY_OWNERS: Statement
    REPLACED_JOBS: Statement
    SUPERSEDE: Statement
    AUDIT_REPLACE: Statement
    REPLACE: Statement
    REPLACE_ONE: Statement
    START: Statement
    CLAIM: Statement
    CLAIM_NEXT: Statement | None
    DUE: Statement
    CLAIM_ONE: Statement
    RELEASE_UNANSWERED: Statement
    RENEW: Statement
    SETTLE: Statement
    SETTLE_ONE: Statement | None
    COMPLETE: Statement
    EXPIRE: Statement
    ANY_OVERDUE: Statement | None
    ENDED_BATCHES: Statement
    END_BATCHES: Statement
    COUNT_BATCH: Statement
    BATCH_JOBS: Statement
    CANCEL_LATE: Statement
    CANCEL_LATE_OWNERS: Statement
    CANCEL: Statement
    RETRY: Statement
    REPAIR: Statement
    DELETE: Statement
    STATUSES: Statement
    AUDIT_CANCEL: Statement | None
    AUDIT_RETRY: Statement | None
    AUDIT_REPAIR: Statement
    AUDIT_DELETE: Statement | None
    AUDIT_PAUSE: Statement
    AUDIT_RESUME: Statement
    AUDIT_LOG: Statement
    FORGET_AUDIT: Statement
    FIND_RANGE: Statement
    FIND_RANGE_BACKWARDS: Statement
    FIND: Statement
    FIND_BACKWARDS: Statement
    COUNT_CANDIDATES: Statement
    SEARCH_RANGE: Statement
    SEARCH_RANGE_BACKWARDS: Statement
    SEARCH_CANDIDATES_RANGE: Statement
    SEARCH_CANDIDATES_RANGE_BACKWARDS: Statement
    SEARCH: Statement
    SEARCH_CANDIDATES: Statement
    GET: Statement
    LIST: Statement
    LIST_GIVEN: Statement
    SUMMARY: Statement
    LIST_SUMMARIES: Statement
    LIST_GIVEN_SUMMARIES: Statement
    PAGE_OF_SCAN: Statement
    END_OF_SCAN: Statement
    PAGE_OF_INDEX: Statement
    COUNT_OF_INDEX: Statement
    IDS_OF_INDEX: Statement
    ALLOW_SCAN: Statement | None
    AVOID_JIT: Statement | None
    PLAN_ANEW: Statement | None
    COUNT: Statement
    COUNT_NEWEST: Statement
    COUNT_DUE: Statement
    PENDING_WORK: Statement
    UPCOMING_WORK: Statement
    SAVE_SCHEDULES: Statement
    TAKE_OVER_SCHEDULES: Statement
    UNAPPLIED_SCHEDULES: Statement
    MARK_WITHDRAWN: Statement
    WITHDRAW: Statement
    SAVE_DECLARED: Statement
    MARK_DECLARED: Statement
    MARK_SUPERSEDED: Statement
    MARK_APPLIED: Statement
    FORGET_WITHDRAWAL: Statement
    FIND_SCHEDULE: Statement
    LIST_SCHEDULES: Statement
    ENABLE_SCHEDULE: Statement
    ADD_SCHEDULE: Statement
    CHANGE_SCHEDULE: Statement
    REMOVE_SCHEDULE: Statement
    AUDIT_ADD_SCHEDULE: Statement
    AUDIT_CHANGE_SCHEDULE: Statement
    AUDIT_ENABLE_SCHEDULE: Statement
    DUE_SCHEDULES: Statement
    NOW: Statement
    FIRE: Statement
    FIRED: Statement
    ADOPTABLE: Statement
    ADOPT: Statement
    ADOPT_RUNNING: Statement
    DISMISS: Statement
    LIMITED_DUE: Statement
    LOCK_LIMITS: Statement | None
    CLAIM_LIMITED: Statement
    RECORD_STARTS: Statement | None
    FORGET_STARTS: Statement
    PAUSE_QUEUE: Statement
    RESUME_QUEUE: Statement
    PAUSED_QUEUES: Statement
    CREATE_NAME_TABLE: Statement
    WRITE_NAME: Statement
    READ_NAME: Statement
    PRUNE_RANGE: Statement
    PRUNE: Statement
    PRUNABLE: Statement
    PRUNE_MOVE: Statement
    PRUNE_ATTEMPTS: Statement | None
    DELETE_ATTEMPTS: Statement | None
    RECORD_ATTEMPTS: Statement | None
    RECORD_EXPIRED: Statement | None
    QUEUE_STATES: Statement
    FAILURE_GROUPS: Statement
    ENQUEUED_COUNTS: Statement
    ADD_COUNTS: Statement
    FINISHED_COUNTS: Statement
    FORGET_COUNTS: Statement
    ATTEMPTS: Statement
    AHEAD: Statement
    HOLDERS: Statement
    HELD_JOBS: Statement
    RATE_FREE_AT: Statement
    REPORT_WORKER: Statement
    REPORT_TICK: Statement
    REMOVE_WORKER: Statement
    FORGET_WORKERS: Statement
    WORKERS: Statement

    def __init__(self, fragments: Mapping[str, str], statements: Mapping[str, Statement | None]) -> None:
        declared = Statements.__annotations__.keys() - {"fragments"}
        if statements.keys() != declared:
            raise ValueError(f"statements without a file or a declaration: {sorted(statements.keys() ^ declared)}")
        vars(self).update(statements, fragments=fragments)


@dataclass(frozen=True, slots=True)
class Dialect:
    """The statements for one kind of database, and how to use them."""

    statements: Statements
    most_expired: int | None = None
    """Most jobs that `EXPIRE` changes. It is repeated while it changes as many."""
    packs_rows: bool = False
    """Whether a statement packs many rows into one, because fetching each row is slow."""
    takes_lists: bool = False
    """Whether `INSERT` and `REPLACE` take a list for each field that differs between jobs, instead of JSON."""
    checks_at_open: bool = True
    """Whether the store checks its tables when it opens. If not, `ping` checks them instead."""


def dialect_of(database: Database) -> Dialect:
    """Return the dialect of this database. Databases with an unknown name get plain SQLite."""
    match database.name:
        case "postgresql":
            return Dialect(statements_of("postgresql"), most_expired=1000, takes_lists=True)
        case "sqlite":  # each row needs the GIL, which the event loop seldom releases
            return Dialect(statements_of("sqlite"), packs_rows=True)
        case _:  # a database that is always open is opened by each call, and its reads may cost
            return Dialect(statements_of("sqlite"), checks_at_open=not getattr(database, "is_always_open", False))


@cache
def statements_of(dialect: DialectName) -> Statements:
    """Return the statements of a dialect. Reads its files once."""
    blocks = read_blocks(column_lists(dialect), _FOLDER / "shared", _FOLDER / dialect)
    fragments = {name: block.text for name, block in blocks.items() if block.kind == "fragment"}
    statements = {name: block.statement() for name, block in blocks.items() if block.kind != "fragment"}
    return Statements(fragments, statements)


def column_lists(dialect: DialectName) -> Mapping[str, Mapping[str, str]]:
    """Return the lists of columns of `jobs` that the files use, with the type of each column in SQL."""
    types = _TYPES[dialect]
    summary = [one.name for one in fields(JobSummary) if one.name in JOB_COLUMNS]
    claimed = [_OF_CLAIM.get(name, name) for name in Claim._fields]
    of_filter = [*EQUAL_FILTERS, *_OF_FILTER]
    lists: Mapping[str, Iterable[str]] = {
        "record": JOB_COLUMNS,
        "summary": summary,
        "claim": [name for name in claimed if name in JOB_COLUMNS],
        "given": GIVEN_COLUMNS,
        "shared": SHARED_COLUMNS,
        "replaced": [name for name in GIVEN_COLUMNS if name not in ("id", "job_name", "unique_key")],
        "equal": EQUAL_FILTERS,
        "filter": of_filter,
        "page": [name for name in (*summary, *of_filter) if name != "id"],
    }
    return {of: {name: types[JOB_COLUMNS[name].type] for name in names} for of, names in lists.items()}
