"""Machines that use the runtime as applications do: enqueue, cancel, retry, wait, and run jobs themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from pydantic import BaseModel
from server_jobs import (
    Backend,
    DatabaseError,
    DuplicateJobError,
    JobNotRetryableError,
    JobResult,
    JobUnavailableError,
    StaleClaimError,
)
from server_jobs.domain.enqueue_options import EnqueueOptions
from server_jobs.handle import JobHandle
from server_jobs.job import AnyJob

from .jobs import ALL, Done, Paced, Quick, Slow, Sole, registry
from .view import StoreView

if TYPE_CHECKING:
    from .world import World

EXPECTED = (DatabaseError, DuplicateJobError, JobNotRetryableError, JobUnavailableError, StaleClaimError, TimeoutError)
"""Errors that a caller may get in these simulations; any other is a problem."""


class Client:
    """One application process."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._machine = world.machine(name)
        view = StoreView(world.shared, self._machine, world.weather)
        self._backend = Backend(database=view, job_registry=registry(), lease=world.plan.lease, clock=self._machine)
        self._handles: list[tuple[AnyJob, JobHandle[BaseModel]]] = []
        self.program = self._machine.start(self._main())

    async def _main(self) -> None:
        actions: tuple[tuple[Callable[[], Awaitable[None]], int], ...] = (
            (self._later, 10),
            (self._later_many, 2),
            (self._cancel, 5),
            (self._retry, 4),
            (self._await_result, 3),
            (self._watch, 1),
            (self._hold_queue, 1),
            (self._run_now, 2),
            (self._run_batch, 1),
            (self._run_stored, 1),
            (self._look, 1),
        )
        calls, weights = zip(*actions, strict=True)
        while not self._world.is_closing:
            await asyncio.sleep(self._world.rng.expovariate(self._world.plan.haste))
            if not self._world.is_dark:
                await self._try(self._world.rng.choices(calls, weights)[0])

    async def _try(self, action: Callable[[], Awaitable[None]]) -> None:
        try:
            await action()
        except EXPECTED as error:
            self._world.trace.note(self._machine.name, f"{action.__name__}: {type(error).__name__}")
        except Exception as error:  # noqa: BLE001  the problem to be reported
            self._world.report(f"{self._machine.name}: {action.__name__} raised {error!r}")

    def _spawn(self, action: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(self._try(action))

    async def _later(self) -> None:
        rng = self._world.rng
        job = rng.choice(ALL)
        options = EnqueueOptions()
        if rng.random() < 0.3:
            options["delay"] = timedelta(seconds=rng.uniform(0, 8))
        if rng.random() < 0.2:
            options["priority"] = rng.randint(-2, 2)
        if rng.random() < 0.2:
            options["max_attempts"] = rng.randint(1, 3)
        if rng.random() < 0.1:
            options["unique_key"] = rng.choice(("x", "y"))
        handle = await job.using(self._backend).later(self._world.stage.work(), **options)
        self._take(job, handle)

    async def _later_many(self) -> None:
        rng = self._world.rng
        job = rng.choice((Quick, Slow, Sole, Paced))
        works = [self._world.stage.work() for _ in range(rng.randint(1, 6))]
        then = Quick.new_job(self._world.stage.work()) if rng.random() < 0.5 else None
        batch = await job.using(self._backend).later_many(works, then=then)
        for handle in batch:
            self._take(job, handle)
        if then is not None:
            self._take(Quick, Quick.using(self._backend).handle(batch.id))

    def _take(self, job: AnyJob, handle: JobHandle[BaseModel]) -> None:
        self._world.witness.see_handle(str(handle))
        self._handles.append((job, handle))

    async def _cancel(self) -> None:
        if self._handles:
            await self._world.rng.choice(self._handles)[1].cancel()

    async def _retry(self) -> None:
        if self._handles:
            await self._backend.store.retry(str(self._world.rng.choice(self._handles)[1]))

    async def _await_result(self) -> None:
        if self._handles:
            _, handle = self._world.rng.choice(self._handles)
            self._spawn(lambda: self._read_result(handle))

    async def _read_result(self, handle: JobHandle[BaseModel]) -> None:
        since = self._world.loop.time()
        result = await handle.result(timeout=timedelta(seconds=self._world.rng.uniform(0, 20)))
        if not result.metadata.status.is_finished:
            self._world.report(f"{handle} was waited for, and is {result.metadata.status}")
        self._check(result, since)

    async def _watch(self) -> None:
        if self._handles:
            _, handle = self._world.rng.choice(self._handles)
            self._spawn(lambda: self._watch_to_the_end(handle))

    async def _watch_to_the_end(self, handle: JobHandle[BaseModel]) -> None:
        status = None
        async with asyncio.timeout(20):
            async for progress in handle.watch():
                status = progress.status
        if status is None or not status.is_finished:
            self._world.report(f"{handle} was watched to its end, and is {status}")

    async def _hold_queue(self) -> None:
        """Pause a queue and resume it, unless the store fails."""
        if not self._world.witness.is_calm:
            await self._backend.store.pause_queue("other")
            await asyncio.sleep(self._world.rng.uniform(0, 5))
        await self._backend.store.resume_queue("other")

    async def _run_now(self) -> None:
        job = self._world.rng.choice(ALL).using(self._backend)
        lease = self._world.plan.lease

        async def run() -> None:
            since = self._world.loop.time()
            self._check(await job.now(self._world.stage.work(), worker_timeout=lease), since)

        task = self._spawn(run)
        if self._world.rng.random() < 0.3:
            await asyncio.sleep(self._world.rng.choice((0, 0.001, 0.01, 1.0)))
            task.cancel()

    async def _run_batch(self) -> None:
        works = [self._world.stage.work() for _ in range(3)]

        async def run() -> None:
            since = self._world.loop.time()
            for result in await Quick.using(self._backend).now_many(works, concurrency=2):
                self._check(result, since)

        self._spawn(run)

    async def _run_stored(self) -> None:
        if self._handles:
            job, handle = self._world.rng.choice(self._handles)
            lease = self._world.plan.lease

            async def run() -> None:
                since = self._world.loop.time()
                here = job.using(self._backend)
                self._check(await here.execute_from_database(str(handle), worker_timeout=lease), since)

            self._spawn(run)

    async def _look(self) -> None:
        await self._backend.store.count_jobs()
        await self._backend.store.list_schedules()
        if (
            not self._world.witness.is_calm
            and self._world.may_misuse
            and (found := await self._backend.store.list_schedules())
        ):
            schedule = self._world.rng.choice(found)
            await self._backend.store.enable_schedule(schedule.id, enabled=self._world.rng.random() < 0.7)

    def _check(self, result: JobResult[BaseModel], since: float) -> None:
        found = result.metadata
        run = result.value.run if isinstance(result.value, Done) else None
        self._world.witness.see_result(found.job_id, since, found.status, found.error, run)
