"""An event loop without waiting: if nothing is ready, its clock jumps to the next timer.

It has no sockets, threads or signals, so that the program alone determines every event. Each callback belongs to the
machine in whose context it was scheduled. A frozen machine gets no callbacks until it is thawed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator, Sequence
from concurrent.futures import Executor
from contextvars import Context, ContextVar, copy_context
from typing import Any, Protocol, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MOST_TURNS_AT_ONE_MOMENT = 50_000


class StuckError(Exception):
    """The program is stuck: nothing is ready and no timer is set, or it spins without time passing."""


class Owner(Protocol):
    """A simulated machine, as the loop sees it."""

    is_frozen: bool
    held: list[Delivery]
    tasks: list[asyncio.Task[Any]]


current_owner: ContextVar[Owner | None] = ContextVar("current_owner", default=None)


class Delivery:
    """A callback on its way to a machine."""

    def __init__(self, owner: Owner, call: Callable[[], object], context: Context) -> None:
        self.owner = owner
        self.context = context
        self.handle: asyncio.Handle | None = None
        self._call = call

    def run(self) -> None:
        if self.handle is not None and self.handle.cancelled():
            return
        if self.owner.is_frozen:
            self.owner.held.append(self)
        else:
            self._call()


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop. `time` starts at zero and jumps."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._turns = 0
        self._selector = self  # the base class waits on it

    def time(self) -> float:
        return self._now

    def select(self, timeout: float | None) -> Sequence[object]:
        """Jump to the timeout instead of waiting."""
        if timeout is None:
            raise StuckError(f"at {self._now:.3f} s nothing is ready and no timer is set")
        self._turns = 0 if timeout > 0 else self._turns + 1
        if self._turns > MOST_TURNS_AT_ONE_MOMENT:
            self._turns = 0
            raise StuckError(f"at {self._now:.3f} s the program spins, and no time passes")
        self._now += max(0.0, timeout)
        return ()

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        context = context or copy_context()
        owner = context.get(current_owner)
        if owner is None:
            return super().call_soon(callback, *args, context=context)
        delivery = Delivery(owner, lambda: callback(*args), context)
        delivery.handle = super().call_soon(delivery.run, context=context)
        return delivery.handle

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        context = context or copy_context()
        owner = context.get(current_owner)
        if owner is None:
            return super().call_at(when, callback, *args, context=context)
        delivery = Delivery(owner, lambda: callback(*args), context)
        handle = super().call_at(when, delivery.run, context=context)
        delivery.handle = handle
        return handle

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        """Create a task as usual. The machine of the program records it."""
        task = super().create_task(coro, name=name, context=context)
        owner = (context or copy_context()).get(current_owner)
        if owner is not None:
            owner.tasks.append(task)
        return task

    def thaw(self, owner: Owner) -> None:
        """Resume a frozen machine: it gets the missed callbacks at once, in their order."""
        owner.is_frozen = False
        held, owner.held[:] = list(owner.held), []
        for delivery in held:
            super().call_soon(delivery.run, context=delivery.context)

    def run_in_executor(  # type: ignore[override]  # the base class returns a future; nobody gets one here
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], object], *args: *Ts
    ) -> asyncio.Future[object]:
        raise RuntimeError(f"no threads in a simulation: {func} was to run in one")

    def _process_events(self, event_list: Sequence[object]) -> None:
        """Do nothing, because there are no events."""
