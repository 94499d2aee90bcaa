"""`connect` binds the jobs of a registry while its block runs, and leaves no trace."""

from __future__ import annotations

from pathlib import Path

import pytest
from server_jobs import SchemaMissingError, connect, create_job_registry

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


async def test_a_connection_that_cannot_be_opened_binds_nothing(tmp_path: Path) -> None:
    job = text_job(echo)
    with pytest.raises(SchemaMissingError):
        async with connect(create_job_registry().register(job), f"sqlite:///{tmp_path}/empty.sqlite3"):
            pass
    assert job.backend is None
