"""`later_in` in the transaction of another database is refused, with every library, before anything is stored."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from server_jobs import Databases, InvalidOptionError, JobOptions, SchemaMissingError, create_job_registry
from server_jobs.named_databases import Databases as Named

from tests.conformance.stores import create_sqlite_file
from tests.runtime.example_jobs import TextJob, echo, text_job
from tests.runtime.transactions.seats import OPENINGS, seated

from .conftest import named_databases
from .letters import VARIABLES

Note = text_job(echo, "Note", JobOptions(shard_by="/text"))
"""A job whose text is the name of its database."""


def note_in(urls: Mapping[str, str]) -> TextJob:
    """Return the job, bound to these databases, of which none is open."""
    registry = create_job_registry(databases=VARIABLES, database_of=str).register(Note)
    return Note.using(Databases(registry, databases=urls))


@pytest.mark.parametrize("library", OPENINGS)
def test_a_transaction_in_another_database_is_refused(library: str, tmp_path: Path) -> None:
    kind, opening = OPENINGS[library]
    with named_databases(kind, tmp_path) as urls, seated(opening, urls["us"]) as seat:
        note = note_in(urls)
        with pytest.raises(
            InvalidOptionError, match="transaction is in the database us, and these params belong to the database eu"
        ):
            seat.later(note, "eu")
        with pytest.raises(InvalidOptionError, match="begin the transaction there, or call `later`"):
            seat.later_many(note, ["eu", "eu"])
        with pytest.raises(InvalidOptionError, match="Note of 'eu' belongs to eu and Note of 'us' belongs to us"):
            seat.later_many(note, ["eu", "us"])
        handle = seat.later(note, "us")
        assert handle.created
        batch = seat.later_many(note, ["us", "us"])
        seat.commit()
        assert jobs_in(urls) == {"eu": 0, "us": 3}
        assert (handle.status_sync(), batch.counts_sync().total) == ("pending", 2)


def jobs_in(urls: Mapping[str, str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name, url in urls.items():
        if url.startswith("sqlite"):
            with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
                (counts[name],) = file.execute("SELECT count(*) FROM jobs").fetchone()
        else:
            with psycopg.connect(url) as connection:
                ((counts[name],),) = connection.execute("SELECT count(*) FROM jobs").fetchall()
    return counts


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Mapping[str, str]]:
    with named_databases("sqlite", tmp_path) as urls:
        yield urls


def test_a_transaction_in_a_database_without_a_name_is_refused(files: Mapping[str, str], tmp_path: Path) -> None:
    create_sqlite_file(tmp_path / "other")
    with closing(sqlite3.connect(tmp_path / "other")) as other:
        with pytest.raises(SchemaMissingError, match="run `server-jobs migrate`"):
            note_in(files).later_in(other, {"text": "eu"})
        other.execute("CREATE TABLE server_jobs_database (name text)")
        with pytest.raises(InvalidOptionError, match="in a database without a name"):
            note_in(files).later_in(other, {"text": "eu"})
        assert other.execute("SELECT count(*) FROM jobs").fetchone() == (0,)


def test_a_class_that_is_bound_to_one_database_refuses_params_of_another(files: Mapping[str, str]) -> None:
    registry = create_job_registry(databases=VARIABLES, database_of=str).register(Note)
    note = Note.using(Named(registry, databases=files)["us"])
    with closing(sqlite3.connect(files["eu"].removeprefix("sqlite:///"))) as eu:
        with pytest.raises(InvalidOptionError, match="belongs to the database 'eu', not to 'us'"):
            note.later_in(eu, {"text": "eu"})
        with pytest.raises(InvalidOptionError, match="transaction is in the database eu, and these params belong"):
            note.later_in(eu, {"text": "us"})


def test_a_class_without_a_backend_knows_the_databases_of_its_registry(files: Mapping[str, str]) -> None:
    registry = create_job_registry(databases=VARIABLES, database_of=str)
    alone = text_job(echo, "Alone", JobOptions(shard_by="/text"))
    registry.register(alone)
    with closing(sqlite3.connect(files["eu"].removeprefix("sqlite:///"))) as eu:
        assert alone.later_in(eu, {"text": "eu"}).created
        with pytest.raises(InvalidOptionError, match="transaction is in the database eu, and these params belong"):
            alone.later_in(eu, {"text": "us"})
        with pytest.raises(InvalidOptionError, match="must belong to one database"):
            alone.insert_jobs([{"text": "eu"}, {"text": "us"}], dialect="sqlite", paramstyle="qmark")


def test_the_statement_of_insert_jobs_is_of_one_database(files: Mapping[str, str]) -> None:
    note = note_in(files)
    with pytest.raises(InvalidOptionError, match="must belong to one database"):
        note.insert_jobs([{"text": "eu"}, {"text": "us"}], dialect="sqlite", paramstyle="qmark")
    assert len(note.insert_jobs([{"text": "us"}] * 2, dialect="sqlite", paramstyle="qmark").ids) == 2
    assert note.insert_job({"text": "eu"}, dialect="postgresql", paramstyle="format").sql


def test_one_database_is_asked_for_no_name(tmp_path: Path) -> None:
    create_sqlite_file(tmp_path / "one")
    statements: list[str] = []
    with closing(sqlite3.connect(tmp_path / "one")) as one:
        one.set_trace_callback(statements.append)
        text_job(echo, "Plain").later_in(one, {"text": "x"})
    assert not any("server_jobs_database" in statement for statement in statements)
    assert any("INSERT" in statement for statement in statements)
