"""The base of jobs without required params."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Unpack, cast

from .definition import D, P, R
from .job import DEFAULT_WORKER_TIMEOUT, Job

if TYPE_CHECKING:
    from .domain.enqueue_options import EnqueueOptions
    from .handle import JobHandle
    from .result import JobResult


class OptionalParamsJob(Job[P, R, D]):
    """Like `Job`, for a spec without required params. `later`, `later_sync` and `now` need no params.

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
