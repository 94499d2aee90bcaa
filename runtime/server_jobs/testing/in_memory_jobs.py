"""The jobs of a test in memory: assertions about them, and a way to run them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, Self, overload

from ..definition import AnyDefinition, D, P, R
from ..job import Job
from ..memory import InMemoryBackend
from ..redirection import StandIn
from ..registry import JobRegistry
from ..result import JobResult
from ..security.key_secret import key_secret
from ..security.tokens import random_token_if_missing
from .calling_thread import in_event_loop, run_from_here
from .enqueued import EnqueuedJob, enqueued_among, expect_none, expect_one
from .fake_clock import ShiftedClock
from .recording import RecordingBackend, RecordingStore
from .redirecting import every_backend_on, standing_in


class JobRuns(list["JobResult[Any]"]):
    """The outcomes of `run_jobs`, in the order of the runs. An async test awaits it."""

    def __init__(self, run: Callable[[], Coroutine[Any, Any, list[JobResult[Any]]]]) -> None:
        super().__init__()
        self._run = run
        self.is_awaited = False

    def __await__(self) -> Generator[Any, Any, JobRuns]:
        return self._awaited().__await__()

    async def _awaited(self) -> JobRuns:
        self.is_awaited = True
        self[:] = await self._run()
        return self


class InMemoryJobs:
    """Keeps every job of the process in memory inside a `with` block. The pytest fixture `jobs` is one.

    No way to enqueue reaches a database: calls of job classes, `later_in`, backends of the application, HTTP routes,
    calls in handlers and in threads. If the transaction of a `later_in` is rolled back, its job disappears; sessions of
    SQLAlchemy can tell, connections of plain drivers cannot. Jobs run when `run_jobs` is called; with `eager`, each job
    runs when it is enqueued, and its enqueue raises the error of the handler. `database` and `resources` are for
    handlers, as in `InMemoryBackend`.

        with InMemoryJobs(registry) as jobs:
            await SendEmail.later({"to": "ada@example.com", "subject": "Hello"}, delay=timedelta(hours=1))
            jobs.assert_enqueued(SendEmail, to="ada@example.com", delay=timedelta(hours=1))
            jobs.clock.advance(timedelta(hours=1))
            await jobs.run_jobs()
    """

    def __init__(
        self,
        registry: JobRegistry,
        *,
        eager: bool = False,
        database: object = None,
        resources: Sequence[object] | None = None,
    ) -> None:
        self.clock = ShiftedClock()
        """The time of the system, until `advance` moves it."""
        self._store = RecordingStore(self.clock)
        self.backend = InMemoryBackend(
            job_registry=registry, database=database, clock=self.clock, resources=resources, store=self._store
        )
        """A backend over the same jobs, for `tick` and `create_app`."""
        self._recording = RecordingBackend(
            registry, self._store, clock=self.clock, at_once=eager, database=database, resources=resources
        )
        self._to_await: list[JobRuns] = []
        self._block = ExitStack()

    @property
    def eager(self) -> bool:
        """Whether each job runs when it is enqueued, due or not."""
        return self._recording.at_once

    @eager.setter
    def eager(self, is_eager: bool) -> None:
        self._recording.at_once = is_eager

    def __enter__(self) -> Self:
        self._block.enter_context(standing_in(None, StandIn(self._recording, None)))
        self._block.enter_context(every_backend_on(self._store))
        self._block.enter_context(key_secret.random_if_missing())
        self._block.enter_context(random_token_if_missing())
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._block.close()
        if kind is None and not all(runs.is_awaited for runs in self._to_await):
            raise AssertionError("an async test must await `run_jobs`: write `await jobs.run_jobs()`")

    @overload
    def all_enqueued(self, job: type[Job[P, R, D]], /, **expected: object) -> list[EnqueuedJob[P]]: ...

    @overload
    def all_enqueued(self, /, **expected: object) -> list[EnqueuedJob[Any]]: ...

    def all_enqueued(self, job: AnyDefinition | None = None, /, **expected: object) -> list[EnqueuedJob[Any]]:
        """Return the jobs that were enqueued, in order, including finished ones.

        `expected` are params, and options of the enqueue such as `queue`, `delay` and `scheduled_for`. Params have
        their names in Python, and come first where an option has the same name. Values are equal in Python or as JSON;
        of a mapping, only the given keys count; times may differ by a second.
        """
        return self._found(job, expected)

    def _found(self, job: AnyDefinition | None, expected: Mapping[str, object]) -> list[EnqueuedJob[Any]]:
        return enqueued_among(self._store.enqueued(), self.backend.registry, job, expected)

    def assert_enqueued(self, job: type[Job[P, R, D]], /, **expected: object) -> EnqueuedJob[P]:
        """Return the first job that was enqueued with these params and options, as in `all_enqueued`.

        Raises `AssertionError`, which lists the jobs that were enqueued instead.

            with InMemoryJobs(registry) as jobs:
                await SendEmail.later({"to": "ada@example.com", "subject": "Hello"}, priority=5)
                sent = jobs.assert_enqueued(SendEmail, to="ada@example.com", priority=5)
                assert sent.params.subject == "Hello"
        """
        __tracebackhide__ = True
        return expect_one(self._found, job, expected)

    def refute_enqueued(self, job: AnyDefinition | None = None, /, **expected: object) -> None:
        """Raise `AssertionError` if a job was enqueued with these params and options, as in `all_enqueued`.

        Without arguments, no job at all may be enqueued.
        """
        __tracebackhide__ = True
        expect_none(self._found, job, expected)

    def run_jobs(self, *, raise_errors: bool = True) -> JobRuns:
        """Run the due jobs, one after another, until none is left. This includes jobs that handlers enqueue.
        Jobs that have expired are cancelled first, and have no outcome.

        Handlers and middleware are the real ones. An async test awaits the call. In other tests, plain handlers run in
        the thread of the test, so that they share its transaction. The first failure raises the error of the handler.
        With `raise_errors=False`, failures are among the outcomes, and jobs with attempts left wait for their retry.

            with InMemoryJobs(registry) as jobs:
                await SendEmail.later({"to": "ada@example.com", "subject": "Hello"})
                (outcome,) = await jobs.run_jobs()
                assert outcome.data.message_id

        Schedules fire in `tick(jobs.backend)`. Raises `InvalidOptionError` for a due job without a handler.
        """
        run = partial(self._recording.run_due, raise_errors=raise_errors)
        runs = JobRuns(run)
        if in_event_loop():
            self._to_await.append(runs)
        else:
            runs[:] = run_from_here(run)
        return runs
