"""A fake in the place of a job: it records what the job was given, and returns what it was told to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import Any, Generic, cast

from pydantic import ValidationError

from ..context import JobContext
from ..definition import AnyDefinition, P, R
from ..domain.record import Inserted, NewJob
from ..errors import InvalidOptionError
from ..job import DEFAULT_WORKER_TIMEOUT, Job
from ..memory import InMemoryBackend
from ..registry import create_job_registry
from ..security.key_secret import key_secret


class FakeJob(Generic[P, R]):
    """Takes the place of a job in a `with` block, and of its handler wherever `handle` is registered.

    In the block, `later`, `now` and their like of that class run the fake at once, in memory: no database is needed,
    and whoever asks for the result gets it. That holds inside handlers too; only `later_in` goes to your own
    transaction as ever. `result` is returned each time, or what it returns if it is a function of the params; `error`
    is raised instead, and the job has failed then. With neither, the smallest result that fits the spec is returned,
    which needs Hypothesis unless that is an empty object. Raises `InvalidOptionError` where it is needed and missing.
    """

    def __init__(
        self,
        job: type[Job[P, R, Any]],
        *,
        result: R | Callable[[P], R] | None = None,
        error: Exception | None = None,
    ) -> None:
        self.calls: list[P] = []
        """What the job was given, in that order."""
        self._job = job
        self._result = _smallest_result(job) if result is None and error is None else result
        self._error = error
        self._block = ExitStack()

    async def handle(self, params: P, context: JobContext) -> R:  # noqa: ARG002  a handler takes both
        """The handler: to be registered in the place of the real one."""
        self.calls.append(params)
        if self._error is not None:
            raise self._error
        answer = self._result
        return cast("R", answer(params) if callable(answer) else answer)

    def __enter__(self) -> list[P]:
        """Take the place of the job; returns the list of what it is given."""
        backend = _AtOnce(self._job, job_registry=create_job_registry().register(self._job, self.handle))
        self._block.enter_context(self._job.bound_to(backend, in_handlers=True))
        self._block.enter_context(key_secret.random_if_missing())
        return self.calls

    def __exit__(self, *_: object) -> None:
        self._block.close()


class _AtOnce(InMemoryBackend):
    """Runs what is queued before it says that it is."""

    def __init__(self, job: AnyDefinition, **options: Any) -> None:  # noqa: ANN401  those of its base
        super().__init__(**options)
        self._job = job

    async def insert(self, jobs: Sequence[NewJob]) -> Sequence[Inserted]:
        inserted = await super().insert([job._replace(max_attempts=1) for job in jobs])  # nobody runs a second one
        for one in inserted:
            if one.created:
                await self.run_stored(self._job, one.id, DEFAULT_WORKER_TIMEOUT)
        return inserted


def _smallest_result(job: type[Job[P, R, Any]]) -> R:
    with suppress(ValidationError):
        return cast("R", job.result_model.model_validate_json("{}"))
    try:
        from .strategies import smallest_of  # Hypothesis is an extra
    except ModuleNotFoundError as error:
        raise InvalidOptionError(
            f"the fake of {job.job_name} has nothing to return; give `result=`, or install server-jobs[testing], "
            "whose Hypothesis finds a result that fits"
        ) from error
    return smallest_of(job.job_name, "result", job.schemas().result, cast("type[R]", job.result_model))
