"""Protections that only PostgreSQL needs: without each one, its test fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import psycopg
import pytest
from server_jobs.databases.postgres import connection as postgres_connection
from server_jobs.databases.postgres import driver as postgres_driver
from server_jobs.domain.record import Claim, Settlement
from server_jobs.errors import DatabaseError
from server_jobs.stores.sql.dialect import statements_of
from server_jobs.stores.sql.parameters import CallMaker

from tests.conformance.claims import test_limit_races
from tests.conformance.examples import completed, failed
from tests.conformance.postgres import test_postgres, test_postgres_plans, test_postgres_pooler, test_postgres_trouble
from tests.conformance.postgres.test_postgres_silence import nothing_is_under_way
from tests.conformance.postgres.test_postgres_trouble import LAST
from tests.conformance.postgres_databases import empty_database
from tests.conformance.postgres_databases import postgres_connection as connected
from tests.sabotage import sabotage
from tests.slow import slow

A_SECOND = 1
RACES = 5


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the time limits of tests that would wait forever."""
    for module in (test_postgres, test_postgres_trouble):
        monkeypatch.setattr(module, "SECONDS", A_SECOND)


def without(monkeypatch: pytest.MonkeyPatch, fragment: str, name: str, instead: str) -> None:
    sabotage(monkeypatch, statements_of("postgresql"), name, fragment, instead)


def on_a_new_database(test: Callable[[str, psycopg.Connection], Awaitable[None]]) -> None:
    async def run() -> None:
        with empty_database() as url, connected(url) as connection:
            try:
                await test(url, connection)
            finally:
                await nothing_is_under_way()

    asyncio.run(run())


def test_without_the_lock_around_claims_with_limits_a_limit_is_exceeded(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "DO UPDATE SET id = excluded.id WHERE false", "LOCK_LIMITS", "DO NOTHING")

    # Claims that do not wait for each other may also find each other's rows in another order.
    with pytest.raises((AssertionError, DatabaseError)):
        race_again_and_again()


def race_again_and_again() -> None:
    """Repeat the race, because a single one may pass by chance."""
    for _ in range(RACES):
        test_limit_races.test_many_claimers_never_exceed_a_limit_of_a_key(test_limit_races.on_postgresql)


@pytest.mark.parametrize(("way", "name"), [("insert", "INSERT_ONE"), slow("start", "START"), slow("fire", "FIRE")])
def test_without_a_limit_an_insert_waits_for_a_unique_key_forever(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, impatient: None, way: str, name: str
) -> None:
    without(monkeypatch, "'lock_timeout'", name, "'server_jobs.nothing'")
    # FIRE runs with a second statement, in a transaction with its own limit.
    begin = postgres_connection.BEGIN.replace("LOCAL lock_timeout", "LOCAL server_jobs.nothing")
    monkeypatch.setattr(postgres_connection, "BEGIN", begin)

    async def waiting(url: str, connection: psycopg.Connection) -> None:
        test = test_postgres_trouble.test_waiting_too_long_for_a_unique_key_is_a_busy_error
        await test(url, connection, caplog, way)

    with pytest.raises(TimeoutError):
        on_a_new_database(waiting)


@pytest.mark.slow
def test_without_skipping_locked_rows_one_of_them_costs_every_lease(
    monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    without(monkeypatch, " SKIP LOCKED", "RENEW", "")

    async def renewing(url: str, connection: psycopg.Connection) -> None:
        await test_postgres_trouble.test_a_row_that_somebody_has_locked_costs_no_other_lease(url)

    with pytest.raises(TimeoutError):
        on_a_new_database(renewing)


@pytest.mark.parametrize(("settle", "name"), [(completed, "COMPLETE"), slow(failed, "SETTLE")])
def test_without_a_bound_outcomes_wait_for_a_locked_row(
    monkeypatch: pytest.MonkeyPatch, impatient: None, settle: Callable[[Claim], Settlement], name: str
) -> None:
    without(monkeypatch, "'250ms'", name, "'1h'")

    async def settling(url: str, connection: psycopg.Connection) -> None:
        test = test_postgres_trouble.test_outcomes_do_not_wait_long_for_a_locked_row
        await test(url, settle)

    with pytest.raises(TimeoutError):
        on_a_new_database(settling)


@pytest.mark.parametrize("jobs", [1, slow(2)])
def test_without_a_word_that_they_wait_inserts_take_the_connections_that_leases_need(
    monkeypatch: pytest.MonkeyPatch, impatient: None, jobs: int
) -> None:
    monkeypatch.setattr(CallMaker, "waiting_call", CallMaker.call)

    async def waiting(url: str, connection: psycopg.Connection) -> None:
        test = test_postgres_trouble.test_leases_are_renewed_while_any_number_of_inserts_waits_for_a_unique_key
        await test(url, connection, jobs)

    with pytest.raises(TimeoutError):
        on_a_new_database(waiting)


@pytest.mark.slow
def test_without_a_limit_a_transaction_waits_for_a_row_forever(
    monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    begin = postgres_connection.BEGIN.replace("LOCAL lock_timeout", "LOCAL server_jobs.nothing")
    assert begin != postgres_connection.BEGIN
    monkeypatch.setattr(postgres_connection, "BEGIN", begin)

    with pytest.raises(TimeoutError):
        on_a_new_database(test_postgres_trouble.test_a_transaction_waits_for_no_row_forever)


def test_without_a_codec_of_ours_a_time_that_python_does_not_know_breaks_a_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def no_codec(*_: object, **__: object) -> None:
        """The driver then reads times in its own way."""

    monkeypatch.setattr(asyncpg.Connection, "set_type_codec", no_codec)

    async def reading(url: str, connection: psycopg.Connection) -> None:
        test = test_postgres_trouble.test_a_time_that_python_does_not_know_breaks_nothing
        await test(url, connection, "20000-01-01", LAST)

    with pytest.raises(DatabaseError, match="out of range"):
        on_a_new_database(reading)


@pytest.mark.slow
def test_without_settings_of_ours_a_plan_for_an_empty_table_reads_all_of_a_backlog(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgres_driver, "session_settings", lambda _process: "SELECT 1")

    with pytest.raises(AssertionError, match="jobs"):
        asyncio.run(
            test_postgres_plans.test_a_worker_that_found_an_empty_queue_does_not_read_all_of_the_backlog_that_comes_next()
        )


def test_without_the_process_check_the_settings_would_reach_other_sessions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = postgres_driver.session_settings
    monkeypatch.setattr(postgres_driver, "session_settings", lambda process: settings(process).partition(" WHERE ")[0])

    with pytest.raises(AssertionError):
        asyncio.run(test_postgres_pooler.test_the_sessions_of_a_pooler_belong_to_others_as_well_and_stay_as_they_are())
