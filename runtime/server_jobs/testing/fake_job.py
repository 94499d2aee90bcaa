"""A fake job that records its calls and returns a given result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any, Generic, cast

from pydantic import ValidationError

from ..context import JobContext
from ..definition import AnyDefinition, P, R
from ..domain.record import Inserted, NewJob
from ..errors import InvalidOptionError
from ..job import DEFAULT_WORKER_TIMEOUT, Job
from ..memory import InMemoryBackend
from ..middleware import NO_HEADERS
from ..registry import create_job_registry
from ..security.key_secret import key_secret


class FakeJob(Generic[P, R]):
    """Replaces a job inside a `with` block, and its handler if `handle` is registered.

    Inside the block, `later`, `now` and the other calls of the class run the fake at once, in memory, without a
    database. This includes calls in handlers. `later_in` still uses your transaction.

        with FakeJob(SendEmail, result=SendEmailResult(message_id="1")) as sent:
            await sign_up("ada@example.com")  # calls `SendEmail.later`
        assert sent[0].to == "ada@example.com"

    Each call returns `result`, which may be a function of the params. With `error`, each call raises it, and the job
    fails. With neither, the fake returns the smallest valid result. This needs Hypothesis, unless the smallest result
    is an empty object; without Hypothesis, it raises `InvalidOptionError`.
    """

    def __init__(
        self,
        job: type[Job[P, R, Any]],
        *,
        result: R | Callable[[P], R] | None = None,
        error: Exception | None = None,
    ) -> None:
        self.calls: list[P] = []
        """The params of all calls, in order."""
        self._job = job
        self._result = _smallest_result(job) if result is None and error is None else result
        self._error = error
        self._block = ExitStack()

    async def handle(self, params: P, context: JobContext) -> R:  # noqa: ARG002  the signature of handlers
        """The handler, for registration instead of the real one."""
        self.calls.append(params)
        if self._error is not None:
            raise self._error
        answer = self._result
        return cast("R", answer(params) if callable(answer) else answer)

    def __enter__(self) -> list[P]:
        """Replace the job. Return the list of its params."""
        backend = _AtOnce(self._job, job_registry=create_job_registry().register(self._job, self.handle))
        self._block.enter_context(self._job.bound_to(backend, in_handlers=True))
        self._block.enter_context(key_secret.random_if_missing())
        return self.calls

    def __exit__(self, *_: object) -> None:
        self._block.close()


class _AtOnce(InMemoryBackend):
    """A backend that runs a job before `insert` returns."""

    def __init__(self, job: AnyDefinition, **options: Any) -> None:  # noqa: ANN401  the options of the base class
        super().__init__(**options)
        self._job = job

    async def insert(self, jobs: Sequence[NewJob], request_trace: Mapping[str, str] = NO_HEADERS) -> Sequence[Inserted]:
        once = [job._replace(max_attempts=1) for job in jobs]  # no second attempt
        inserted = await super().insert(once, request_trace)
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
            f"the fake of {job.job_name} has no result to return; give `result=`, or install server-jobs[testing], "
            "whose Hypothesis finds a valid result"
        ) from error
    return smallest_of(job.job_name, "result", job.schemas().result, cast("type[R]", job.result_model))
