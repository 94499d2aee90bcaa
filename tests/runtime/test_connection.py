"""`connect` binds the jobs of a registry while its block runs; `set_database` binds them until they are bound again."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from server_jobs import Backend, InvalidOptionError, SchemaMissingError, connect, create_job_registry, set_database

from tests.conformance.stores import create_sqlite_file
from tests.runtime.example_jobs import echo, text_job


def new_url(folder: Path, name: str) -> str:
    """Return the URL of a new file with empty tables."""
    create_sqlite_file(folder / name)
    return f"sqlite:///{folder}/{name}"


async def test_after_a_connection_in_another_the_jobs_go_to_the_outer_one(tmp_path: Path) -> None:
    job = text_job(echo)
    registry = create_job_registry().register(job)
    async with connect(registry, new_url(tmp_path, "outer.sqlite3")) as outer:
        async with connect(registry, new_url(tmp_path, "inner.sqlite3")) as inner:
            assert job.backend is inner
        assert job.backend is outer
        assert (await job.now({"text": "x"})).ok
    assert job.backend is None


async def test_a_database_that_was_set_before_is_that_of_the_job_again(tmp_path: Path) -> None:
    job, other = text_job(echo), text_job(echo, "Other")
    job.set_database("sqlite://")
    earlier = job.backend
    async with connect(create_job_registry().register(job).register(other), new_url(tmp_path, "jobs.sqlite3")):
        assert job.backend is other.backend
    assert job.backend is earlier
    assert other.backend is None


async def test_a_backend_is_opened_with_its_own_database_and_closed_at_the_end(tmp_path: Path) -> None:
    job = text_job(echo)
    url = new_url(tmp_path, "jobs.sqlite3")
    backend = Backend(database=url, job_registry=create_job_registry().register(job))

    async with connect(backend) as opened:
        bound = job.backend
        assert (await job.now({"text": "x"})).ok
    assert opened is bound is backend
    assert job.backend is None
    with pytest.raises(InvalidOptionError, match="a backend has its own database"):
        async with connect(backend, url):
            pass


async def test_a_connection_that_cannot_be_opened_binds_nothing(tmp_path: Path) -> None:
    job = text_job(echo)
    with pytest.raises(SchemaMissingError):
        async with connect(create_job_registry().register(job), f"sqlite:///{tmp_path}/empty.sqlite3"):
            pass
    assert job.backend is None


def test_set_database_binds_every_job_to_the_given_database_or_that_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = text_job(echo, "First"), text_job(echo, "Second")
    registry = create_job_registry().register(first, echo).register(second, echo)
    monkeypatch.setenv("SERVER_JOBS_DATABASE_URL", f"sqlite:///{tmp_path}/named")

    for name, url in (("given", f"sqlite:///{tmp_path}/given"), ("named", None)):
        create_sqlite_file(tmp_path / name)
        set_database(registry, url)
        first.later_sync({"text": name})
        second.later_sync({"text": name})

    for name in ("given", "named"):
        with closing(sqlite3.connect(tmp_path / name)) as connection:
            stored = connection.execute("SELECT job_name, params ->> 'text' FROM jobs ORDER BY 1").fetchall()
        assert stored == [("First", name), ("Second", name)]
