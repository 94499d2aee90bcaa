"""The places where handlers run: the event loop or a thread of this process, or a process of their own.

`pod_place` has the pods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ...binding import Binding
from ...definition import AnyHandler
from ...errors import InvalidParamsError
from .handler_call import HandlerCall, ThreadCall, runs_in_loop

if TYPE_CHECKING:
    from ...isolation.process_pool import HandlerProcesses
    from .attempt import Attempt
    from .leases import LeaseKeeper


class UnreadableParamsError(Exception):
    """The params of a row cannot be read. The message says why."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Place(Protocol):
    """Runs the handlers of attempts."""

    call: type[HandlerCall]
    """How the place calls a handler."""
    is_here: bool
    """Whether handlers run in this process."""
    settles: bool
    """Whether the place stores outcomes itself."""

    async def run(self, attempt: Attempt, backend: Binding, leases: LeaseKeeper) -> object:
        """Return the result of the handler, `Snooze` or `Cancel`; `SettledElsewhere` if the place has stored it.

        Raises the exception of the handler, and `UnreadableParamsError`. `leases` renews the lease of the attempt.
        """
        ...


class InLoop:
    """The event loop of this process."""

    call = HandlerCall
    is_here = True
    settles = False

    async def run(self, attempt: Attempt, backend: Binding, leases: LeaseKeeper) -> object:
        """As in `Place`."""
        del leases
        params = attempt.read_params()
        if attempt.running is None:
            return await attempt.call.run(backend, params)
        return await attempt.call.run_within(attempt.middleware, attempt.running, backend, params)


class InThread(InLoop):
    """A thread of this process, for plain handlers."""

    call = ThreadCall


class InProcess:
    """A process of its own, which reads the params and writes the result."""

    call = HandlerCall
    is_here = False
    settles = False

    def __init__(self, processes: HandlerProcesses) -> None:
        self._processes = processes

    async def run(self, attempt: Attempt, backend: Binding, leases: LeaseKeeper) -> object:
        """As in `Place`."""
        del backend, leases
        call, text = attempt.call, attempt.current_params()
        try:
            return await call.wait_for(
                self._processes.run(attempt.job, call.handler, text, call.context, attempt.running)
            )
        except InvalidParamsError as error:  # the process reads the params first, and wraps exceptions of the handler
            raise UnreadableParamsError(error) from error


_IN_LOOP, _IN_THREAD = InLoop(), InThread()


def place_here(handler: AnyHandler) -> Place:
    """Return the place of a handler in this process."""
    return _IN_LOOP if runs_in_loop(handler) else _IN_THREAD
