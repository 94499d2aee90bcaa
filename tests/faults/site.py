"""A database for fault tests, with a history written by triggers and the notes of the workers."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from server_jobs import connect
from server_jobs.domain.clock import SQLITE_NOW
from server_jobs.schema import metadata
from sqlalchemy import create_engine

from tests.conformance.stores import create_sqlite_file
from tests.faults.jobs import Nap, NarrowNap, TakeNap, storm_registry
from tests.faults.plans import Plan, WorkerPlan
from tests.faults.processes import Nursery, Process
from tests.generator.databases import postgres_database

Rows = Sequence[tuple[object, ...]]

KINDS = ("sqlite", "postgresql")

_HISTORY = """
CREATE TABLE history (
  moment {serial}, happened_at BIGINT, job_id TEXT, old_status TEXT, new_status TEXT, old_attempt INTEGER,
  new_attempt INTEGER, max_attempts INTEGER, old_token TEXT, new_token TEXT, old_result TEXT, new_result TEXT,
  old_error TEXT, new_error TEXT, old_message TEXT, new_message TEXT);
"""
_COLUMNS = (
    "happened_at, job_id, old_status, new_status, old_attempt, new_attempt, max_attempts, old_token, new_token, "
    "old_result, new_result, old_error, new_error, old_message, new_message"
)
_NOTE = f"""INSERT INTO history ({_COLUMNS})
  VALUES ({{now}}, new.id, {{old}}.status, new.status, {{old}}.attempt_count, new.attempt_count, new.max_attempts,
          {{old}}.fencing_token, new.fencing_token, {{old}}.result, new.result, {{old}}.error, new.error,
          {{old}}.progress_message, new.progress_message);"""
_SQLITE_NOTE = _NOTE.format(now=SQLITE_NOW, old="old")
_SQLITE = f"""{_HISTORY.format(serial="INTEGER PRIMARY KEY")}
CREATE TRIGGER jobs_inserted AFTER INSERT ON jobs BEGIN
  INSERT INTO history (happened_at, job_id, new_status, new_attempt, max_attempts, new_token)
  VALUES ({SQLITE_NOW}, new.id, new.status, new.attempt_count, new.max_attempts, new.fencing_token);
END;
CREATE TRIGGER jobs_updated AFTER UPDATE ON jobs BEGIN {_SQLITE_NOTE} END;
CREATE TRIGGER jobs_kept BEFORE DELETE ON jobs BEGIN SELECT RAISE(ABORT, 'a job was deleted'); END;
"""
_POSTGRES_NOW = "floor(extract(epoch FROM clock_timestamp()) * 1000)"
_POSTGRES = f"""{_HISTORY.format(serial="BIGSERIAL PRIMARY KEY")}
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  {_NOTE.format(now=_POSTGRES_NOW, old="old")}
  RETURN NULL;
END $$;
CREATE TRIGGER jobs_changed AFTER INSERT OR UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION note_change();
CREATE FUNCTION keep_jobs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'a job was deleted'; END $$;
CREATE TRIGGER jobs_kept BEFORE DELETE ON jobs FOR EACH ROW EXECUTE FUNCTION keep_jobs();
"""


@dataclass(frozen=True, slots=True)
class Change:
    """One insert (`old_status` None) or update of a row."""

    happened_at: int
    job_id: str
    old_status: str | None
    new_status: str
    old_attempt: int | None
    new_attempt: int
    max_attempts: int
    old_token: str | None
    new_token: str | None
    old_result: str | None
    new_result: str | None
    old_error: str | None
    new_error: str | None
    old_message: str | None
    new_message: str | None


@dataclass(frozen=True, slots=True)
class Note:
    """One line of a worker's file: an attempt started, or ended in reported success or failure."""

    process: int
    event: str
    job_id: str
    attempt: int
    token: str


class Site:
    """A database with its history, and the processes of one test on it."""

    def __init__(self, url: str, folder: Path, nursery: Nursery) -> None:
        self.url = url
        self.folder = folder
        self.nursery = nursery
        self.processes: list[Process] = []
        self._sqlite: sqlite3.Connection | None = None

    @property
    def is_sqlite(self) -> bool:
        """Return whether the database is a file."""
        return self.url.startswith("sqlite:")

    @property
    def path(self) -> Path:
        """Return the SQLite file."""
        return Path(self.url.removeprefix("sqlite:///"))

    def query(self, sql: str) -> Rows:
        """Return the rows of one statement."""
        if not self.is_sqlite:
            with psycopg.connect(self.url, autocommit=True) as connection:
                cursor = connection.execute(sql.encode())
                return cursor.fetchall() if cursor.description else []
        if self._sqlite is None:
            self._sqlite = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        return self._sqlite.execute(sql).fetchall()

    def enqueue(self, naps: Sequence[Nap], narrow_naps: Sequence[Nap] = ()) -> list[str]:
        """Store a job for each nap; the narrow ones have a concurrency limit."""

        async def store() -> list[str]:
            async with connect(storm_registry(), self.url):
                handles = [*await TakeNap.later_many(naps), *await NarrowNap.later_many(narrow_naps)]
                return [str(handle) for handle in handles]

        return asyncio.run(store())

    def worker_plan(self, **options: object) -> WorkerPlan:
        """Return the plan of a worker on this database."""
        usual = {"url": self.url, "notes": str(self.folder / "notes"), "log": str(self.folder / "log")}
        return WorkerPlan(**{**usual, **options})  # type: ignore[arg-type]  # options of the plan

    def start(self, plan: Plan) -> Process:
        """Start a process on this database."""
        process = self.nursery.start(plan)
        self.processes.append(process)
        return process

    def statuses(self) -> Counter[str]:
        """Return the number of jobs in each status."""
        return Counter(
            {str(row[0]): int(str(row[1])) for row in self.query("SELECT status, count(*) FROM jobs GROUP BY status")}
        )

    def finished(self) -> int:
        """Return how many jobs have ended, in any way."""
        statuses = self.statuses()
        return statuses["completed"] + statuses["failed"] + statuses["cancelled"]

    def column(self, name: str) -> Mapping[str, object]:
        """Return one column of each job."""
        return {str(row[0]): row[1] for row in self.query(f"SELECT id, {name} FROM jobs")}

    def history(self) -> list[Change]:
        """Return every insert and update, in order."""
        return [Change(*row) for row in self.query(f"SELECT {_COLUMNS} FROM history ORDER BY moment")]  # type: ignore[arg-type]

    def notes(self) -> list[Note]:
        """Return the notes of the workers."""
        lines = self._text("notes").splitlines()
        fields = [line.split() for line in lines]
        return [Note(int(one[0]), one[1], one[2], int(one[3]), one[4]) for one in fields]

    def log(self) -> list[str]:
        """Return the log lines of the workers, each with its process."""
        return self._text("log").splitlines()

    def wait(self, condition: Callable[[], bool], *, seconds: float = 90) -> None:
        """Wait until the condition is true; fails after that many seconds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited too long; {self.statuses()}; {self.log()[-20:]}"
            time.sleep(0.01)

    def stop(self, *workers: Process) -> None:
        """Stop workers normally."""
        for worker in workers:
            worker.send(signal.SIGTERM)
        assert [worker.wait() for worker in workers] == [0] * len(workers), self.log()[-20:]

    def close(self) -> None:
        """Kill the remaining processes."""
        for process in self.processes:
            if process.is_alive():
                process.kill()
        if self._sqlite is not None:
            self._sqlite.close()

    def _text(self, name: str) -> str:
        path = self.folder / name
        return path.read_text(encoding="utf-8") if path.exists() else ""


@contextmanager
def open_site(kind: str, folder: Path, nursery: Nursery) -> Iterator[Site]:
    """Open a site on a new database of that kind, with empty tables."""
    if kind == "sqlite":
        path = folder / "jobs.sqlite3"
        create_sqlite_file(path)
        with _using(Site(f"sqlite:///{path}", folder, nursery)) as site:
            keep_history(site)
            yield site
    else:
        with postgres_database() as url:
            create_tables(url)
            with _using(Site(url, folder, nursery)) as site:
                keep_history(site)
                yield site


def create_tables(url: str) -> None:
    """Create our tables in a PostgreSQL database."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    metadata.create_all(engine)
    engine.dispose()


def keep_history(site: Site) -> None:
    """Record every change of a job from now on, in rows that nothing deletes."""
    if not site.is_sqlite:
        site.query(_POSTGRES)
        return
    connection = sqlite3.connect(site.path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(_SQLITE)
    connection.close()


@contextmanager
def _using(site: Site) -> Iterator[Site]:
    try:
        yield site
    finally:
        site.close()
