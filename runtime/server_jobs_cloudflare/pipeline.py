"""`POST /v2/pipeline`: the statements of `TursoDatabase`, on the store of a tenant.

So the address of a tenant is the URL of a libSQL database, for the command line and for applications elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import cast

from server_jobs.domain.interfaces import Row, Value
from server_jobs.errors import DatabaseError
from server_jobs.security.tokens import Scope
from server_jobs.stores.sql.store import SqlStore
from server_jobs_http.access import for_every_queue
from server_jobs_http.body import json_body
from server_jobs_http.gate import backend_of
from server_jobs_http.http_options import HttpOptions
from server_jobs_http.problem_document import RefusedError
from server_jobs_turso.hrana_values import MalformedAnswerError, read, written
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .databases.durable_object import DurableObjectDatabase
from .databases.workerd_values import bound_value

_TRANSACTION = ("BEGIN", "BEGIN IMMEDIATE", "COMMIT", "ROLLBACK")

Call = tuple[str, Sequence[object]]


async def pipeline(request: Request) -> Response:
    """Execute one statement, or the statements of one transaction. Answer 422 for any other use of the protocol."""
    options: HttpOptions = request.app.state.options
    kind, steps = _requested(await json_body(request, within=options.body_timeout))
    calls = [step for step in steps if step[0] not in _TRANSACTION]
    try:
        database = _database_of(request)
        rows = database.transaction(lambda: [database.execute(*call) for call in calls])
    except DatabaseError as error:
        work: dict[str, object] = {"type": "error", "error": {"message": str(error), "code": "SQLITE_ERROR"}}
    else:
        results = iter([_result(one) for one in rows])
        answers = [_result(()) if sql in _TRANSACTION else next(results) for sql, _ in steps]
        batch = {"step_results": answers, "step_errors": [None for _ in answers]}
        work = {"type": "ok", "response": {"type": kind, "result": batch if kind == "batch" else answers[0]}}
    closed = {"type": "ok", "response": {"type": "close"}}
    return JSONResponse({"baton": None, "base_url": None, "results": [work, closed]})


_ADMIN_OF_ALL = for_every_queue(Scope.READ, for_every_queue(Scope.ENQUEUE, for_every_queue(Scope.ADMIN, pipeline)))
PIPELINE = Route("/v2/pipeline", _ADMIN_OF_ALL, methods=["POST"])
"""The route. It needs every scope for every queue, because a statement may read and change each row."""


def _requested(body: bytes) -> tuple[str, list[Call]]:
    """Return the kind of the request, and its statements in order, with those around a transaction."""
    try:
        match json.loads(body):
            case {"requests": [{"type": "execute", "stmt": statement}, {"type": "close"}]}:
                return "execute", [_call(statement)]
            case {"requests": [{"type": "batch", "batch": {"steps": [*steps]}}, {"type": "close"}]}:
                calls = [_call(step.get("stmt")) for step in steps if isinstance(step, dict)]
                around = [sql if sql in _TRANSACTION else "" for sql, _ in calls]
                if len(calls) == len(steps) and _is_one_transaction(around):
                    return "batch", calls
    except (ValueError, RecursionError) as error:
        raise RefusedError(422, f"the request is not one of libSQL: {error}") from error
    raise RefusedError(422, "only one statement, or one transaction, is executed here")


def _is_one_transaction(around: Sequence[str]) -> bool:
    begins, ends = around[:1], around[-2:]
    return begins in (["BEGIN"], ["BEGIN IMMEDIATE"]) and ends == ["COMMIT", "ROLLBACK"] and not any(around[1:-2])


def _call(statement: object) -> Call:
    match statement:
        case {"sql": str(sql), **others}:
            listed = others.get("args", [])
            values = [cast("Value", read(one)) for one in listed] if isinstance(listed, list) else []
            return sql, [bound_value(value, "the Durable Object") for value in values]
        case _:
            raise MalformedAnswerError("a statement has no SQL")


def _result(rows: Sequence[Row]) -> dict[str, object]:
    names = list(rows[0]) if rows else []
    return {
        "cols": [{"name": name} for name in names],
        "rows": [[written(row[name]) for name in names] for row in rows],
    }


def _database_of(request: Request) -> DurableObjectDatabase:
    store = backend_of(request).store
    if not isinstance(store, SqlStore) or not isinstance(store.database, DurableObjectDatabase):
        raise DatabaseError("the pipeline needs the store of a Durable Object")
    return store.database
