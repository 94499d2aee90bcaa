"""The base of retired jobs. Type checkers mark its calls as deprecated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .definition import D, P, R
from .job import Job

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta
    from typing import Unpack

    from typing_extensions import deprecated

    from .domain.enqueue_options import EnqueueOptions
    from .domain.record import NewJob
    from .handle import Batch, JobHandle
    from .result import JobResult


class RetiredJob(Job[P, R, D]):
    """Like `Job`, for a spec with `"status": "retired"` under `x-job`.

    Queued jobs still run. Every call that would enqueue or run a new job raises `JobRetiredError`.
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
