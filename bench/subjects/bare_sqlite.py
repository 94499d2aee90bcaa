"""sqlite3 by hand, in WAL mode with `synchronous=FULL`."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
import uuid
from collections.abc import Sequence

from bench.subject import Description, Ran, StoreKind, Subject
from bench.work import RESULT, Params

_INSERT = "executemany, 100 a commit"
_PART = 100
_POLL = 0.002

SETTINGS = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL"
TABLE = """
CREATE TABLE job (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, params TEXT NOT NULL, status TEXT NOT NULL DEFAULT 'pending',
    token TEXT, result TEXT, created REAL NOT NULL, started REAL, finished REAL
);
CREATE INDEX job_pending ON job (id) WHERE status = 'pending'
"""
PUT = "INSERT INTO job (name, params, created) VALUES ('mail', ?, ?)"
_CLAIM = """
UPDATE job SET status = 'running', token = ?, started = ?
WHERE id IN (SELECT id FROM job WHERE status = 'pending' ORDER BY id LIMIT ?) RETURNING id, params
"""
_COMPLETE = """
UPDATE job SET status = 'done', result = done.value ->> '$[1]', finished = ? FROM json_each(?) AS done
WHERE job.id = done.value ->> '$[0]' AND job.token = ? AND job.status = 'running'
"""


class BareSqlite(Subject):
    """One connection. It polls every 2 ms when no job is pending."""

    description = Description(
        store=StoreKind.SQLITE,
        promises="the statements alone: claim by token, completion fenced by it, result stored; no lease, retry, check",
        bulk_calls=(_INSERT,),
        unfinished="SELECT count(*) FROM job WHERE status <> 'done'",
        results="SELECT count(result) FROM job",
    )
    _connection: sqlite3.Connection

    def __init__(self, url: str, batch: int) -> None:
        self._path, self._batch = url, batch

    async def create_tables(self) -> None:
        await self.open()
        self._connection.executescript(TABLE)

    async def open(self) -> None:
        self._connection = sqlite3.connect(self._path, isolation_level=None, timeout=30)
        self._connection.executescript(SETTINGS)

    async def close(self) -> None:
        self._connection.close()

    async def put(self, params: Params) -> None:
        self._connection.execute(PUT, (json.dumps(params), time.time()))

    async def put_many(self, call: str, jobs: Sequence[Params]) -> None:
        del call
        for first in range(0, len(jobs), _PART):
            rows = [(json.dumps(params), time.time()) for params in jobs[first : first + _PART]]
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(PUT, rows)
            self._connection.execute("COMMIT")

    async def work(self, ran: Ran) -> None:
        while True:
            token = uuid.uuid4().hex
            claimed = self._write(_CLAIM, (token, time.time(), self._batch))
            if claimed:
                done = [[job_id, _run(ran, json.loads(params))] for job_id, params in claimed]
                self.complete(done, token)
            else:
                await asyncio.sleep(_POLL)

    def complete(self, done: list[list[object]], token: str) -> None:
        """Store the results if the jobs still have this token."""
        self._write(_COMPLETE, (time.time(), json.dumps(done), token))

    def _write(self, sql: str, values: tuple[object, ...]) -> list[tuple[int, str]]:
        self._connection.execute("BEGIN IMMEDIATE")
        rows = self._connection.execute(sql, values).fetchall()
        self._connection.execute("COMMIT")
        return rows


def _run(ran: Ran, params: Params) -> object:
    ran(params["to"], params["subject"])
    return RESULT
