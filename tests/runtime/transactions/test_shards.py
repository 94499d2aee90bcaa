"""`later_in` in the database of another shard is refused, with every library, if it is certain."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from server_jobs import Backend, InvalidOptionError, JobOptions, create_job_registry

from tests.conformance.postgres_databases import new_database
from tests.conformance.stores import create_sqlite_file
from tests.runtime.example_jobs import TextJob, echo, text_job

from .seats import OPENINGS, seated

Letter = text_job(echo, "Letter", JobOptions(shard_by="/text"))
"""A job whose text names its shard."""

SHARD_OF = {"eu": "eu", "us": "us"}


@contextmanager
def urls_of(kind: str, folder: Path) -> Iterator[Mapping[str, str]]:
    """Two databases of this kind with our tables."""
    with ExitStack() as databases:
        if kind == "postgresql":
            yield {shard: databases.enter_context(new_database()) for shard in SHARD_OF}
            return
        for shard in SHARD_OF:
            create_sqlite_file(folder / shard)
        yield {shard: f"sqlite:///{folder / shard}" for shard in SHARD_OF}


def sharded(urls: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> TextJob:
    """Return the job on a backend of these shards, which is not open."""
    for shard, url in urls.items():
        monkeypatch.setenv(f"URL_{shard}", url)
    listed = ",".join(f"{shard}=URL_{shard}" for shard in urls)
    url = f"shards:{listed}?by={__name__}:SHARD_OF"
    return Letter.using(Backend(database=url, job_registry=create_job_registry().register(Letter)))


@pytest.mark.parametrize("library", OPENINGS)
def test_a_transaction_in_the_database_of_another_shard_is_refused(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, opening = OPENINGS[library]
    with urls_of(kind, tmp_path) as urls, seated(opening, urls["us"]) as seat:
        job = sharded(urls, monkeypatch)
        with pytest.raises(
            InvalidOptionError, match="in the database of the shard us, and the shard of these params is eu"
        ):
            seat.later(job, "eu")
        with pytest.raises(InvalidOptionError, match="begin the transaction in the database of the shard eu"):
            seat.later_many(job, ["eu", "eu"])
        assert seat.later(job, "us").created
        seat.commit()


def test_a_database_of_another_kind_or_another_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = sharded({"eu": "postgresql://eu.example.com/jobs", "us": f"sqlite:///{tmp_path / 'us'}"}, monkeypatch)
    for name in ("us", "other"):
        create_sqlite_file(tmp_path / name)
    with closing(sqlite3.connect(tmp_path / "us")) as us, closing(sqlite3.connect(tmp_path / "other")) as other:
        with pytest.raises(InvalidOptionError, match="on sqlite, and the shard eu is on postgresql"):
            job.later_in(us, {"text": "eu"})
        with pytest.raises(
            InvalidOptionError, match="a database that is no shard, and the shard of these params is us"
        ):
            job.later_in(other, {"text": "us"})
        other.execute("ATTACH ? AS shard", (str(tmp_path / "us"),))
        job.later_in(other, {"text": "us"})


def test_an_address_that_may_be_the_shard_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with urls_of("postgresql", tmp_path) as urls, psycopg.connect(urls["us"]) as us:
        job = sharded({**urls, "us": "postgresql://proxy.example.com/us"}, monkeypatch)
        job.later_in(us, {"text": "us"})


@pytest.mark.parametrize("host", ["127.0.0.1", "other.example.com"])
def test_schemas_of_one_database_are_told_apart(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with new_database() as url:
        with psycopg.connect(url) as owner:
            for shard in SHARD_OF:
                owner.execute(f"CREATE SCHEMA {shard}; CREATE TABLE {shard}.jobs (LIKE jobs INCLUDING ALL)".encode())
        us_url = f"{url}?options=-c%20search_path%3Dus"
        job = sharded({"eu": f"{url.replace('127.0.0.1', host)}?options=-csearch_path%3Deu", "us": us_url}, monkeypatch)
        with psycopg.connect(us_url) as us:
            with pytest.raises(InvalidOptionError, match="in the database of the shard us, and the shard of these"):
                job.later_in(us, {"text": "eu"})
            job.later_in(us, {"text": "us"})
            us.execute("SET LOCAL search_path = eu")  # the transaction chooses the tenant
            job.later_in(us, {"text": "eu"})


def test_the_statement_of_insert_job_is_refused_for_another_kind_and_for_several_shards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = sharded({"eu": "postgresql://eu.example.com/jobs", "us": "sqlite:///us.sqlite3"}, monkeypatch)
    assert job.insert_job({"text": "eu"}, dialect="postgresql", paramstyle="format").ids
    with pytest.raises(InvalidOptionError, match="on sqlite, and the shard eu is on postgresql"):
        job.insert_job({"text": "eu"}, dialect="sqlite", paramstyle="named")
    with pytest.raises(InvalidOptionError, match=r"in several shards \(eu, us\)"):
        job.insert_jobs([{"text": "eu"}, {"text": "us"}], dialect="sqlite", paramstyle="named")
