"""The bases of jobs that differ from `Job` in their calls: those without required params, and retired ones."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Unpack, cast

from .definition import D, P, R
from .job import DEFAULT_WORKER_TIMEOUT, Job

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import deprecated

    from .domain.enqueue_options import EnqueueOptions
    from .domain.record import NewJob
    from .handle import Batch, JobHandle
    from .result import JobResult


class OptionalParamsJob(Job[P, R, D]):
    """Like `Job`, for a spec without required params.

    `later`, `later_sync` and `now` need no params.

        handle = await Cleanup.later()
    """

    @classmethod
    async def later(cls, params: P | D | None = None, **options: Unpack[EnqueueOptions]) -> JobHandle[R]:
        """Like `Job.later`."""
        return await super().later(cls._given(params), **options)

    @classmethod
    def later_sync(cls, params: P | D | None = None, **options: Unpack[EnqueueOptions]) -> JobHandle[R]:
        """Like `Job.later_sync`."""
        return super().later_sync(cls._given(params), **options)

    @classmethod
    async def now(
        cls,
        params: P | D | None = None,
        *,
        persist: bool = True,
        worker_timeout: timedelta = DEFAULT_WORKER_TIMEOUT,
        correlation_id: str | None = None,
    ) -> JobResult[R]:
        """Like `Job.now`."""
        return await super().now(
            cls._given(params), persist=persist, worker_timeout=worker_timeout, correlation_id=correlation_id
        )

    @staticmethod
    def _given(params: P | D | None) -> P | D:
        return cast("D", {}) if params is None else params


class RetiredJob(Job[P, R, D]):
    """Like `Job`, for a spec with `"status": "retired"` under `x-job`.

    Queued jobs still run. Every call that would enqueue or run a new job raises `JobRetiredError`, and type checkers
    mark it as deprecated.
    """

    if TYPE_CHECKING:

        @classmethod
        @deprecated("this job is retired: call the one that took its place")
        async def later(cls, params: P | D, **options: Unpack[EnqueueOptions]) -> JobHandle[R]: ...

        @classmethod
        @deprecated("this job is retired: call the one that took its place")
        def later_sync(cls, params: P | D, **options: Unpack[EnqueueOptions]) -> JobHandle[R]: ...

        @classmethod
        @deprecated("this job is retired: call the one that took its place")
        async def later_many(
            cls, params_list: Sequence[P | D], *, then: NewJob | None = None, **options: Unpack[EnqueueOptions]
        ) -> Batch[R]: ...

        @classmethod
        @deprecated("this job is retired: call the one that took its place")
        def later_many_sync(
            cls, params_list: Sequence[P | D], *, then: NewJob | None = None, **options: Unpack[EnqueueOptions]
        ) -> Batch[R]: ...

        @classmethod
        @deprecated("this job is retired: call the one that took its place")
        async def now(
            cls,
            params: P | D,
            *,
            persist: bool = True,
            worker_timeout: timedelta = ...,
            correlation_id: str | None = None,
        ) -> JobResult[R]: ...

        @classmethod
        @deprecated("this job is retired: call the one that took its place")
        async def batch(
            cls,
            params_list: Sequence[P | D],
            *,
            concurrency: int = 3,
            persist: bool = True,
            stop_on_error: bool = False,
        ) -> list[JobResult[R]]: ...
