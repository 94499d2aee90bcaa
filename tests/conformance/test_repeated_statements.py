"""A statement that may be repeated after a lost answer changes nothing the second time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from unittest.mock import patch

import pytest
from server_jobs.domain.interfaces import Row, Statement, Store, Value
from server_jobs.domain.options import ConcurrencyLimit, RateLimit
from server_jobs.domain.record import Heartbeat, KnownJob
from server_jobs.domain.record.reports import Counts, JobCounts, WorkerReport
from server_jobs.errors import DatabaseError
from server_jobs.schema import metadata
from server_jobs.stores.sql.dialect import dialect_of
from server_jobs.stores.sql.store import SqlStore
from server_jobs.testing import FakeClock

from tests.conformance.claims.test_unanswered_claims import losing_answers
from tests.conformance.examples import LEASE, SECOND, failed, insert_and_claim, job, request, schedule
from tests.conformance.stores import STORES
from tests.slow import slow

Call = tuple[Statement, Mapping[str, Value]]

ONE = KnownJob("SendEmail", 1, concurrency=ConcurrencyLimit(limit=9))
RATED = KnownJob("Call", 1, rate=RateLimit(limit=9, per=SECOND))
REPORT = WorkerReport(id="w1", host="host", pid=1, queues=None, concurrency=5, version="1.0", known=(("SendEmail", 1),))
NAMES = ("CREATE_NAME_TABLE", "WRITE_NAME")
TABLES = sorted(metadata.tables.keys() - {"server_jobs_database"})


class Repetition:
    """Runs each statement that writes and may be repeated twice in its transaction, and compares the tables."""

    def __init__(self, store: SqlStore, *marked: str) -> None:
        self._run = store.database.run
        statements = dialect_of(store.database).statements
        self._names = {
            one.sql.replace("{now}", statements.fragments["given_now"]): name
            for name, one in vars(statements).items()
            if isinstance(one, Statement) and one.writes and (one.may_repeat or name in marked)
        }
        self.names = {*self._names.values()}
        self.effective: set[str] = set()
        """The statements that changed a table the first time."""
        self.unstable: set[str] = set()
        """The statements that changed a table the second time."""

    async def run(self, *calls: Call, look: Call | None = None) -> Sequence[Sequence[Row]]:
        """Like `Database.run`."""
        repeated: list[Call] = []
        places: list[int] = []
        compared: list[tuple[str, int, int]] = []
        for call in calls:
            name = self._names.get(call[0].sql)
            contents = contents_of(name) if name else []
            if name not in NAMES:  # the table of the name may not exist yet
                repeated += contents
            places.append(len(repeated))
            repeated += [call, *contents, call, *contents] if name else [call]
            if name:
                compared.append((name, places[-1], len(contents)))
        rows = await self._run(*repeated, look=look)
        if not rows:
            return rows
        for name, place, count in compared:
            first, second = place + 1, place + count + 2
            before, after, again = (
                [sorted(repr([*row.values()]) for row in table) for table in rows[at : at + count]]
                for at in (place - count, first, second)
            )
            self.effective |= {name} if name in NAMES or before != after else set()
            self.unstable |= {name} if after != again else set()
        return [rows[place] for place in places]


def contents_of(name: str) -> list[Call]:
    """Return the queries for all rows that a statement may change."""
    tables = ["server_jobs_database"] if name in NAMES else TABLES
    return [(Statement(f"SELECT * FROM {table}", writes=False), {}) for table in tables]


@pytest.fixture
def sql_store(store: Store) -> SqlStore:
    """The store. These tests read all tables with SQLAlchemy's metadata, which a Worker does not have."""
    assert isinstance(store, SqlStore)
    return store


@contextmanager
def repeating(store: SqlStore, *marked: str) -> Iterator[Repetition]:
    repetition = Repetition(store, *marked)
    with patch.object(store.database, "run", repetition.run):
        yield repetition


async def use_each(store: SqlStore, clock: FakeClock) -> None:
    """Let each statement that may be repeated change something."""
    await store.write_name("eu")

    claim = await insert_and_claim(store, job("renewed"))
    await store.renew([Heartbeat(id=claim.id, token=claim.token, progress=50, message="half")], LEASE, [REPORT])
    await store.remove_worker(REPORT.id)

    await store.insert([job("dismissed", concurrency_key="k", rate_key="")])
    await store.claim(request(limit=1))

    await store.insert([job("rated", "Call", concurrency_key="", rate_key="")])
    (rated,) = await store.claim(request(RATED))
    await store.settle([failed(rated, retry_after=timedelta(0))])
    clock.advance(2 * SECOND)
    await store.insert([job("adopted")])
    await store.claim(request(ONE, RATED))

    await store.insert([job("unanswered")])
    with losing_answers(store), pytest.raises(DatabaseError):
        await store.claim(request(ONE, RATED))
    await store.claim(request(ONE, RATED))

    await store.save_schedules([schedule()])
    now = store.database.now
    withdrawn = f"('(schedule) s1', '(schedule)', 'withdrawn', {now}, {now})"
    columns = "id, job_name, rate_key, started_at, expires_at"
    await store.database.run(
        (Statement(f"INSERT INTO job_starts ({columns}) VALUES {withdrawn} RETURNING 1", writes=True), {})
    )
    await store.enable_schedule("s1", enabled=False)


ON_EACH_DATABASE = pytest.mark.parametrize(
    "open_store",
    [slow(name) if name in ("d1", "turso") else name for name in STORES if name != "memory"],
    indirect=True,
)


@ON_EACH_DATABASE
async def test_a_statement_that_may_be_repeated_changes_nothing_the_second_time(
    sql_store: SqlStore, clock: FakeClock
) -> None:
    with repeating(sql_store) as repetition:
        await use_each(sql_store, clock)

    assert repetition.unstable == set()
    assert repetition.effective == repetition.names


@pytest.mark.parametrize("open_store", ["sqlite", "postgresql"], indirect=True)
async def test_a_statement_that_is_marked_wrongly_is_noticed(sql_store: SqlStore) -> None:
    with repeating(sql_store, "ADD_COUNTS") as repetition:
        await sql_store.add_counts([JobCounts("default", "SendEmail", Counts(1))])

    assert repetition.unstable == {"ADD_COUNTS"}
