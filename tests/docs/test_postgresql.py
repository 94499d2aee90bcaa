"""Every statement for PostgreSQL on a page is run, here or by another test."""

from __future__ import annotations

import psycopg
import pytest
from server_jobs.schema import metadata
from sqlalchemy import create_engine

from tests.generator.databases import postgres_database

from .pages import Block, blocks, pages

# `tests/conformance/postgres/test_postgres_roles.py` and `tests/cli/test_postgres_schema.py` run these.
ELSEWHERE = ("CREATE ROLE", "DO $$")
STATEMENTS = [one for page in pages() for one in blocks(page) if one.language == "pgsql"]


def test_the_statements_of_other_tests_are_there() -> None:
    for start in ELSEWHERE:
        assert [block.text.startswith(start) for block in STATEMENTS].count(True) == 1


@pytest.mark.parametrize("statement", [one for one in STATEMENTS if not one.text.startswith(ELSEWHERE)])
def test_a_statement_works(statement: Block) -> None:
    with postgres_database() as url:
        engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
        metadata.create_all(engine)
        engine.dispose()
        with psycopg.connect(url) as connection:
            connection.execute(statement.text.replace("ROLE jobs_enqueuer", "ROLE CURRENT_USER").encode())
            connection.rollback()
