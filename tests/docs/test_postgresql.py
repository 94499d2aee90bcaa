"""Every statement and program for PostgreSQL on a page is run, here or by another test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from server_jobs.schema import metadata
from sqlalchemy import create_engine

from tests.generator.databases import postgres_database

from .pages import Block, blocks, pages
from .reader import PROGRAMS_FOR_POSTGRESQL

# `tests/conformance/postgres/test_postgres_roles.py` and `tests/cli/test_postgres_schema.py` run these.
ELSEWHERE = ("CREATE ROLE", "DO $$")
STATEMENTS = [one for page in pages() for one in blocks(page) if one.language == "pgsql"]


def test_the_statements_of_other_tests_are_there() -> None:
    for start in ELSEWHERE:
        assert [block.text.startswith(start) for block in STATEMENTS].count(True) == 1


@pytest.fixture
def url() -> Iterator[str]:
    """Yield the URL of a database with our tables."""
    with postgres_database() as url:
        engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
        metadata.create_all(engine)
        engine.dispose()
        yield url


@pytest.mark.parametrize("statement", [one for one in STATEMENTS if not one.text.startswith(ELSEWHERE)])
def test_a_statement_works(statement: Block, url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement.text.replace("ROLE jobs_enqueuer", "ROLE CURRENT_USER").encode())
        connection.rollback()


@pytest.mark.parametrize("name", PROGRAMS_FOR_POSTGRESQL)
def test_a_program_stores_an_order_and_a_job(name: str, url: str, copy_of_tutorial: Callable[[], Path]) -> None:
    project = copy_of_tutorial()
    (text,) = (block.text for page in pages() for block in blocks(page) if block.title == name)
    (project / name).write_text(text, encoding="utf-8")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE orders (id text PRIMARY KEY)")
    environment = os.environ | {"SERVER_JOBS_DATABASE_URL": url}
    done = subprocess.run([sys.executable, name], cwd=project, env=environment, capture_output=True, text=True)
    with psycopg.connect(url) as connection:
        orders = connection.execute("SELECT id FROM orders").fetchall()
        subjects = connection.execute("SELECT CAST(params AS json)->>'subject' FROM jobs").fetchall()

    assert done.stdout == "new: True\n", done.stderr
    assert subjects == [(f"Order {order}",) for (order,) in orders]
    assert len(subjects) == 1
