"""Open the places of plug-ins for a worker, and wait for a place that is away."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from contextvars import Context
from typing import TYPE_CHECKING

from ..errors import InvalidOptionError, PlaceError
from ..isolation.place_kinds import PLACES, PlaceKind, PlaceSettings, place_names
from ..isolation.raised import HandlerProcessError
from .attempts.places import Place

if TYPE_CHECKING:
    from ..binding import Binding
    from .attempts.attempt import Attempt
    from .attempts.factory import AttemptFactory
    from .attempts.leases import LeaseKeeper
    from .backend import Backend

_ON_ONE_MACHINE = ("memory", "sqlite")
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 10.0

_logger = logging.getLogger("server_jobs")


class PlaceNotOpenError(HandlerProcessError):
    """The worker claimed a job of a place that it has not opened."""

    def __init__(self, message: str) -> None:
        super().__init__(f"{type(self).__name__}: {message}")


@asynccontextmanager
async def open_places(settings: PlaceSettings) -> AsyncIterator[None]:
    """Open the places that jobs of the worker name, while the block runs. Enter it before `Worker.run`.

    The worker claims no job of a place that is not installed, which is logged, nor of a place that is away, until it
    can be opened. Raises `InvalidOptionError` if a place needs a database that other machines can reach or does not
    have the `place_options` of a job, and `PlaceError`.

        seconds = timedelta(seconds=1)
        settings = PlaceSettings(backend=backend, drain_timeout=8 * seconds, poll_interval=seconds)
        async with open_places(settings):
            worker = Worker(backend)
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
            await worker.run()
    """
    factory = settings.backend.execution.attempt_factory
    needed = factory.jobs_elsewhere(settings.queues)
    async with AsyncExitStack() as stack:
        for name in factory.jobs_elsewhere():
            if name not in needed:
                factory.places[name] = NotOpen()
            elif (kind := PLACES.find(name)) is None:
                _logger.error("the jobs %s are not claimed: %s", ", ".join(needed[name]), _unknown(name))
                factory.places[name] = NotOpen()
                factory.unplaced |= frozenset(needed[name])
            else:
                check_database(settings.backend.name, name, kind, needed[name])
                _check_options(settings.backend, name, kind, needed[name])
                await _open(stack, settings, name, kind, needed[name])
        yield


async def _open(
    stack: AsyncExitStack, settings: PlaceSettings, name: str, kind: PlaceKind, jobs: Sequence[str]
) -> None:
    factory = settings.backend.execution.attempt_factory
    try:
        factory.places[name] = await stack.enter_async_context(kind.open(settings))
    except PlaceError as error:
        if not error.is_away:
            raise
        extra = {"event": "place_away", "place": name}
        _logger.error("%s is away, so these jobs wait: %s: %s", name, ", ".join(jobs), error, extra=extra)  # noqa: TRY400  one line
        _wait(factory, name, jobs)
        opening = _open_later(settings, name, kind, jobs)
        stack.push_async_callback(_cancel, asyncio.get_running_loop().create_task(opening, context=Context()))


def _wait(factory: AttemptFactory, name: str, jobs: Sequence[str]) -> None:
    """Let the worker claim none of these jobs."""
    factory.places[name] = NotOpen()
    factory.unready |= frozenset(jobs)


async def _open_later(settings: PlaceSettings, name: str, kind: PlaceKind, jobs: Sequence[str]) -> None:
    """Open a place once it answers, and close it when this task is cancelled. A refusal is logged once."""
    factory, pause, refusal = settings.backend.execution.attempt_factory, _FIRST_PAUSE, ""
    async with AsyncExitStack() as stack:
        while True:
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  spreads load only
            pause = min(_LONGEST_PAUSE, pause * 2)
            try:
                factory.places[name] = await stack.enter_async_context(kind.open(settings))
                break
            except PlaceError as error:
                if not error.is_away and str(error) != refusal:
                    refusal = str(error)
                    _logger.error("jobs for %s cannot run, trying again: %s", name, error)  # noqa: TRY400  one line
        factory.unready -= frozenset(jobs)
        _logger.warning("%s answers, and its jobs run", name, extra={"event": "place_back", "place": name})
        with suppress(asyncio.CancelledError):  # close it like a place that was open from the start
            await asyncio.Event().wait()


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def check_places(factory: AttemptFactory, store_name: str) -> None:
    """Raise `InvalidOptionError` if a job would be claimed here whose place is not open."""
    for name, jobs in factory.jobs_elsewhere().items():
        if name not in factory.places:
            if (kind := PLACES.find(name)) is None:
                raise InvalidOptionError(f"{_named_by(name, jobs)} cannot run here: {_unknown(name)}")
            check_database(store_name, name, kind, jobs)
            raise InvalidOptionError(
                f"{_named_by(name, jobs)} needs a place that only a worker opens; run `server-jobs worker`, or enter "
                "`open_places` before `Worker.run`"
            )


def check_database(store_name: str, name: str, kind: PlaceKind, jobs: Sequence[str]) -> None:
    """Raise `InvalidOptionError` if the place needs a database that other machines can reach, and this one is none."""
    if kind.needs_shared_database and store_name in _ON_ONE_MACHINE:
        raise InvalidOptionError(
            f"{_named_by(name, jobs)} needs a database that other machines can reach, and this one is {store_name}; "
            "use PostgreSQL, or another runIn"
        )


def _check_options(backend: Backend, name: str, kind: PlaceKind, jobs: Sequence[str]) -> None:
    """Raise `InvalidOptionError` if a job has other `place_options` than its place. The generator checks specs."""
    for job in jobs:
        for option, value in backend.registry.find(job).job.options.place_options.items():
            if option not in kind.options:
                known = ", ".join(kind.options) or "none"
                raise InvalidOptionError(f"place_options of {job} has {option!r}, and options of {name} are: {known}")
            from ..contract.schemas.checker import Checker  # few jobs have such options

            for violation in Checker(kind.options[option]).violations(value):
                place = "/".join(map(str, (option, *violation.path)))
                raise InvalidOptionError(f"place_options of {job}: {place} {violation.message}")


def _named_by(name: str, jobs: Sequence[str]) -> str:
    return f'"runIn": "{name}" of {", ".join(jobs)}'


def _unknown(name: str) -> str:
    return (
        f"no place is called {name!r}; places are {', '.join(place_names())}; correct runIn, or install the package "
        "with the place"
    )


class NotOpen(Place):
    """Fails each attempt, for a worker that has not opened a place because none of its queues has a job of it.

    It claims such a job only if the spec named another queue when the job was enqueued.
    """

    async def run(self, attempt: Attempt, backend: Binding, leases: LeaseKeeper) -> object:
        """As in `Place`."""
        del backend, leases
        options = attempt.job.options
        raise PlaceNotOpenError(
            f"{options.run_in} is not open in this worker: the spec of {attempt.claim.job_name} moved to another queue "
            f"after this job was enqueued, and this worker serves only the old one; add the queue {options.queue!r} to "
            "this worker, and retry the job"
        )
