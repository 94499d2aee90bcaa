"""Handlers that use the connection of the caller."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from asgiref.sync import sync_to_async
from pydantic import BaseModel
from server_jobs.context import JobContext
from server_jobs.definition import AnyDefinition, AnyHandler, call_handler
from server_jobs.engine.attempts.places import is_async, isawaitable
from server_jobs.engine.backend import Backend
from server_jobs.registry import JobRegistry
from server_jobs.stores.sql.store import SqlStore

NoteError = Callable[[Exception], object]


@asynccontextmanager
async def engine_here(registry: JobRegistry, store: SqlStore, note: NoteError | None = None) -> AsyncIterator[Backend]:
    """Yield a backend that runs jobs in this process, in this event loop and in the thread of its caller.

    So handlers take part in the transaction of the caller, also where their spec asks for another process. `note` is
    called with each error of a handler.
    """
    backend = Backend(database=store, job_registry=_HandlersHere(registry, note))
    backend.runs_all_here = True
    try:
        yield backend
    finally:
        await backend.shutdown()


class _HandlersHere(JobRegistry):
    """The same registry, whose plain handlers run in the thread in which Django runs the ORM for coroutines."""

    def __init__(self, registry: JobRegistry, note: NoteError | None) -> None:
        super().__init__(database_schema=registry.database_schema)
        self.hooks = registry.hooks
        self._registrations, self._modules = registry._registrations, registry._modules
        self._registry = registry
        self._note = note

    def handler_of(self, job: AnyDefinition) -> AnyHandler:
        """Return an async handler that calls the real one."""
        return _in_thread_of_caller(self._registry.handler_of(job), self._note)


def _in_thread_of_caller(handler: AnyHandler, note: NoteError | None) -> AnyHandler:
    """Return an async handler that calls `handler`, a plain one in the thread of the caller."""

    async def call(params: BaseModel, context: JobContext) -> object:
        try:
            if is_async(handler):
                result = call_handler(handler, params, context)
            else:
                result = await sync_to_async(partial(call_handler, handler, params, context))()
            return await result if isawaitable(result) else result
        except Exception as error:
            if note is not None:
                note(error)
            raise

    return call
