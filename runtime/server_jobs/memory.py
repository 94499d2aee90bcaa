"""The in-memory backend, without a database. For tests and first steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Unpack

from pydantic import BaseModel

from .domain.clock import Clock
from .domain.enqueue_options import EnqueueOptions
from .engine.attempts.factory import AttemptFactory
from .engine.backend import (
    DEFAULT_CONCURRENCY,
    DEFAULT_LOCK_TIMEOUT,
    DEFAULT_POLL_INTERVAL,
    Backend,
)
from .engine.stand_ins import backends
from .handle import JobHandle
from .middleware import enqueuing
from .registry import JobRegistry
from .resources import Resources
from .stores.memory import MemoryStore

__all__ = ["InMemoryBackend"]


class InMemoryBackend(Backend):
    """A backend that keeps its jobs in memory.

    Handlers get `database` as `context.database`; pass a mock or nothing. All handlers run in this process, because
    another process has neither the jobs nor the mock. `initialize` stores the schedules of the registry. Handlers get
    `resources` instead of those of the registry's lifespans, which then stay closed.

        backend = InMemoryBackend(job_registry=registry)
        handle = await SendEmail.using(backend).later({"to": "ada@example.com", "subject": "Hello"})
        await tick(backend)
        assert (await handle.result()).ok
    """

    store: MemoryStore

    def __init__(
        self,
        *,
        job_registry: JobRegistry,
        database: object = None,
        max_concurrency: int = DEFAULT_CONCURRENCY,
        lock_timeout: timedelta = DEFAULT_LOCK_TIMEOUT,
        poll_interval: timedelta = DEFAULT_POLL_INTERVAL,
        clock: Clock | None = None,
        resources: Sequence[object] | None = None,
    ) -> None:
        super().__init__(
            database=MemoryStore(clock),
            job_registry=job_registry,
            max_concurrency=max_concurrency,
            lock_timeout=lock_timeout,
            poll_interval=poll_interval,
            clock=clock,
        )
        backends.discard(self)  # the store stays in every test
        self.config = replace(self.config, database=database)
        self.attempt_factory = AttemptFactory(self.config, has_processes=False)
        self._given = None if resources is None else Resources(resources)
        self._declared: object = None
        """The scheduler and the jobs at the last declaration of schedules."""

    async def open_resources(self) -> None:
        if self._given is None:
            await super().open_resources()
        else:
            # A test gives only the resources of the handlers that it runs.
            self.attempt_factory.resources = self.attempt_factory.checked = self._given

    async def initialize(self) -> None:
        await super().initialize()
        declared = self.scheduler, self.registry.known_jobs()  # another tuple after each registration
        if declared != self._declared:
            await self.scheduler.declare()
            self._declared = declared

    def add_job(
        self, *, job_name: str, params: BaseModel | Mapping[str, object], **options: Unpack[EnqueueOptions]
    ) -> str:
        """Enqueue a job by name, without `await`, and return its id. Validates the params like `later`.

        Raises `UnknownJobError`, `InvalidOptionError` or `InvalidParamsError`.
        """
        job = self.registry.find(job_name).job
        with enqueuing(self.hooks.middleware, (job.new_job(params, **options),)) as (new,):
            handle: JobHandle[BaseModel] = JobHandle.of(job, self, self.store.add(new))
        for notify in self.inserted:
            notify()
        return handle
