"""Requests to a libSQL server: the token, event loops, and JavaScript's `fetch`."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import traceback
from types import ModuleType, SimpleNamespace
from unittest.mock import patch

import httpx
import pytest
from server_jobs import DatabaseError, JobStatus
from server_jobs.stores.sql.store import SqlStore
from server_jobs.testing import FakeClock
from server_jobs_turso import database as turso
from server_jobs_turso.database import TursoDatabase
from server_jobs_turso.fetch_transport import FetchTransport
from server_jobs_turso.url import endpoint_of

from tests.conformance.examples import completed, insert_and_claim, job
from tests.conformance.hrana_server import (
    HranaServer,
    says,
)
from tests.conformance.stores import TURSO_TOKEN
from tests.conformance.turso.turso_calls import LOOK, LOSSES, insertion, opened, rows_in

# --- tokens -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("token", "why"), [("wrong", "it does not take the token"), (None, "no token was given")])
async def test_a_token_that_is_refused_is_an_error_that_names_the_variable(
    server: HranaServer, token: str | None, why: str
) -> None:
    database = TursoDatabase(server.url, auth_token=token)
    with pytest.raises(DatabaseError, match=f"refuses access: {why} .*401.* set .* TURSO_AUTH_TOKEN"):
        await database.open()
    await database.close()

    assert server.posts == 1


async def test_the_token_is_in_no_message_and_no_log(server: HranaServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)
    told: list[str] = []
    echo = {"message": f"what is {TURSO_TOKEN}?", "code": "X"}
    troubles = [
        *LOSSES.values(),
        says(401, echo),
        says(403, f"{TURSO_TOKEN}!"),
        says(500, echo),
        says(200, TURSO_TOKEN),
    ]
    async with opened(server) as database:
        for trouble in troubles:
            server.troubles.append(trouble)
            with pytest.raises(DatabaseError) as caught:
                await database.run(insertion("a"))
            told += [repr(caught.value), *traceback.format_exception(caught.value)]
        told += [repr(database), database.shown_url, repr(vars(database)), repr(endpoint_of(server.url, TURSO_TOKEN))]
    told += [record.getMessage() for record in caplog.records]

    assert caplog.records  # at least those of httpx
    assert [text for text in told if TURSO_TOKEN in text] == []


@pytest.mark.parametrize("token", ["two words", "line\nend", "a\r\nX-Admin: 1", "schlüssel", "\0"])
def test_a_token_that_no_header_can_contain_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(ValueError, match=r"the token for libsql://shop-ann\.turso\.io holds a blank") as caught:
        TursoDatabase("libsql://shop-ann.turso.io", auth_token=token)

    assert token not in str(caught.value)


async def test_a_token_from_a_file_may_end_in_a_line_end(server: HranaServer) -> None:
    async with opened(server, token=f"{TURSO_TOKEN}\n") as database:
        await database.run(LOOK)


async def test_requests_to_this_machine_use_no_proxy(server: HranaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with opened(server) as database:
        await database.run(LOOK)


# --- event loops ------------------------------------------------------------------------------------------------------


def test_event_loops_may_use_a_database_one_after_another_and_leave_nothing_behind(server: HranaServer) -> None:
    store = SqlStore(TursoDatabase(server.url, auth_token=TURSO_TOKEN))

    async def enqueue(job_id: str) -> None:
        await store.open()
        await asyncio.gather(*(store.insert([job(f"{job_id}{number}")]) for number in range(6)))

    for job_id in "abc":
        asyncio.run(enqueue(job_id), debug=True)
        gc.collect()  # a client that was not closed would warn now
    asyncio.run(store.close())
    assert rows_in(server) == 18


def test_event_loops_of_several_threads_may_use_a_database_at_the_same_time(server: HranaServer) -> None:
    store = SqlStore(TursoDatabase(server.url, auth_token=TURSO_TOKEN))
    barrier = threading.Barrier(3)
    failures: list[BaseException] = []

    async def enqueue(name: str) -> None:
        await store.open()
        for number in range(10):
            await store.insert([job(f"{name}{number}")])

    def work(name: str) -> None:
        barrier.wait()
        try:
            asyncio.run(enqueue(name))
        except BaseException as error:  # noqa: BLE001  told to the test
            failures.append(error)

    threads = [threading.Thread(target=work, args=[name]) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert rows_in(server) == 30


def test_closing_closes_the_connections_of_a_loop_that_runs_in_another_thread(server: HranaServer) -> None:
    database = TursoDatabase(server.url, auth_token=TURSO_TOKEN)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(database.open(), loop).result(30)
        asyncio.run_coroutine_threadsafe(database.run(LOOK), loop).result(30)
        asyncio.run(database.close())
        asyncio.run_coroutine_threadsafe(database.open(), loop).result(30)
        asyncio.run_coroutine_threadsafe(database.run(LOOK), loop).result(30)
        assert server.connections == 2
        asyncio.run_coroutine_threadsafe(database.close(), loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


# --- what sends the requests ------------------------------------------------------------------------------------------


def test_without_httpx_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    monkeypatch.delitem(sys.modules, "server_jobs_turso.httpx_transport", raising=False)

    with pytest.raises(DatabaseError, match=r"'httpx' is missing; run pip install 'server-jobs\[turso\]'"):
        TursoDatabase("libsql://shop-ann.turso.io")


class FakeFetch:
    """JavaScript's `fetch`, as in a Worker, and related functions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.options: list[dict[str, object]] = []
        self.error: Exception | None = None
        js, ffi = ModuleType("js"), ModuleType("pyodide.ffi")
        vars(js)["fetch"] = self.fetch
        vars(js)["AbortSignal"] = SimpleNamespace(timeout=lambda milliseconds: f"after {milliseconds} ms")
        vars(js)["Object"] = SimpleNamespace(fromEntries=dict)
        vars(ffi)["to_js"] = self._to_js
        monkeypatch.setitem(sys.modules, "js", js)
        monkeypatch.setitem(sys.modules, "pyodide", ModuleType("pyodide"))
        monkeypatch.setitem(sys.modules, "pyodide.ffi", ffi)

    async def fetch(self, url: str, options: dict[str, object]) -> object:
        self.options.append(options)
        if self.error is not None:
            raise self.error
        async with httpx.AsyncClient(trust_env=False) as client:
            response = await client.post(url, content=str(options["body"]), headers=options["headers"])  # type: ignore[arg-type]

        async def text() -> str:
            return response.text

        return SimpleNamespace(status=response.status_code, text=text)

    def _to_js(self, value: object, *, dict_converter: object) -> object:
        assert dict_converter is dict
        return value


class JsError(Exception):
    """A JavaScript error."""

    def __init__(self, name: str, message: str) -> None:
        self.name = name
        super().__init__(message)


async def test_in_a_worker_requests_go_through_fetch(server: HranaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeFetch(monkeypatch)
    with patch.object(sys, "platform", "emscripten"):
        database = TursoDatabase(server.url, auth_token=TURSO_TOKEN)
    assert isinstance(vars(database)["_transport"], FetchTransport)
    store = SqlStore(database, FakeClock())
    await store.open()
    claim = await insert_and_claim(store, job("a"))
    assert list(await store.settle([completed(claim)])) == [JobStatus.COMPLETED]
    await store.close()

    assert (fake.options[0]["redirect"], fake.options[0]["signal"]) == ("manual", "after 30000 ms")


@pytest.mark.parametrize(
    ("error", "problem", "tries"),
    [
        (JsError("TypeError", "Network connection lost."), "no answer came from .*: Network connection lost", 3),
        (JsError("TimeoutError", "The operation was aborted"), "did not answer within 30 s", 1),
    ],
)
async def test_failures_of_fetch_are_database_errors(
    server: HranaServer, monkeypatch: pytest.MonkeyPatch, error: Exception, problem: str, tries: int
) -> None:
    fake = FakeFetch(monkeypatch)
    endpoint = endpoint_of(server.url, TURSO_TOKEN)
    database = TursoDatabase(server.url, transport=FetchTransport(endpoint, turso.DEFAULT_TIMEOUT))
    await database.open()
    fake.options.clear()
    fake.error = error
    with pytest.raises(DatabaseError, match=problem):
        await database.run(insertion("a"))
    assert len(fake.options) == 1
    with pytest.raises(DatabaseError, match=problem):
        await database.run(LOOK)
    assert len(fake.options) == 1 + tries
