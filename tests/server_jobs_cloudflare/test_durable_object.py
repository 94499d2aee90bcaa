"""The database inside a Durable Object, and its revisions, on a fake of its storage."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from server_jobs.domain.interfaces import Row, Statement, Value
from server_jobs.errors import DatabaseError, SchemaMissingError, ValueTooLargeError
from server_jobs_cloudflare.databases.durable_object import DurableObjectDatabase
from server_jobs_cloudflare.databases.revisions import ObjectSchema, newest, revisions_in

from tests.server_jobs_cloudflare.object_storage import FakeStorage

Call = tuple[Statement, Mapping[str, Value]]

TABLE = "CREATE TABLE notes (text TEXT, number INTEGER)"
INSERT = Statement("INSERT INTO notes (text, number) VALUES (:text, :number)", writes=True)
READ = Statement("SELECT text, number FROM notes ORDER BY rowid", writes=False)


@pytest.fixture
def database() -> DurableObjectDatabase:
    database = DurableObjectDatabase(FakeStorage())
    database.execute(TABLE)
    return database


def note(text: str | None, number: int) -> Call:
    return INSERT, {"text": text, "number": number}


def rows(database: DurableObjectDatabase) -> list[Row]:
    (found,) = asyncio.run(database.run((READ, {})))
    return list(found)


def test_the_statements_of_a_call_are_one_transaction(database: DurableObjectDatabase) -> None:
    broken = Statement("INSERT INTO notes (text, number) VALUES (:text, abs(-9223372036854775808))", writes=True)

    asyncio.run(database.run(note("first", 1), note(None, 2)))
    with pytest.raises(DatabaseError, match="the Durable Object refused a statement: integer overflow"):
        asyncio.run(database.run(note("third", 3), (broken, {"text": "x"})))

    assert rows(database) == [{"text": "first", "number": 1}, {"text": None, "number": 2}]


def test_nothing_is_executed_if_the_look_finds_no_rows(database: DurableObjectDatabase) -> None:
    call = note("a", 1)

    assert asyncio.run(database.run(call, look=(READ, {}))) == [[]]
    assert rows(database) == []
    asyncio.run(database.run(call))
    asyncio.run(database.run(call, look=(READ, {})))
    assert len(rows(database)) == 2


def test_bytes_of_other_programs_are_read_as_bytes(database: DurableObjectDatabase) -> None:
    database.execute("INSERT INTO notes (text) VALUES (CAST('abc' AS BLOB))")

    assert rows(database) == [{"text": b"abc", "number": None}]


def test_errors_say_what_the_object_cannot_store(database: DurableObjectDatabase) -> None:
    with pytest.raises(DatabaseError, match=f"the Durable Object cannot bind the integer {2**53}: it is beyond"):
        asyncio.run(database.run(note("a", 2**53)))
    with pytest.raises(ValueTooLargeError, match="the Durable Object stores at most 2,000,000 bytes in a row"):
        asyncio.run(database.run(note("a" * 2_000_001, 1)))
    with pytest.raises(SchemaMissingError, match="no such table: jobs"):
        asyncio.run(database.run((Statement("SELECT id FROM jobs", writes=False), {})))


def revision(name: str, follows: str, sql: str) -> str:
    return f"-- server_jobs_{name} as plain SQL. If Alembic\n-- Follows: {follows}\n-- Checksum: 1\n\n{sql};\n"


FIRST = revision("0001_a", "nothing", "CREATE TABLE one (n)")
SECOND = revision("0002_b", "server_jobs_0001_a", "ALTER TABLE one ADD COLUMN b;\n\nCREATE TABLE two (n)")
BRANCH = revision("0002_a", "server_jobs_0001_a", "CREATE TABLE branch (n)")
MERGE = revision("0003_c", "server_jobs_0002_a, server_jobs_0002_b", "CREATE TABLE three (n)")


def upgraded(storage: FakeStorage, **files: str) -> set[str]:
    """Run these revisions, and return the names of the tables."""
    database = DurableObjectDatabase(storage)
    ObjectSchema(database, revisions_in({f"{name}.sql": text for name, text in files.items()})).upgrade()
    return {str(row["name"]) for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_a_deploy_runs_only_new_revisions() -> None:
    storage = FakeStorage()

    assert upgraded(storage, a=FIRST) == {"server_jobs_version", "one"}
    assert upgraded(storage, a=FIRST) == {"server_jobs_version", "one"}
    assert upgraded(storage, a=FIRST, b=SECOND) == {"server_jobs_version", "one", "two"}


def test_a_merge_runs_the_revisions_of_the_other_branch() -> None:
    storage = FakeStorage()
    upgraded(storage, a=FIRST, b=SECOND)

    tables = upgraded(storage, a=FIRST, aa=BRANCH, b=SECOND, c=MERGE)

    assert tables == {"server_jobs_version", "one", "two", "branch", "three"}
    recorded = DurableObjectDatabase(storage).execute("SELECT version_num FROM server_jobs_version")
    assert recorded == [{"version_num": "server_jobs_0003_c"}]


def test_an_object_of_a_newer_release_stays_as_it_is() -> None:
    storage = FakeStorage()
    upgraded(storage, a=FIRST, b=SECOND)

    assert upgraded(storage, a=FIRST) == {"server_jobs_version", "one", "two"}
    assert upgraded(storage, a=FIRST, aa=BRANCH) == {"server_jobs_version", "one", "two"}


def test_a_revision_that_fails_changes_nothing() -> None:
    storage = FakeStorage()
    upgraded(storage, a=FIRST)
    broken = revision("0002_b", "server_jobs_0001_a", "CREATE TABLE two (n);\n\nCREATE TABLE one (n)")

    with pytest.raises(DatabaseError, match="table one already exists"):
        upgraded(storage, a=FIRST, b=broken)
    assert upgraded(storage, a=FIRST) == {"server_jobs_version", "one"}


def test_a_file_without_its_head_is_no_revision() -> None:
    with pytest.raises(DatabaseError, match=r"0001_a\.sql does not say which revision it is and follows"):
        revisions_in({"0001_a.sql": "CREATE TABLE one (n);"})


def test_the_newest_revisions_are_those_that_none_follows() -> None:
    files = revisions_in({"a": FIRST, "aa": BRANCH, "b": SECOND})

    assert newest(files) == ["server_jobs_0002_a", "server_jobs_0002_b"]
