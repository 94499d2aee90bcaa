"""The tests of a Django project: its jobs take part in the transaction of each test."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.postgres import postgres_url
from tests.slow import slow

from .conftest import Settings, Shop, postgresql, sqlite

UNREACHABLE = "sqlite:////no/such/folder/development.sqlite3"


@pytest.fixture(params=["sqlite", slow("postgresql")])
def tested(request: pytest.FixtureRequest, project: Path) -> Iterator[Shop]:
    """Yield the project with a development database that does not exist: whatever reaches it fails."""
    if request.param == "sqlite":
        yield Shop(project, sqlite(Path("/no/such/folder/development.sqlite3")))
        return
    name = f"server_jobs_{uuid.uuid4().hex[:12]}"
    settings = postgresql(make_url(postgres_url()).set(database=name).render_as_string(hide_password=False))
    yield Shop(project, settings)


def test_jobs_take_part_in_the_tests_of_a_project(tested: Shop) -> None:
    # The variable is the guard of the pytest plugin. It leaves Django's connection to the test runner.
    told = tested.manage("test", "--noinput", JOBS_REFUSING_TEST="a test that pytest runs")

    (count,) = re.findall(r"Ran (\d+) tests", told)
    assert int(count) >= 26, told


@pytest.mark.slow
def test_tests_without_migrations_have_the_tables(tested: Shop) -> None:
    settings: Settings = {**tested.database, "TEST": {"MIGRATE": False}}

    Shop(tested.folder, settings).manage("test", "--noinput", "shop.tests.InATransaction")


@pytest.mark.slow
def test_tests_without_time_zones_read_the_right_times(tested: Shop) -> None:
    told = tested.manage("test", "--noinput", "shop.tests.InATransaction.test_an_enqueue_is_one_query", SHOP_USE_TZ="0")

    assert "OK" in told


def test_jobs_that_leave_the_test_are_noticed(tested: Shop) -> None:
    """The sabotage: with a backend of their own, jobs try to reach the development database."""
    told = tested.manage("test", "--noinput", "shop.tests.InATransaction", status=1, SHOP_SABOTAGE=UNREACHABLE)

    assert "there is no SQLite database /no/such/folder/development.sqlite3" in told
