"""Behaviour of a libSQL server over HTTP: one request for each call, lost answers, and repeated requests."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from server_jobs import DatabaseBusyError, DatabaseError, DatabaseUnreachableError, JobStatus
from server_jobs.domain.interfaces import Statement, Value
from server_jobs.domain.record import JobQuery
from server_jobs_turso import database as turso
from server_jobs_turso.database import TursoDatabase, transport_to
from server_jobs_turso.http_transport import Reply, Transport, UnreachableError
from server_jobs_turso.url import endpoint_of

from tests.conformance import hrana_server
from tests.conformance.examples import completed, ids, job, request
from tests.conformance.examples import read as read_job
from tests.conformance.hrana_server import (
    HranaServer,
    Trouble,
    cut_off,
    dropped_after,
    waits_for,
)
from tests.conformance.stores import TURSO_TOKEN
from tests.conformance.turso.turso_calls import LOOK, LOSSES, OTHER_LOOK, insertion, opened, rows_in, store_on

# --- one call, one request --------------------------------------------------------------------------------------------


async def test_a_call_is_one_request_that_leaves_no_stream_open(server: HranaServer) -> None:
    async with opened(server) as database:
        for calls in ([LOOK], [LOOK, OTHER_LOOK], [insertion("a")], [insertion("b"), LOOK]):
            await database.run(*calls)
            assert server.open_streams == 0

    assert server.posts == 4
    kinds = [[one["type"] for one in document["requests"]] for document in server.requests]  # type: ignore[attr-defined]
    assert kinds == [["execute", "close"], ["batch", "close"], ["execute", "close"], ["batch", "close"]]


async def test_several_statements_are_a_transaction_which_only_takes_its_turn_if_it_writes(server: HranaServer) -> None:
    async with opened(server) as database:
        assert await database.run(LOOK, OTHER_LOOK) == [[{"jobs": 0}], [{"one": 1}]]
        assert await database.run(LOOK, insertion("a")) == [[{"jobs": 0}], [{"id": "a"}]]

    begun = [sql for sql in server.statements if sql.startswith(("BEGIN", "COMMIT", "ROLLBACK"))]
    assert begun == ["BEGIN", "COMMIT", "BEGIN IMMEDIATE", "COMMIT"]


async def test_a_look_that_finds_nothing_is_the_only_statement(server: HranaServer) -> None:
    look = (Statement("SELECT id FROM jobs", writes=False), dict[str, Value]())
    async with opened(server) as database:
        assert await database.run(insertion("a"), look=look) == [()]
        assert server.posts == 1
        await database.run(insertion("b"))
        assert await database.run(insertion("a"), look=look) == [[{"id": "a"}]]


async def test_when_a_statement_is_refused_nothing_is_left_of_those_before_it(server: HranaServer) -> None:
    async with opened(server) as database:
        with pytest.raises(DatabaseError, match=r"refused a statement: SQLite error: UNIQUE .* failed: jobs\.id"):
            await database.run(insertion("a"), insertion("b"), insertion("a"), insertion("c"))
        assert server.open_streams == 0

        assert rows_in(server) == 0
        assert server.statements[-1] == "ROLLBACK"
        assert len(server.statements) == 5  # none after the rejected one
        assert await database.run(insertion("a"), LOOK) == [[{"id": "a"}], [{"jobs": 1}]]


async def test_many_who_claim_at_the_same_time_never_get_the_same_job(server: HranaServer) -> None:
    async with store_on(server) as store:
        await store.insert([job(f"{number:03}") for number in range(100)])

        claims = await asyncio.gather(*(store.claim(request(limit=5)) for _ in range(20)))

    claimed = [job_id for some in claims for job_id in ids(some)]
    assert len(claimed) == len(set(claimed)) == 100


async def test_connections_are_kept(server: HranaServer) -> None:
    async with opened(server) as database:
        for number in range(10):
            await database.run(insertion(str(number)))

    assert server.connections == 1


# --- lost requests and answers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("calls", [[LOOK], [LOOK, OTHER_LOOK]], ids=["one", "several"])
async def test_reads_are_repeated(
    server: HranaServer, trouble: Trouble, calls: list[tuple[Statement, Mapping[str, Value]]]
) -> None:
    server.troubles += [trouble, trouble]
    async with opened(server) as database:
        assert (await database.run(*calls))[0] == [{"jobs": 0}]

    assert server.posts == 3


@pytest.mark.parametrize("trouble", LOSSES.values(), ids=LOSSES)
async def test_a_write_that_may_be_repeated_is_sent_again(server: HranaServer, trouble: Trouble) -> None:
    write, parameters = insertion("a")
    again = replace(write, sql=write.sql.replace("INSERT", "INSERT OR IGNORE"), may_repeat=True)
    server.troubles.append(trouble)
    async with opened(server) as database:
        await database.run((again, parameters))

    assert server.posts == 2
    assert rows_in(server) == 1


@pytest.mark.parametrize("trouble", LOSSES.values(), ids=LOSSES)
async def test_reads_are_not_repeated_forever(server: HranaServer, trouble: Trouble) -> None:
    server.troubles += [trouble] * 9
    async with opened(server) as database:
        with pytest.raises(DatabaseError, match="unknown"):
            await database.run(LOOK)

    assert server.posts == 3


@pytest.mark.parametrize("trouble", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("others", [[], [LOOK]], ids=["one", "several"])
async def test_other_writes_are_never_sent_twice(
    server: HranaServer, trouble: Trouble, others: list[tuple[Statement, Mapping[str, Value]]]
) -> None:
    server.troubles.append(trouble)
    async with opened(server) as database:
        with pytest.raises(DatabaseError, match="whether the request was executed is unknown"):
            await database.run(*others, insertion("a"))

    assert server.posts == 1
    assert rows_in(server) == (1 if trouble in (dropped_after, cut_off) else 0)


async def test_a_claim_whose_answer_was_lost_costs_no_attempt(server: HranaServer) -> None:
    async with store_on(server) as store:
        await store.insert([job("a")])
        await store.claim(request(limit=1))
        await store.insert([job("b", max_attempts=1)])
        server.troubles.append(dropped_after)
        with pytest.raises(DatabaseError, match="was lost"):
            await store.claim(request())
        assert (await read_job(store, "b")).status is JobStatus.RUNNING

        (claim,) = await store.claim(request())

        assert (claim.id, claim.attempt) == ("b", 1)
        assert list(await store.settle([completed(claim)])) == [JobStatus.COMPLETED]


async def test_jobs_whose_answer_was_lost_are_stored_once_when_they_are_inserted_again(server: HranaServer) -> None:
    async with store_on(server) as store:
        jobs = [job("a"), job("b", unique_key="k")]
        server.troubles.append(dropped_after)
        with pytest.raises(DatabaseError):
            await store.insert(jobs)

        assert [answer.created for answer in await store.insert(jobs)] == [False, False]
        assert ids(await store.list_jobs(JobQuery())) == ["b", "a"]


async def test_an_unreachable_server_is_named_and_writes_are_retried(server: HranaServer) -> None:
    class Flaky:
        """A client that fails a given number of times, then reaches the server."""

        def __init__(self, transport: Transport) -> None:
            self.transport = transport
            self.left = 0

        async def post(self, body: str) -> Reply:
            if self.left:
                self.left -= 1
                raise UnreachableError("no server answers")
            return await self.transport.post(body)

        async def close(self) -> None:
            await self.transport.close()

    endpoint = endpoint_of(server.url, TURSO_TOKEN)
    flaky = Flaky(transport_to(endpoint, turso.DEFAULT_TIMEOUT))
    database = TursoDatabase(server.url, transport=flaky)
    await database.open()
    flaky.left, server.posts = 2, 0
    await database.run(insertion("a"))
    await database.close()
    assert (server.posts, rows_in(server)) == (1, 1)

    away = TursoDatabase("libsql://127.0.0.1:1?tls=0")
    with pytest.raises(DatabaseError, match=r"no server answers at libsql://127\.0\.0\.1:1: ") as caught:
        await away.open()
    await away.close()
    assert isinstance(caught.value.__cause__, httpx.ConnectError)


async def test_a_server_without_tls_where_it_was_expected_is_not_spoken_to(server: HranaServer) -> None:
    database = TursoDatabase(f"libsql://127.0.0.1:{server.port}", auth_token=TURSO_TOKEN)
    with pytest.raises(DatabaseError, match=f"no server answers at libsql://127.0.0.1:{server.port}: .*SSL"):
        await database.open()
    await database.close()
    assert server.posts == 0


async def test_an_answer_that_takes_too_long_is_not_waited_for(server: HranaServer) -> None:
    late = threading.Event()
    server.troubles += [waits_for(late)]
    try:
        async with opened(server, timeout=timedelta(seconds=0.5)) as database:
            with pytest.raises(DatabaseUnreachableError, match=r"did not answer within 0\.5 s; whether .* is unknown"):
                await database.run(LOOK)
            assert server.posts == 1
            assert await database.run(OTHER_LOOK) == [[{"one": 1}]]
    finally:
        late.set()


async def test_an_endless_transaction_of_another_process_makes_the_database_busy(
    server: HranaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hrana_server, "BUSY_SECONDS", 0.005)
    async with opened(server) as database:
        with closing(sqlite3.connect(server.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for calls in ([insertion("a")], [insertion("a"), LOOK]):
                server.posts = 0
                with pytest.raises(DatabaseBusyError, match=r"locked by another transaction .* nothing was changed"):
                    await database.run(*calls)
                assert server.posts == 3
            other.execute("ROLLBACK")
        assert rows_in(server) == 0
        await database.run(insertion("a"))


async def test_a_call_that_is_cancelled_leaves_the_next_one_alone(server: HranaServer) -> None:
    late = threading.Event()
    server.troubles.append(waits_for(late))
    async with opened(server) as database:
        call = asyncio.create_task(database.run(LOOK))
        while not server.posts:
            await asyncio.sleep(0.001)
        call.cancel()
        late.set()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await database.run(LOOK) == [[{"jobs": 0}]]
