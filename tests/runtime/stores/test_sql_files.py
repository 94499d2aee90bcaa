"""The files of statements: their headers, their names, and the values of `domain` that are written out in them."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from server_jobs import stores
from server_jobs.domain.history import ATTEMPTS_KEPT, MOST_HELD, MOST_HOLDERS
from server_jobs.domain.record import (
    LEASE_EXPIRED,
    MOST_LATE,
    SHORT_ERROR,
    SHORT_PARAMS,
    UNREADABLE,
    WAITS,
    Outcome,
    ScheduleRecord,
)
from server_jobs.domain.statistics import ENQUEUE_WINDOW
from server_jobs.stores.sql.dialect import DialectName, column_lists, dialect_of, statements_of
from server_jobs.stores.sql.parameters import milliseconds, timestamp
from server_jobs.stores.sql.sql_files import read_blocks

from tests.conformance.new_columns import NEW_COLUMNS

FOLDER = Path(stores.__file__).parent
FILES = sorted(FOLDER.glob("*/*.sql"))
PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)")
HEADER = re.compile(
    r"-- (?:name: [A-Z_]+\n-- parameters: [a-z_, ]+(?:\n--   [a-z_, ]+)*\n"
    r"-- writes: (?:yes|no), repeatable: (?:yes|no)(?:, unflushed: yes)?(?:, waits: yes)?"
    r"|fragment: [a-z_]+\n-- parameters: [a-z_, ]+(?:\n--   [a-z_, ]+)*"
    r"|each: [a-z_]+\n-- columns: [a-z]+"
    r"|none: [A-Z_]+)\n(?:-- .+\n)+"
)
DIALECTS: list[DialectName] = ["sqlite", "postgresql"]


def blocks_of(path: Path) -> list[str]:
    """Return the blocks of a file with their headers."""
    return re.split(r"^(?=-- (?:name|fragment|each|none): )", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_header_states_name_and_parameters_and_whether_a_statement_writes(path: Path) -> None:
    for block in blocks_of(path):
        header = HEADER.match(block)
        assert header, block
        text = re.sub(r"^ *--.*\n", "", block[header.end() :], flags=re.MULTILINE).strip()
        listed = re.search(r"^-- parameters: ((?:.*\n--   )*.*)$", header[0], re.MULTILINE)
        stated = set(re.findall(r"[a-z_]+", listed[1])) - {"none"} if listed else set[str]()
        assert stated == set(PARAMETER.findall(text)) - {"now"}, block
        assert text.endswith(";") == block.startswith("-- name"), block
        assert "--" not in text, block  # a comment has a line of its own, because the loader removes whole lines
        assert max(map(len, block.splitlines())) <= 120, block


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_statement_that_reads_may_be_repeated(dialect: DialectName) -> None:
    blocks = read_blocks(column_lists(dialect), FOLDER / "shared", FOLDER / dialect)
    statements = {name: block.statement() for name, block in blocks.items()}
    assert [name for name, one in statements.items() if one and not one.writes and not one.may_repeat] == []


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_fragment_is_used(dialect: DialectName) -> None:
    at_run_time = {"given_now", "ids_pending", "ids_running", "ids_failed", "ids_failed_of_class", "ids_cancelled"}
    at_run_time |= {"ids_parked", "ids_of_batch"}
    texts = "".join(path.read_text(encoding="utf-8") for path in FILES if path.parent.name in (dialect, "shared"))
    unused = {name for name in statements_of(dialect).fragments if f"{{{name}}}" not in texts}
    assert unused - at_run_time == set()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_values_of_the_domain_are_those_of_the_statements(dialect: DialectName) -> None:
    of = statements_of(dialect)
    parked = f"(status = 'failed' AND COALESCE(substr(error, 1, {len(UNREADABLE)}), '') = '{UNREADABLE}')"
    assert of.fragments["parked"] == parked
    assert columns_in(of.fragments["new_columns"]) == columns_in(NEW_COLUMNS)
    assert {*columns_in(of.fragments["schedule_columns"]), "shard_key"} == {
        field.name for field in fields(ScheduleRecord)
    }
    assert f"LIMIT {MOST_LATE}" in of.CANCEL_LATE.sql
    assert f"LIMIT {MOST_HOLDERS}" in of.HOLDERS.sql
    assert of.HELD_JOBS.sql.endswith(f"LIMIT {MOST_HELD}")
    assert f"outcome = '{Outcome.EXPIRED}'" in of.HELD_JOBS.sql
    assert f"error_class = '{LEASE_EXPIRED}'" in of.EXPIRE.sql
    assert f"substr(error, 1, {SHORT_ERROR})" in of.PAGE_OF_SCAN.sql
    assert f"<= {SHORT_PARAMS}" in of.PAGE_OF_SCAN.sql
    assert str(milliseconds(ENQUEUE_WINDOW)) in of.ENQUEUED_COUNTS.sql
    records = [of.RECORD_ATTEMPTS, of.RECORD_EXPIRED] if dialect == "sqlite" else [of.SETTLE, of.EXPIRE]
    assert all(f"number % {ATTEMPTS_KEPT}," in one.sql for one in records if one is not None)
    waits = str(timestamp(WAITS)) if dialect == "sqlite" else f"timestamptz '{WAITS.isoformat()}'"
    assert of.fragments["end_of_time"] == waits


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_list_of_columns_is_used(dialect: DialectName) -> None:
    texts = "".join(path.read_text(encoding="utf-8") for path in FILES if path.parent.name in (dialect, "shared"))
    assert {f"-- columns: {name}" for name in column_lists(dialect)} == set(re.findall("-- columns: .*", texts))


def test_a_text_is_repeated_for_each_column_of_a_list(tmp_path: Path) -> None:
    (tmp_path / "some.sql").write_text(
        "-- each: values\n-- columns: two\n-- Values.\nCAST(:{column} AS {type})\n\n"
        "-- each: has_values\n-- columns: two\n-- Conditions.\nAND {column} = 1\n\n"
        "-- name: ASK\n-- parameters: id\n-- writes: no\n-- Ask.\nSELECT {values} WHERE :id = 1 {has_values};\n"
    )
    block = read_blocks({"two": {"queue": "text", "priority": "integer"}}, tmp_path)["ASK"]
    values, conditions = "CAST(:queue AS text), CAST(:priority AS integer)", "AND queue = 1\n   AND priority = 1"
    assert block.text == f"SELECT {values} WHERE :id = 1 {conditions}"
    assert block.parameters == {"id", "queue", "priority"}


def columns_in(text: str) -> list[str]:
    return re.split(r",\s+", text)


def test_the_bound_of_an_expiry_is_the_one_that_the_store_repeats_it_for() -> None:
    class Server:
        name = "postgresql"

    dialect = dialect_of(Server())  # type: ignore[arg-type]
    assert f"LIMIT {dialect.most_expired}" in dialect.statements.EXPIRE.sql
