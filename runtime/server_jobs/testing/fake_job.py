"""A fake job that records its calls and returns a given result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any, Generic, cast

from pydantic import BaseModel, ValidationError

from ..context import JobContext
from ..definition import P, R
from ..domain.clock import SystemClock
from ..domain.record import Inserted, NewJob
from ..errors import InvalidOptionError
from ..job import Job
from ..redirection import StandIn
from ..registry import create_job_registry
from ..security.key_secret import key_secret
from .recording import RecordingBackend, RecordingStore
from .redirecting import backend_for_all, standing_in


class FakeJob(Generic[P, R]):
    """Replaces a job inside a `with` block, and its handler if `handle` is registered.

    Inside the block, every way to enqueue the job runs the fake at once, in memory, without a database: calls of the
    class, `later_in`, `using`, calls by name, HTTP routes, and calls in handlers. If the transaction of a `later_in` is
    rolled back, its call disappears; sessions of SQLAlchemy can tell, connections of plain drivers cannot. Jobs that a
    database has already get the fake as their handler.

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
        self._calls_by_id: dict[str | None, P] = {}

    async def handle(self, params: P, context: JobContext) -> R:
        """The handler, for registration instead of the real one."""
        self.calls.append(params)
        self._calls_by_id[context.job_id] = params
        if self._error is not None:
            raise self._error
        answer = self._result
        return cast("R", answer(params) if callable(answer) else answer)

    def __enter__(self) -> list[P]:
        """Replace the job. Return the list of its params."""
        registry = create_job_registry().register(self._job, self.handle)
        around = backend_for_all()
        store = around.store if around is not None else None  # the fixture `jobs` sees the jobs of fakes too
        own = store if isinstance(store, RecordingStore) else RecordingStore(SystemClock())
        backend = _AtOnce(registry, own, at_once=True, raise_errors=False, withdrawn=self._forget)
        self._block.enter_context(standing_in(self._job.job_name, StandIn(backend, self.handle)))
        self._block.enter_context(key_secret.random_if_missing())
        return self.calls

    def __exit__(self, *_: object) -> None:
        self._block.close()

    def _forget(self, job_id: str) -> None:
        """Remove the call of a job whose transaction was rolled back."""
        params = self._calls_by_id.pop(job_id, None)
        self.calls[:] = [call for call in self.calls if call is not params]


class _AtOnce(RecordingBackend):
    """Runs each job once, without a second attempt."""

    def add(self, jobs: Sequence[NewJob], request_trace: Mapping[str, str]) -> Sequence[Inserted]:
        return super().add([job._replace(max_attempts=1) for job in jobs], request_trace)


def _smallest_result(job: type[Job[P, R, Any]]) -> R:
    if not issubclass(job.result_model, BaseModel):
        return cast("R", None)
    with suppress(ValidationError):
        return cast("R", job.result_model.model_validate_json("{}"))
    try:
        from .strategies import smallest_of  # Hypothesis is an extra
    except ModuleNotFoundError as error:
        raise InvalidOptionError(
            f"the fake of {job.job_name} has no result to return; give `result=`, or install server-jobs[testing], "
            "whose Hypothesis finds a valid result"
        ) from error
    return cast("R", smallest_of(job.job_name, "result", job.schemas().result, job.result_model))
