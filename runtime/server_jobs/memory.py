"""The in-memory backend, without a database. For tests and first steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Unpack

from pydantic import BaseModel

from .domain.enqueue_options import EnqueueOptions
from .domain.interfaces import Store
from .engine.backend import BackendOptions
from .engine.execution import Execution
from .engine.worker_backend import PollingBackend
from .handle import JobHandle
from .middleware import enqueuing
from .registry import JobRegistry
from .resources import Resources
from .stores.memory import MemoryStore

__all__ = ["InMemoryBackend"]


class InMemoryBackend(PollingBackend):
    """A backend that keeps its jobs in memory.

    Handlers get `database` as `context.database`; pass a mock or nothing. All handlers run in this process, because
    another process has neither the jobs nor the mock. `initialize` stores the schedules of the registry. Handlers get
    `resources` instead of those of the registry's lifespans, which then stay closed. `lock_timeout` is the TypeScript
    package's name of `lease`.

        backend = InMemoryBackend(job_registry=registry)
        handle = await SendEmail.using(backend).later({"to": "ada@example.com", "subject": "Hello"})
        await tick(backend)
        assert (await handle.result()).ok
    """

    runs_all_here = True

    def __init__(
        self,
        *,
        job_registry: JobRegistry,
        database: object = None,
        resources: Sequence[object] | None = None,
        store: MemoryStore | None = None,
        lock_timeout: timedelta | None = None,
        **options: Unpack[BackendOptions],
    ) -> None:
        if lock_timeout is not None:
            options["lease"] = lock_timeout
        self._memory = MemoryStore(options.get("clock")) if store is None else store
        super().__init__(database=self._memory, job_registry=job_registry, **options)
        self.config = replace(self.config, database=database)
        self._given = None if resources is None else Resources(resources)
        self._declared: object = None
        """The execution and the jobs at the last declaration of schedules."""

    @property
    def store(self) -> MemoryStore:
        """The jobs in memory."""
        return self._memory

    def new_execution(self, store: Store) -> Execution:
        return InMemoryExecution(self, store, self._given)

    async def initialize(self) -> None:
        await super().initialize()
        execution = self.execution
        declared = execution, self.registry.known_jobs()  # another tuple after each registration
        if declared != self._declared:
            await execution.scheduler.declare()
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


class InMemoryExecution(Execution):
    """Runs jobs with the given resources; None: with those of the registry's lifespans."""

    def __init__(self, backend: InMemoryBackend, store: Store, given: Resources | None) -> None:
        super().__init__(backend, store)
        self._given = given

    async def open_resources(self) -> None:
        if self._given is None:
            await super().open_resources()
        else:
            # A test gives only the resources of the handlers that it runs.
            self.attempt_factory.resources = self.attempt_factory.checked = self._given
