"""The in-memory backend, without a database. For tests and first steps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Unpack

from pydantic import BaseModel

from .domain.clock import Clock
from .domain.enqueue_options import EnqueueOptions
from .engine.backend import (
    DEFAULT_CONCURRENCY,
    DEFAULT_LOCK_TIMEOUT,
    DEFAULT_POLL_INTERVAL,
    Backend,
    WorkerBackendConfig,
)
from .handle import JobHandle
from .registry import JobRegistry
from .stores.memory import MemoryStore

__all__ = ["InMemoryBackend"]


class InMemoryBackend(Backend):
    """A backend that keeps its jobs in memory.

    Handlers get `database` as `context.database`; pass a mock or nothing. All handlers run in this process, because
    another process has neither the jobs nor the mock. `initialize` stores the schedules of the registry.
    """

    store: MemoryStore
    has_processes = False

    def __init__(
        self,
        *,
        job_registry: JobRegistry,
        database: object = None,
        max_concurrency: int = DEFAULT_CONCURRENCY,
        lock_timeout: timedelta = DEFAULT_LOCK_TIMEOUT,
        poll_interval: timedelta = DEFAULT_POLL_INTERVAL,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(
            database=MemoryStore(clock),
            job_registry=job_registry,
            max_concurrency=max_concurrency,
            lock_timeout=lock_timeout,
            poll_interval=poll_interval,
            clock=clock,
        )
        self.config = WorkerBackendConfig(
            database=database,
            job_registry=job_registry,
            max_concurrency=max_concurrency,
            lock_timeout=lock_timeout,
            poll_interval=poll_interval,
        )

    async def initialize(self) -> None:
        await super().initialize()
        await self.scheduler.declare()

    def add_job(
        self, *, job_name: str, params: BaseModel | Mapping[str, object], **options: Unpack[EnqueueOptions]
    ) -> str:
        """Enqueue a job by name, without `await`, and return its id. Validates the params like `later`.

        Raises `UnknownJobError`, `InvalidOptionError` or `InvalidParamsError`.
        """
        job = self.registry.find(job_name).job
        handle: JobHandle[BaseModel] = JobHandle.of(job, self, self.store.add(job.new_job(params, **options)))
        for notify in self.inserted:
            notify()
        return handle
