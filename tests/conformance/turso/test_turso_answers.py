"""Answers of a libSQL server: invalid documents, failed requests, and exact values."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from server_jobs import DatabaseError, InvalidOptionError, SchemaMissingError
from server_jobs.domain.interfaces import Statement, Value
from server_jobs.stores.sql.store import SqlStore
from server_jobs_turso import database as turso
from server_jobs_turso import httpx_transport
from server_jobs_turso.database import TursoDatabase
from server_jobs_turso.hrana import RefusedError, answered_rows, refusal_in
from server_jobs_turso.hrana_values import MalformedAnswerError, read, written

from tests.conformance.hrana_server import (
    HranaServer,
    changes_the_answer,
    says,
)
from tests.conformance.stores import TURSO_TOKEN
from tests.conformance.turso.turso_calls import LOOK, insertion, opened

# --- answers that are none --------------------------------------------------------------------------------------------


def answering(*results: object) -> str:
    return json.dumps({"baton": None, "base_url": None, "results": results})


def executed(result: object) -> object:
    return {"type": "ok", "response": {"type": "execute", "result": result}}


def row_of(value: object) -> str:
    return answering(executed({"cols": [{"name": "x"}], "rows": [[value]]}), CLOSED)


CLOSED: Mapping[str, object] = {"type": "ok", "response": {"type": "close"}}
ODD: dict[str, str] = {
    "nothing": "",
    "a page": "<!DOCTYPE html><html>Welcome</html>",
    "a list": "[]",
    "an object": "{}",
    "too deep": "[" * 100_000,
    "no results": answering(),
    "too few results": answering(executed({"cols": [], "rows": []})),
    "too many results": answering(executed({"cols": [], "rows": []}), CLOSED, CLOSED),
    "another response": answering(CLOSED, CLOSED),
    "neither ok nor error": answering({"type": "maybe"}, CLOSED),
    "an error without a message": answering({"type": "error", "error": {"code": "X"}}, CLOSED),
    "an error that is a text": answering({"type": "error", "error": "no"}, CLOSED),
    "no columns": answering(executed({"rows": []}), CLOSED),
    "a column with an odd name": answering(executed({"cols": [{"name": 1}], "rows": []}), CLOSED),
    "a column that is none": answering(executed({"cols": ["x"], "rows": []}), CLOSED),
    "rows that are none": answering(executed({"cols": [], "rows": "none"}), CLOSED),
    "a row that is too short": answering(executed({"cols": [{"name": "x"}], "rows": [[]]}), CLOSED),
    "a bare value": row_of(1),
    "an unknown type": row_of({"type": "date", "value": "today"}),
    "an integer that is a number": row_of({"type": "integer", "value": 1}),
    "an integer with words": row_of({"type": "integer", "value": "one"}),
    "an integer of 65 bits": row_of({"type": "integer", "value": "9223372036854775808"}),
    "a float that is a text": row_of({"type": "float", "value": "1.5"}),
    "a float that is true": row_of({"type": "float", "value": True}),
    "a float without end": row_of({"type": "float", "value": 10**400}),
    "bytes that are no base64": row_of({"type": "blob", "base64": "???"}),
}


@pytest.mark.parametrize("answer", ODD.values(), ids=ODD)
async def test_an_answer_that_is_none_is_an_error_that_names_the_server(server: HranaServer, answer: str) -> None:
    server.troubles.append(says(200, answer))
    async with opened(server) as database:
        with pytest.raises(DatabaseError, match=r"libsql://127.*does not speak the protocol of libSQL"):
            await database.run(LOOK)

    assert server.posts == 1


def without_commit(result: dict[str, object]) -> None:
    steps = result["step_results"]
    assert isinstance(steps, list)
    steps[-2] = None


def with_refused_commit(result: dict[str, object]) -> None:
    errors = result["step_errors"]
    assert isinstance(errors, list)
    without_commit(result)
    errors[-2] = {"message": "disk full", "code": "SQLITE_FULL"}


def with_a_step_missing(result: dict[str, object]) -> None:
    steps = result["step_results"]
    assert isinstance(steps, list)
    del steps[0]


def without_errors(result: dict[str, object]) -> None:
    del result["step_errors"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (without_commit, "'COMMIT' is 'None'"),
        (with_refused_commit, "refused a statement: disk full"),
        (with_a_step_missing, "4 results and 5 errors for 5 steps"),
        (without_errors, "'step_errors' is 'None'"),
    ],
)
async def test_a_transaction_counts_only_if_the_server_says_that_it_is_committed(
    server: HranaServer, change: Callable[[dict[str, object]], None], problem: str
) -> None:
    def changed(document: dict[str, object]) -> None:
        results = document["results"]
        assert isinstance(results, list)
        change(results[0]["response"]["result"])

    server.troubles.append(changes_the_answer(changed))
    async with opened(server) as database:
        with pytest.raises(DatabaseError, match=problem):
            await database.run(insertion("a"), insertion("b"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(
            st.sampled_from(
                ["type", "error", "message", "code", "response", "result", "cols", "rows", "name", "value", "base64"]
            ),
            inner | st.sampled_from(["ok", "error", "execute", "batch", "integer", "blob", "float"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300)
@given(result=JSON, other=JSON, statements=st.integers(1, 3))
def test_any_answer_of_a_server_gives_rows_or_one_of_two_errors(result: object, other: object, statements: int) -> None:
    kind = "execute" if statements == 1 else "batch"
    for first in (result, {"type": "ok", "response": {"type": kind, "result": result}}):
        text = json.dumps({"results": [first, other]})
        with suppress(RefusedError, MalformedAnswerError):
            assert isinstance(answered_rows(text, statements), list)
        assert isinstance(refusal_in(text), RefusedError | None)


@pytest.mark.parametrize(
    ("status", "body", "problem"),
    [
        (400, {"message": "The request is too odd", "code": "HTTP_BAD_REQUEST"}, "HTTP status 400: The request is too"),
        (404, "", r"HTTP status 404: it said nothing more\); check the database URL"),
        (307, "elsewhere", "HTTP status 307: elsewhere"),
        (429, {"error": "slow down"}, "HTTP status 429: slow down"),
        (500, "<html>\ndatabase is locked", "HTTP status 500: <html>"),
        (500, "database is locked", r"refused the request \(HTTP status 500"),
        (413, "x" * 10_000, f"HTTP status 413: {'x' * 300}"),
    ],
)
async def test_a_failed_request_is_an_error_with_the_servers_message(
    server: HranaServer, status: int, body: object, problem: str
) -> None:
    server.troubles.append(says(status, body))
    async with opened(server) as database:
        with pytest.raises(DatabaseError, match=problem) as caught:
            await database.run(insertion("a"))

    assert server.posts == 1
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize(("size", "problem"), [(1 << 20, "xxx"), ((1 << 20) + 1, "sent more than 1 MiB as one answer")])
async def test_an_answer_of_a_server_has_a_limit(
    server: HranaServer, monkeypatch: pytest.MonkeyPatch, status: int, size: int, problem: str
) -> None:
    monkeypatch.setattr(httpx_transport, "_MOST_MEBIBYTES", 1)
    async with opened(server) as database:
        server.troubles.append(says(status, "x" * size))
        with pytest.raises(DatabaseError, match=problem):
            await database.run(LOOK)
        await database.run(LOOK)


async def test_a_database_without_tables_says_how_to_make_them(tmp_path: Path) -> None:
    with HranaServer(tmp_path / "empty.sqlite3") as server:
        async with opened(server) as database:
            with pytest.raises(SchemaMissingError, match="no such table: jobs; run `server-jobs migrate`"):
                await SqlStore(database).open()


@pytest.mark.parametrize("rows", [[], [[]], [[{"type": "null"}]], [[{"type": "text", "value": "x"}]] * 2])
async def test_a_server_that_answers_the_first_question_oddly_is_refused(
    server: HranaServer, rows: list[list[object]]
) -> None:
    columns = [{"name": "other"}] * (len(rows[0]) if rows else 1)
    server.troubles.append(says(200, answering(executed({"cols": columns, "rows": rows}), CLOSED)))
    database = TursoDatabase(server.url, auth_token=TURSO_TOKEN)
    with pytest.raises(DatabaseError, match="reads JSON wrongly"):
        await database.open()
    await database.close()


async def test_a_server_that_would_garble_texts_is_refused(server: HranaServer) -> None:
    with patch.object(turso, "CHECK", Statement("SELECT trim(:texts, '[]') AS text", writes=False)):
        database = TursoDatabase(server.url, auth_token=TURSO_TOKEN)
        with pytest.raises(DatabaseError, match=r"reads JSON wrongly .* use a database on a libSQL server"):
            await database.open()
        with pytest.raises(DatabaseError, match="is not open"):
            await database.run(LOOK)
        await database.close()


@pytest.mark.parametrize("timeout", [timedelta(0), timedelta(seconds=-1), 30])
def test_a_timeout_that_is_none_is_refused(timeout: timedelta) -> None:
    with pytest.raises(InvalidOptionError, match="timeout must be"):
        TursoDatabase("libsql://shop-ann.turso.io", timeout=timeout)


async def test_a_database_that_is_not_open_says_so(server: HranaServer) -> None:
    database = TursoDatabase(server.url, auth_token=TURSO_TOKEN)
    await database.open()
    await database.open()
    assert server.posts == 1
    await database.close()
    await database.close()
    with pytest.raises(DatabaseError, match=r"is not open; call `open\(\)`"):
        await database.run(LOOK)


# --- values -----------------------------------------------------------------------------------------------------------

VALUES: dict[str, Value] = {
    "null": None,
    "greatest integer": 2**63 - 1,
    "least integer": -(2**63),
    "beyond a double": 2**53 + 1,
    "float": 0.1,
    "great float": 1.7976931348623157e308,
    "whole float": 3.0,
    "negative zero": -0.0,
    "text": "it's 北京 \N{PILE OF POO} :name ?1 \x00 end",
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
async def test_a_value_comes_back_exactly(server: HranaServer, value: Value) -> None:
    async with opened(server) as database:
        look = Statement("SELECT :x AS x, typeof(:x) AS type, :y AS y", writes=False)
        (((row),),) = await database.run((look, {"unused": 1, "y": "y", "x": value}))

    assert repr(row["x"]) == repr(value)
    names = {int: "integer", float: "real", str: "text"}
    assert row["type"] == names.get(type(value), "null")


async def test_bytes_and_invalid_text_come_back_unchanged(server: HranaServer) -> None:
    async with opened(server) as database:
        sql = "SELECT x'ff00fe' AS three, x'ff' AS one, x'' AS none, CAST(x'61ff62' AS TEXT) AS text, 9e999 AS endless"
        ((row,),) = await database.run((Statement(sql, writes=False), {}))

    assert row == {
        "three": b"\xff\x00\xfe",
        "one": b"\xff",
        "none": b"",
        "text": "a\N{REPLACEMENT CHARACTER}b",
        "endless": None,
    }


@given(
    value=st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.binary()
)
def test_a_written_lock_is_read_unchanged(value: Value | bytes) -> None:
    again = read(json.loads(json.dumps(written(value))))
    assert repr(again) == repr(value)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (2**63, "the integer 9223372036854775808 has more than 64 bits"),
        (-(2**63) - 1, "has more than 64 bits"),
        (math.nan, "the number nan is not finite"),
        (-math.inf, "the number -inf is not finite"),
        ("\ud800", "a text contains a lone surrogate"),
    ],
)
async def test_a_value_that_sqlite_cannot_store_is_refused_before_it_is_sent(
    server: HranaServer, value: Value, problem: str
) -> None:
    async with opened(server) as database:
        with pytest.raises(DatabaseError, match=f"cannot store a value: .*{problem}"):
            await database.run((Statement("SELECT :x AS x", writes=False), {"x": value}))

    assert server.posts == 0


async def test_a_statement_without_parameters_may_contain_a_colon(server: HranaServer) -> None:
    async with opened(server) as database:
        ((row,),) = await database.run((Statement("""SELECT '{"at":noon}' AS x""", writes=False), {}))

    assert row == {"x": '{"at":noon}'}
