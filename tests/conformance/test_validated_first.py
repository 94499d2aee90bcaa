"""`later_many` validates all params before it begins a transaction, so that no transaction is idle."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import BaseModel, field_validator
from server_jobs import InvalidParamsError, JobContext, create_job_registry, define_job
from server_jobs.databases.postgres.database import PostgresDatabase
from server_jobs.engine.backend import Backend
from server_jobs.testing import FakeClock

from tests.conformance.postgres_databases import postgres_connection
from tests.conformance.stores import OpenStore

OPEN_TRANSACTIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start < now()"
MANY = 2500  # jobs for more than one statement

look: Callable[[], None] = lambda: None  # noqa: E731  replaced by tests


class Params(BaseModel):
    """Params whose validation checks the state of the database."""

    number: int

    @field_validator("number")
    @classmethod
    def _seen(cls, number: int) -> int:
        if number == MANY - 1:
            look()
        if number < 0:
            raise ValueError("negative")
        return number


async def handle(params: Params, context: JobContext) -> Params:
    """Return the params."""
    return params


Look = define_job(name="Look", params=Params, result=Params, handler=handle)


async def test_no_transaction_is_open_while_params_are_validated(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    backend = Backend(database=PostgresDatabase(url), job_registry=create_job_registry().register(Look))
    with postgres_connection(url) as connection:
        monkeypatch.setitem(
            globals(), "look", lambda: seen.extend(count for (count,) in connection.execute(OPEN_TRANSACTIONS))
        )
        handles = await Look.using(backend).later_many([{"number": number} for number in range(MANY)])

    assert len(handles) == MANY
    assert seen
    assert set(seen) == {0}
    await backend.shutdown()


async def test_one_job_that_does_not_fit_its_spec_keeps_all_from_being_stored(
    open_store: OpenStore, clock: FakeClock
) -> None:
    async with open_store(clock) as store:
        backend = Backend(database=store, job_registry=create_job_registry().register(Look))

        with pytest.raises(InvalidParamsError):
            await Look.using(backend).later_many([{"number": 1}, {"number": 2}, {"number": -1}])

        assert list(await store.count_jobs()) == []
