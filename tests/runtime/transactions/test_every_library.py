"""`later_in` and `later_many_in` behave alike with every library, on the database that `later` uses."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from traceback import format_exception
from typing import Any, Literal

import psycopg
import pytest
from psycopg.rows import dict_row
from server_jobs import (
    BatchCounts,
    ConcurrencyLimit,
    Enqueue,
    InvalidParamsError,
    JobOptions,
    JobStatus,
    Middleware,
    RateLimit,
    SchemaMissingError,
    Worker,
    connect,
    create_job_registry,
)
from server_jobs.domain.enqueue_options import EnqueueOptions
from server_jobs.domain.interfaces import POSTGRES_CHANNEL
from server_jobs.domain.record import NewJob
from server_jobs.transactions.insertion import Call, Target
from server_jobs.transactions.joining import is_async

from tests.conformance.postgres_databases import empty_database
from tests.conformance.stores import create_sqlite_file
from tests.runtime.example_jobs import echo, text_job

from .seats import AUTOCOMMITS, OPENINGS, Seat, path_of, seated

Invoice = text_job(echo, "Invoice", JobOptions(queue="bills", priority=7, max_attempts=2))
OnceOnly = text_job(echo, "OnceOnly", JobOptions(unique_by=("/text",)))


@dataclass(frozen=True)
class Place:
    """A database with the tables of jobs and the table `orders` of an application."""

    url: str

    def rows(self, sql: str = "SELECT * FROM jobs ORDER BY id") -> Sequence[dict[str, Any]]:
        """Return committed rows, seen from another connection. Commits changes."""
        if self.url.startswith("sqlite"):
            with closing(sqlite3.connect(path_of(self.url))) as connection, connection:
                connection.row_factory = sqlite3.Row
                return [dict(row) for row in connection.execute(sql)]
        with psycopg.Connection[dict[str, Any]].connect(self.url, row_factory=dict_row) as opened:
            cursor = opened.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    @property
    def ids(self) -> list[str]:
        """The ids of the committed jobs."""
        return [row["id"] for row in self.rows()]


@contextmanager
def place_of(kind: str, folder: Path) -> Iterator[Place]:
    if kind == "sqlite":
        create_sqlite_file(folder / "jobs.sqlite3")
        place = Place(f"sqlite:///{folder}/jobs.sqlite3")
        place.rows("CREATE TABLE orders (id TEXT PRIMARY KEY)")
        yield place
        return
    with empty_database() as url:
        place = Place(url)
        place.rows("CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY)")
        place.rows("DELETE FROM orders")
        yield place


# Of statements and calls that all libraries pass on alike: a sync library on one database, and an async one on another.
on_each_database = pytest.mark.parametrize("library", ["sqlite3", "asyncpg"], indirect=True)
on_postgresql = pytest.mark.parametrize("library", ["psycopg", "asyncpg"], indirect=True)


@pytest.fixture(params=OPENINGS)
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def place(library: str, tmp_path: Path) -> Iterator[Place]:
    with place_of(OPENINGS[library][0], tmp_path) as place:
        yield place


@pytest.fixture
def seat(library: str, place: Place) -> Iterator[Seat]:
    with seated(OPENINGS[library][1], place.url) as seat:
        yield seat


def test_job_and_data_commit_together(seat: Seat, place: Place) -> None:
    seat.execute("INSERT INTO orders VALUES ('17')")
    job_id = seat.later(Invoice)
    assert place.ids == []
    seat.commit()

    assert place.ids == [job_id]
    assert place.rows("SELECT id FROM orders") == [{"id": "17"}]


def test_job_and_data_roll_back_together(seat: Seat, place: Place) -> None:
    seat.execute("INSERT INTO orders VALUES ('18')")
    seat.later(Invoice)
    seat.later_many(Invoice, ["a", "b"])
    seat.rollback()
    job_id = seat.later(Invoice)
    seat.commit()

    assert place.ids == [job_id]
    assert place.rows("SELECT id FROM orders") == []


def test_a_rollback_to_a_savepoint_takes_its_jobs_with_it(seat: Seat, place: Place) -> None:
    kept = seat.later(Invoice)
    seat.execute("SAVEPOINT before_it")
    seat.later(Invoice)
    seat.execute("ROLLBACK TO SAVEPOINT before_it")
    seat.commit()

    assert place.ids == [kept]


def test_the_row_is_as_later_stores_it(seat: Seat, place: Place) -> None:
    limits = JobOptions(
        queue="bills",
        priority=-7,
        max_attempts=9,
        unique_by=("/text",),
        concurrency=ConcurrencyLimit(limit=2, by=("/text",)),
        rate=RateLimit(limit=5, per=timedelta(minutes=1)),
    )
    job = text_job(echo, "Limited", limits)
    options: EnqueueOptions = {"correlation_id": "request-7", "delay": timedelta(hours=1)}
    seat.later(job, 'one: "ä", 50% :x', **options)
    seat.later_many(job, ['two: "ä", 50% :x', "three"], **options)
    seat.commit()
    (one, two, _) = place.rows()

    async def later() -> None:
        async with connect(create_job_registry().register(job), place.url):
            for name in ("one", "two"):
                apart: EnqueueOptions = {**options, "unique_key": f"as {name}"}
                await job.later({"text": f'{name}: "ä", 50% :x'}, **apart)

    asyncio.run(later())
    (*_, as_one, as_two) = place.rows()
    assert (one["batch_id"], len(two["batch_id"])) == (None, 36)
    varying = {"id", "created_at", "updated_at", "scheduled_for", "unique_key", "batch_id"}
    for row, expected in ((one, as_one), (two, as_two)):
        assert {**row, **dict.fromkeys(varying)} == {**expected, **dict.fromkeys(varying)}
        assert row["created_at"] == row["updated_at"] < row["scheduled_for"]
        assert row["scheduled_for"] - row["created_at"] == expected["scheduled_for"] - expected["created_at"]
    assert one["unique_key"] != two["unique_key"]
    assert one["concurrency_key"] != two["concurrency_key"]
    assert (one["rate_key"], one["priority"]) == ("", -7)


@pytest.mark.parametrize("library", ["sqlite3", "psycopg", "asyncpg", "django-sqlite"], indirect=True)
def test_a_job_may_be_due_at_a_given_time(seat: Seat, place: Place) -> None:
    due = datetime(2030, 5, 1, 12, tzinfo=UTC)
    seat.later(Invoice, scheduled_for=due)
    seat.later_many(Invoice, ["a", "b"], scheduled_for=due)
    seat.commit()

    stored = due if place.url.startswith("postgresql") else int(due.timestamp() * 1000)
    assert [row["scheduled_for"] for row in place.rows()] == [stored] * 3


def test_an_unfinished_job_with_the_same_unique_key_is_the_answer(seat: Seat, place: Place) -> None:
    first, again = seat.later(OnceOnly, "ä"), seat.later(OnceOnly, "ä")
    assert (first, first.created, again.created) == (again, True, False)
    seat.commit()
    assert seat.later(OnceOnly, "ä") == first
    seat.commit()
    place.rows("UPDATE jobs SET status = 'completed'")
    second = seat.later(OnceOnly, "ä")
    seat.commit()

    assert second.created
    assert place.ids == [first, second]


def test_a_job_takes_the_place_of_a_pending_one_and_follows_a_running_one(seat: Seat, place: Place) -> None:
    options: EnqueueOptions = {"unique_key": "k", "on_conflict": "reschedule", "delay": timedelta(hours=1)}
    first = seat.later(Invoice, "one", **options)
    many = seat.later_many(Invoice, ["two", "three"], **options)
    seat.commit()
    assert [(one, one.created) for one in (first, *many)] == [(first, True), (first, False), (first, False)]
    (row,) = place.rows()
    assert json.loads(row["params"]) == {"text": "three"}

    place.rows("UPDATE jobs SET status = 'running', fencing_token = 't', worker_expires_at = created_at")
    second = seat.later(Invoice, "four", **options)
    seat.commit()

    assert second.created
    assert [(row["id"], row["replaced_by"]) for row in place.rows()] == [(first, second), (second, None)]


@on_each_database
@pytest.mark.parametrize("on_conflict", ["keep", "replace"])
def test_a_late_job_gives_up_its_unique_key(seat: Seat, place: Place, on_conflict: Literal["keep", "replace"]) -> None:
    late = datetime(2020, 5, 1, 12, tzinfo=UTC)
    first = seat.later(OnceOnly, "ä", scheduled_for=late, expires_after=timedelta(minutes=1))
    seat.commit()
    second = seat.later(OnceOnly, "ä", on_conflict=on_conflict)
    seat.commit()

    assert second.created
    assert [(row["id"], row["status"]) for row in place.rows()] == [(first, "cancelled"), (second, "pending")]


@on_postgresql
def test_the_owner_of_a_unique_key_may_finish_between_two_statements(
    seat: Seat, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = seat.later(OnceOnly)
    seat.commit()
    ask = Target.key_owners

    def finish_first(target: Target, jobs: Sequence[NewJob]) -> Call:
        place.rows("UPDATE jobs SET status = 'completed'")
        return ask(target, jobs)

    monkeypatch.setattr(Target, "key_owners", finish_first)
    second, others = seat.later(OnceOnly), seat.later_many(OnceOnly, ["hello", "other", "hello"])
    seat.commit()

    assert (second.created, second != first) == (True, True)
    assert place.ids == sorted({first, second, *others})


def test_many_jobs_are_answered_in_order(seat: Seat, place: Place) -> None:
    first = seat.later(OnceOnly, "b")
    many = seat.later_many(OnceOnly, ["a", "b", "c", "a"], delay=timedelta(minutes=1))
    seat.commit()

    assert [handle.created for handle in many] == [True, False, True, False]
    assert (many[1], many[3]) == (first, many[0])
    assert place.ids == sorted({first, *many})
    assert {json.loads(row["params"])["text"]: row["id"] for row in place.rows()} == dict(
        zip("abc", many, strict=False)
    )


def test_thousands_of_jobs_and_long_params_are_one_statement(seat: Seat, place: Place) -> None:
    texts = [f"{number} {'x' * 20_000 * (number % 1000 == 0)}" for number in range(1_200)]
    many = seat.later_many(Invoice, texts)
    seat.commit()

    assert [(row["id"], json.loads(row["params"])["text"]) for row in place.rows()] == list(
        zip(many, texts, strict=True)
    )


@on_each_database
def test_many_jobs_are_a_batch_with_a_completion_job(seat: Seat, place: Place) -> None:
    first = seat.later(OnceOnly, "a")
    batch = seat.later_many(OnceOnly, ["a", "b", "c"], then=Invoice.new_job({"text": "all"}, priority=9))
    assert place.ids == []
    seat.commit()

    rows = {row["id"]: row for row in place.rows()}
    assert sorted(rows) == sorted({first, *batch, batch.id})
    assert [rows[one]["batch_id"] for one in batch] == [None, batch.id, batch.id]
    assert (rows[batch.id]["job_name"], rows[batch.id]["priority"]) == ("Invoice", 9)
    counts, ran = asyncio.run(_run_batch(place.url, batch.id))
    assert (counts.total, counts.completed, ran) == (2, 2, JobStatus.COMPLETED)


async def _run_batch(url: str, batch_id: str) -> tuple[BatchCounts, JobStatus]:
    """Run all jobs. Return the counts of the batch, and the status of its completion job."""
    registry = create_job_registry().register(OnceOnly).register(Invoice)
    async with connect(registry, url) as backend:
        await Worker(backend, until_empty=True).run()
        counts = await (await OnceOnly.find_batch(batch_id)).counts()
        return counts, await Invoice.handle(batch_id).status()


def test_fakes_can_tell_async_transactions(seat: Seat, library: str) -> None:
    opened = OPENINGS[library][1]
    assert is_async(seat.transaction) is ("async" in opened.__name__ or "asyncpg" in library or "aiosqlite" in library)
    assert not is_async("default")


def test_the_coroutine_has_the_name_of_the_call_for_the_warning_about_a_forgotten_await(seat: Seat) -> None:
    calls = Invoice.later_in(seat.transaction, {"text": "a"}), Invoice.later_many_in(seat.transaction, [{"text": "a"}])
    if is_async(seat.transaction):
        assert [call.__qualname__ for call in calls] == ["Invoice.later_in", "Invoice.later_many_in"]
    for call in calls:
        seat.run(call)


@on_each_database
def test_no_jobs_are_no_statement(seat: Seat, place: Place) -> None:
    assert list(seat.later_many(Invoice, [])) == []
    seat.commit()
    assert place.ids == []


@on_each_database
def test_params_that_do_not_fit_leave_the_transaction_usable(seat: Seat, place: Place) -> None:
    with pytest.raises(InvalidParamsError, match="/text"):
        seat.run(Invoice.later_in(seat.transaction, {}))
    with pytest.raises(InvalidParamsError, match="/text"):
        seat.run(Invoice.later_many_in(seat.transaction, [{"text": "a"}, {}]))
    job_id = seat.later(Invoice)
    seat.commit()
    assert place.ids == [job_id]


class Marking(Middleware):
    """Adds a header, and records what it surrounds."""

    def __init__(self) -> None:
        self.notes: list[object] = []

    @contextmanager
    def around_enqueue(self, enqueue: Enqueue) -> Iterator[None]:
        self.notes.append(enqueue.count)
        enqueue.headers["note"] = "hello"
        yield
        self.notes.append("stored")


@on_each_database
def test_middleware_surrounds_the_statement_and_its_headers_are_stored(seat: Seat, place: Place) -> None:
    marking, job = Marking(), text_job(echo, "Marked")
    registry = create_job_registry().register(job).use(marking)
    seat.later(job)
    seat.later_many(job, ["a", "b"])
    assert marking.notes == [1, "stored", 2, "stored"]
    seat.commit()

    assert [json.loads(row["headers"]) for row in place.rows()] == [{"note": "hello"}] * 3
    assert not registry.hooks.is_empty


@pytest.mark.parametrize("change", ["TABLE jobs RENAME TO former_jobs", "TABLE jobs RENAME COLUMN headers TO other"])
def test_missing_tables_and_columns_name_the_database_and_the_command_and_no_params(
    seat: Seat, place: Place, change: str
) -> None:
    seat.execute(f"ALTER {change}")
    with pytest.raises(SchemaMissingError, match=r"outdated in [^\n]*; run `server-jobs migrate`") as caught:
        seat.later(Invoice, "secret" * 2)
    assert f"{place.url.rpartition('/')[2]}: " in str(caught.value)
    assert "secretsecret" not in "".join(format_exception(caught.value))
    seat.rollback()


@on_postgresql
def test_a_commit_sends_one_notification(seat: Seat, place: Place) -> None:
    with psycopg.connect(place.url, autocommit=True) as listener:
        listener.execute(f"LISTEN {POSTGRES_CHANNEL}")
        seat.later(Invoice)
        seat.later_many(Invoice, ["a", "b"])
        assert list(listener.notifies(timeout=0)) == []
        seat.commit()
        assert len(list(listener.notifies(timeout=30, stop_after=1))) == 1
        assert list(listener.notifies(timeout=0.01)) == []


@on_postgresql
def test_the_limits_of_the_transaction_stay_as_the_application_set_them(seat: Seat) -> None:
    seat.execute("SET LOCAL lock_timeout = '7s'")
    seat.later(Invoice)
    seat.later_many(Invoice, ["a", "b"])
    seat.execute("SELECT 1 / (current_setting('lock_timeout') = '7s')::int")


@pytest.mark.parametrize("library", AUTOCOMMITS)
def test_outside_a_transaction_the_job_is_committed_at_once(library: str, tmp_path: Path) -> None:
    kind, opening = AUTOCOMMITS[library]
    with place_of(kind, tmp_path) as place, seated(opening, place.url) as seat:
        one, two, many = seat.later(OnceOnly, "one"), seat.later(OnceOnly, "one"), seat.later_many(OnceOnly, ["b", "c"])
        assert (one, two.created) == (two, False)
        assert place.ids == [one, *many]
