"""Protections that only a server over HTTP needs: without each one, its test fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence

import pytest
from server_jobs.domain.interfaces import Row
from server_jobs.errors import DatabaseError
from server_jobs_turso import database as turso
from server_jobs_turso import hrana
from server_jobs_turso.database import TursoDatabase
from server_jobs_turso.hrana import Call
from server_jobs_turso.url import Endpoint

from tests.conformance.hrana_server import HranaServer, dropped_after
from tests.conformance.turso import test_turso, test_turso_transport
from tests.conformance.turso.turso_calls import LOOK

NOTICED = (AssertionError, pytest.fail.Exception)
"""The errors of a failing test; the second one reports a missing error."""


Test = Callable[[HranaServer], Coroutine[None, None, None]]

half_a_transaction = test_turso.test_when_a_statement_is_refused_nothing_is_left_of_those_before_it
open_stream = test_turso.test_a_call_is_one_request_that_leaves_no_stream_open


async def lost_write(server: HranaServer) -> None:
    await test_turso.test_other_writes_are_never_sent_twice(server, dropped_after, [])


async def lost_read(server: HranaServer) -> None:
    await test_turso.test_reads_are_repeated(server, dropped_after, [LOOK])


@pytest.mark.parametrize("test", [half_a_transaction, lost_write, lost_read, open_stream])
def test_the_tests_pass_while_nothing_is_taken_away(server: HranaServer, test: Test) -> None:
    asyncio.run(test(server))


def test_without_conditions_a_part_of_a_transaction_stays(server: HranaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def always(step: int) -> dict[str, object]:
        return {"type": "not", "cond": {"type": "error", "step": 0}}

    monkeypatch.setattr(hrana, "_went_well", always)

    with pytest.raises(AssertionError):
        asyncio.run(half_a_transaction(server))


def test_without_a_transaction_a_part_of_it_stays(server: HranaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = hrana._transaction

    def bare(calls: Sequence[Call]) -> list[dict[str, object]]:
        return [
            {**step, "stmt": {"sql": "SELECT 1"}} if "args" not in str(step["stmt"]) else step for step in steps(calls)
        ]

    monkeypatch.setattr(hrana, "_transaction", bare)

    with pytest.raises(AssertionError):
        asyncio.run(half_a_transaction(server))


def test_without_the_rule_for_retries_writes_are_sent_twice(
    server: HranaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    repeated = TursoDatabase._repeated

    async def always(
        database: TursoDatabase, body: str, statements: int, *, may_repeat: bool
    ) -> Sequence[Sequence[Row]]:
        return await repeated(database, body, statements, may_repeat=True)

    monkeypatch.setattr(TursoDatabase, "_repeated", always)

    with pytest.raises(NOTICED):
        asyncio.run(lost_write(server))


def test_without_retries_a_lost_answer_is_an_error(server: HranaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turso, "_PAUSES", ())

    with pytest.raises(DatabaseError, match="was lost"):
        asyncio.run(lost_read(server))


def test_without_its_end_a_stream_stays_open(server: HranaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    request = hrana.request
    instead = '{"type":"execute","stmt":{"sql":"SELECT 1"}}'

    def endless(calls: Sequence[Call]) -> str:
        body = request(calls)
        assert '{"type":"close"}' in body
        return body.replace('{"type":"close"}', instead)

    monkeypatch.setattr(turso, "request", endless)

    with pytest.raises(AssertionError):
        asyncio.run(open_stream(server))


def test_unfiltered_server_messages_would_show_the_token(
    server: HranaServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Endpoint, "shown", lambda endpoint, text: text)

    with pytest.raises(AssertionError):
        asyncio.run(test_turso_transport.test_the_token_is_in_no_message_and_no_log(server, caplog))
