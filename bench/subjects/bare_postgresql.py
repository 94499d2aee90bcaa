"""asyncpg by hand."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Sequence
from contextlib import suppress

import asyncpg

from bench.subject import Description, Ran, StoreKind, Subject
from bench.work import RESULT, Params

_INSERT, _COPY = "INSERT … unnest", "COPY"
_PART = 5000
_NAME = "mail"

_TABLE = """
CREATE TABLE job (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, params text NOT NULL,
    status text NOT NULL DEFAULT 'pending', token uuid, result text,
    created timestamptz NOT NULL DEFAULT now(), started timestamptz, finished timestamptz
);
CREATE INDEX job_pending ON job (id) WHERE status = 'pending'
"""
_PUT = "INSERT INTO job (name, params) VALUES ($1, $2)"
_PUT_MANY = "INSERT INTO job (name, params) SELECT $1, unnest($2::text[])"
_CLAIM = """
UPDATE job SET status = 'running', token = $1, started = now()
WHERE id IN (SELECT id FROM job WHERE status = 'pending' ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING id, params
"""
_COMPLETE = """
UPDATE job SET status = 'done', result = done.result, finished = now()
FROM unnest($1::bigint[], $2::text[]) AS done (id, result)
WHERE job.id = done.id AND job.token = $3 AND job.status = 'running'
"""


class BarePostgresql(Subject):
    """One connection. It waits for a NOTIFY when no job is pending."""

    description = Description(
        store=StoreKind.POSTGRESQL,
        packages=("asyncpg",),
        promises="the statements alone: claim by token, completion fenced by it, result stored; no lease, retry, check",
        bulk_calls=(_INSERT, _COPY),
        unfinished="SELECT count(*) FROM job WHERE status <> 'done'",
        results="SELECT count(result) FROM job",
    )
    _connection: asyncpg.Connection

    def __init__(self, url: str, batch: int) -> None:
        self._url, self._batch = url, batch

    async def create_tables(self) -> None:
        await self.open()
        await self._connection.execute(_TABLE)

    async def open(self) -> None:
        self._connection = await asyncpg.connect(self._url)

    async def close(self) -> None:
        await self._connection.close()

    async def put(self, params: Params) -> None:
        await self._connection.execute(_PUT, _NAME, json.dumps(params))

    async def announce(self) -> None:
        await self._connection.execute("NOTIFY job")

    async def put_many(self, call: str, jobs: Sequence[Params]) -> None:
        for first in range(0, len(jobs), _PART):
            part = [json.dumps(params) for params in jobs[first : first + _PART]]
            if call == _INSERT:
                await self._connection.execute(_PUT_MANY, _NAME, part)
            else:
                records = [(_NAME, params) for params in part]
                await self._connection.copy_records_to_table("job", columns=("name", "params"), records=records)

    async def work(self, ran: Ran) -> None:
        woken = asyncio.Event()
        await self._connection.add_listener("job", lambda *_: woken.set())
        claim = await self._connection.prepare(_CLAIM)
        complete = await self._connection.prepare(_COMPLETE)
        while True:
            woken.clear()
            token = uuid.uuid4()
            rows = await claim.fetch(token, self._batch)
            if rows:
                results = [_run(ran, json.loads(row["params"])) for row in rows]
                await complete.fetch([row["id"] for row in rows], results, token)
            else:
                with suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), 1)


def _run(ran: Ran, params: Params) -> str:
    ran(params["to"], params["subject"])
    return json.dumps(RESULT)
