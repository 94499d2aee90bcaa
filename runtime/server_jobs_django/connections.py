"""Django's connections around each handler, as around a request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from asgiref.sync import sync_to_async
from django.db import connections
from server_jobs.binding import JobBackend, handler_backend
from server_jobs.middleware import Middleware, RunningAttempt


class DjangoConnections(Middleware):
    """Closes connections that are broken or older than `CONN_MAX_AGE`, before and after each handler.

    Calls of job classes in handlers use `backend`, so that they take part in the handler's transactions.
    """

    def __init__(self, backend: JobBackend) -> None:
        self._backend = backend

    @asynccontextmanager
    async def around_attempt(self, attempt: RunningAttempt) -> AsyncIterator[None]:
        """Take care of the connections that coroutines use."""
        del attempt
        chosen = handler_backend.set(self._backend)
        await sync_to_async(_close_old_connections)()
        try:
            yield
        finally:
            await sync_to_async(_close_old_connections)()
            handler_backend.reset(chosen)

    @contextmanager
    def around_plain_handler(self, attempt: RunningAttempt) -> Iterator[None]:
        """Take care of the connections of this thread."""
        del attempt
        _close_old_connections()
        try:
            yield
        finally:
            _close_old_connections()


def _close_old_connections() -> None:
    """Close connections as Django does around a request. Keep them inside `atomic`, which surrounds each `TestCase`."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
