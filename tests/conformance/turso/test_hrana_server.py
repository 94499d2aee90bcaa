"""The fake libSQL server is as strict as the strictest real one: requests that it accepts work everywhere."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import httpx
import pytest

from tests.conformance.hrana_server import STREAM_SECONDS, HranaServer

Document = dict[str, object]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HranaServer]:
    path = tmp_path / "turso.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (a)")
    with HranaServer(path) as server:
        yield server


def post(server: HranaServer, *requests: object, baton: object = None, version: str = "v2") -> httpx.Response:
    url = f"http://127.0.0.1:{server.port}/{version}/pipeline"
    with httpx.Client(trust_env=False) as client:
        return client.post(url, json={"baton": baton, "requests": requests})


def execute(sql: str, *args: object, **others: object) -> Document:
    return {"type": "execute", "stmt": {"sql": sql, "args": args, **others}}


def integer(value: int) -> Document:
    return {"type": "integer", "value": str(value)}


def error_of(response: httpx.Response) -> str:
    """Return the code of the only result."""
    (result,) = response.json()["results"]
    assert result["type"] == "error", result
    return cast("str", result["error"]["code"])


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (execute("SELECT ?1, ?2", integer(1)), "ARGS_INVALID"),
        (execute("SELECT ?1", integer(1), integer(2)), "ARGS_INVALID"),
        (execute("SELECT 1", integer(1)), "ARGS_INVALID"),
        (execute("SELECT :a", integer(1)), "ARGS_INVALID"),
        (execute("SELECT 1", named_args=[]), "HTTP_BAD_REQUEST"),
        (execute("SELECT 1; SELECT 2"), "SQL_MANY_STATEMENTS"),
        (execute("SELEC 1"), "SQLITE_ERROR"),
        (execute("SELECT ?1", {"type": "integer", "value": 1}), "HTTP_BAD_REQUEST"),
        (execute("SELECT ?1", {"type": "float", "value": None}), "HTTP_BAD_REQUEST"),
        ({"type": "sequence", "sql": "SELECT 1"}, "HTTP_BAD_REQUEST"),
        ({"type": "get_autocommit"}, "HTTP_BAD_REQUEST"),
        ({"type": "batch", "batch": {"steps": [], "more": 1}}, "HTTP_BAD_REQUEST"),
    ],
)
def test_the_fake_refuses_whatever_some_server_refuses(server: HranaServer, request_: Document, code: str) -> None:
    assert error_of(post(server, request_)) == code


def test_a_number_that_is_not_finite_is_no_json(server: HranaServer) -> None:
    url = f"http://127.0.0.1:{server.port}/v2/pipeline"
    response = httpx.post(url, content='{"baton":null,"requests":[NaN]}', trust_env=False)

    assert (response.status_code, response.json()["code"]) == (400, "HTTP_BAD_REQUEST")


def test_a_baton_is_good_for_one_request_and_a_stream_that_ends_takes_its_transaction_along(
    server: HranaServer,
) -> None:
    first = post(server, execute("BEGIN"), execute("INSERT INTO t VALUES (1)"))
    baton = first.json()["baton"]
    second = post(server, {"type": "get_autocommit"}, baton=baton, version="v3")
    assert second.json()["results"][0]["response"]["is_autocommit"] is False

    assert post(server, execute("SELECT 1"), baton=baton).status_code == 400
    assert server.open_streams == 1
    last = post(server, {"type": "close"}, execute("SELECT 1"), baton=second.json()["baton"])

    assert (last.json()["baton"], server.open_streams) == (None, 0)
    assert last.json()["results"][1]["error"]["code"] == "STREAM_CLOSED"
    count = post(server, execute("SELECT count(*) FROM t"), {"type": "close"}).json()
    assert count["results"][0]["response"]["result"]["rows"] == [[integer(0)]]


def test_an_unused_stream_expires(server: HranaServer) -> None:
    now = 0.0
    server.clock = lambda: now
    baton = post(server, execute("SELECT 1")).json()["baton"]
    assert server.open_streams == 1
    now = STREAM_SECONDS + 1

    response = post(server, execute("SELECT 1"), baton=baton)

    assert (response.status_code, response.json()["code"]) == (400, "STREAM_EXPIRED")
    assert server.open_streams == 0


def test_a_step_with_a_false_condition_is_neither_a_success_nor_an_error(server: HranaServer) -> None:
    def step(sql: str, condition: Document | None = None) -> Document:
        return {"condition": condition, "stmt": {"sql": sql}}

    ok_0, error_1 = {"type": "ok", "step": 0}, {"type": "error", "step": 1}
    steps = [
        step("SELECT 0"),
        step("SELEC 1"),
        step("SELECT 2", {"type": "and", "conds": [ok_0, error_1]}),
        step("SELECT 3", {"type": "not", "cond": {"type": "or", "conds": [ok_0, error_1]}}),
        step("SELECT 4", {"type": "ok", "step": 3}),
        step("SELECT 5", {"type": "error", "step": 3}),
    ]
    result = post(server, {"type": "batch", "batch": {"steps": steps}}).json()["results"][0]["response"]["result"]

    assert [one is not None for one in result["step_results"]] == [True, False, True, False, False, False]
    assert [one is not None for one in result["step_errors"]] == [False, True, False, False, False, False]
