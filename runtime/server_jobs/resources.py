"""Resources: objects that a process opens once and hands to every handler."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from contextvars import Context
from typing import TypeVar

from .concurrency.tasks import shielded
from .domain.tracebacks import error_place
from .errors import ResourceNotFoundError, SetupError

T = TypeVar("T")

Lifespan = Callable[[], AbstractAsyncContextManager[object]]
"""A function without arguments, such as one with `@asynccontextmanager`. It yields a resource, a tuple of them, or
None."""

_logger = logging.getLogger("server_jobs")


class Resources:
    """Resources by type."""

    def __init__(self, values: Sequence[object] = ()) -> None:
        self._values = tuple(values)

    def get(self, kind: type[T]) -> T:
        """Return the resource of exactly this type, or else the only one of a subclass.

        Raises `ResourceNotFoundError`, which lists the types.
        """
        found = [value for value in self._values if type(value) is kind]
        found = found or [value for value in self._values if isinstance(value, kind)]
        if len(found) != 1:
            raise ResourceNotFoundError(kind.__name__, [type(value).__name__ for value in self._values], len(found))
        return found[0]


NO_RESOURCES = Resources()


class OpenLifespans:
    """Opens the lifespans of a process at the first use, in order, and closes them in reverse order.

    One task opens and closes them, because some libraries require it.
    """

    def __init__(self, lifespans: Callable[[], Sequence[Lifespan]]) -> None:
        self._lifespans = lifespans
        self.forget()

    def forget(self) -> None:
        """Start over without closing anything: in a forked child, or if the event loop is gone."""
        self._task: asyncio.Task[None] | None = None
        self._opened: asyncio.Future[Resources] | None = None
        self._closing = asyncio.Event()

    async def open(self) -> Resources:
        """Return the resources. Open them first if they are closed, in this event loop. Raises `SetupError`."""
        loop, opened = asyncio.get_running_loop(), self._opened
        if opened is None or opened.get_loop().is_closed() or (opened.get_loop() is not loop and not opened.done()):
            self.forget()
            opened = self._opened = loop.create_future()
            # Outside of the context of the handler or request that comes first.
            self._task = loop.create_task(self._live(opened, self._closing), context=Context())
        return opened.result() if opened.done() else await shielded(opened)

    async def close(self) -> None:
        """Close the resources, if they are open in this event loop. Log an error of a lifespan."""
        task, closing = self._task, self._closing
        self.forget()
        if task is not None and task.get_loop() is asyncio.get_running_loop():
            closing.set()
            await shielded(task)

    async def _live(self, opened: asyncio.Future[Resources], closing: asyncio.Event) -> None:
        try:
            async with AsyncExitStack() as stack:
                values: list[object] = []
                for lifespan in self._lifespans():
                    value = await stack.enter_async_context(lifespan())
                    values += value if isinstance(value, tuple) else () if value is None else (value,)
                opened.set_result(Resources(values))
                await closing.wait()
        except Exception as error:
            if self._opened is opened:
                self.forget()  # the next call tries again
            if opened.done():
                _logger.exception("a lifespan ended with an error")
                return
            opened.set_exception(SetupError("a lifespan", error, error_place(error)))
            opened.exception()
        except BaseException as error:
            if self._opened is opened:
                self.forget()
            if not opened.done():
                opened.set_exception(SetupError("a lifespan", error, error_place(error)))
                opened.exception()
            raise
