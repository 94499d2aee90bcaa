"""Job classes: the calls of `enqueuing`, and those that run jobs here.

Generated classes derive from `Job`, or from one of its two variants. `define_job` makes a class from any two Pydantic
models.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Unpack, cast

from pydantic import BaseModel

from .binding import Routed, hooks_without_backend
from .concurrency.blocking import wait_for
from .contract.documents import lost_fields, write_params, write_params_of_many
from .contract.upcasts import AnyEarlierVersion
from .definition import D, Handler, P, R, inherited_correlation_id
from .domain.enqueue_options import EnqueueOptions, check_options, refuse_unknown
from .domain.option_kinds import check_range
from .domain.options import JobOptions, Schedule, StatedOptions
from .domain.record import NewJob, ScheduleRecord
from .domain.text_limits import LONGEST_NAME, check_text
from .enqueuing import EnqueuingJob
from .errors import InvalidOptionError, JobFailedError
from .handle import Batch, JobHandle, ScheduleHandle
from .result import JobResult

if TYPE_CHECKING:
    from typing_extensions import deprecated

    from .domain.interfaces import Database, Store

AnyJob = type["Job[Any, Any, Any]"]

DEFAULT_WORKER_TIMEOUT = timedelta(minutes=5)


class Job(EnqueuingJob[P, R, D]):
    """The base of every job class. All methods are class methods; the class is never instantiated.

        handle = await SendEmail.later({"to": "ada@example.com", "subject": "Hello"})
        outcome = await handle.result()

    `P` and `R` are the models of params and result; `R` is `None` if the job has no result. `D` is a mapping that
    callers may pass instead of a params model: a generated `TypedDict` with the names of the spec.
    """

    @classmethod
    def set_database(cls, database: Store | Database | str) -> None:
        """Bind this class alone to a database: a store, a database, or a URL. The first call opens it.

        The binding also applies inside handlers, until the class is bound again.
        """
        from .engine.backend import Backend  # a process that only enqueues should not wait for this import
        from .registry import create_job_registry

        registry = create_job_registry(database_schema=cls.database_schema)
        registry.hooks = hooks_without_backend(cls)
        cls.bind(Backend(database=database, job_registry=registry.register(cls)))
        cls._pinned = True

    @classmethod
    def schedule(cls, name: str) -> ScheduleHandle[R, P | D]:
        """Return the handle of the schedule with this name, stored or not.

        Reads nothing until you use the handle.

            news = {"to": "ada@example.com", "subject": "News"}
            await SendEmail.schedule("weekly").add(cron="0 7 * * 1", params=news)
        """
        return ScheduleHandle(cls, name)

    @classmethod
    async def list_schedules(cls) -> list[ScheduleRecord]:
        """Read the stored schedules of this job, declared and added, ordered by name."""
        backend = cls.current_backend()
        await backend.initialize()
        return [one for one in await backend.store.list_schedules() if one.job_name == cls.job_name]

    @classmethod
    def list_schedules_sync(cls) -> list[ScheduleRecord]:
        """Like `list_schedules`, for code without an event loop."""
        return wait_for(cls.current_backend(), f"{cls.job_name}.list_schedules()", cls.list_schedules)

    @classmethod
    async def now(
        cls,
        params: P | D,
        *,
        persist: bool = True,
        worker_timeout: timedelta = DEFAULT_WORKER_TIMEOUT,
        correlation_id: str | None = None,
    ) -> JobResult[R]:
        """Run the job here and return its outcome. A failure is part of the outcome; it is not raised.

        The job is stored as running, under a lease of `worker_timeout` that is renewed while the handler runs. After a
        crash, or a failure with attempts left, a worker takes it over.

        With `persist=False` nothing is stored, and no backend is needed. Without a backend, `context.database` is None
        and the handler runs in this process.

        Raises `InvalidParamsError`, or `DuplicateJobError` if an unfinished job has the same unique key.

            outcome = await SendEmail.now({"to": "ada@example.com", "subject": "Hello"})
            if outcome.ok:
                print(outcome.data.message_id)
            else:
                print(outcome.error)
        """
        cls._check_active()
        check_options({"correlation_id": correlation_id})
        if not persist:
            return await cls._now_unstored(params, inherited_correlation_id(correlation_id))
        new = cls.new_job(params, correlation_id=correlation_id)
        backend = cls.current_backend([new])
        async with backend.direct_runs() as runs:
            return cls.result_of(await runs.run_new(cls, new, worker_timeout))

    @classmethod
    async def _now_unstored(cls, params: P | D, correlation_id: str | None) -> JobResult[R]:
        validated, _ = write_params(cls.job_name, cls.params_model, params, cls.options.redact)
        backend = cls.binding()
        if isinstance(backend, Routed):
            backend = cls.current_backend([cls.new_job(params)])
        if backend is None:
            from .engine.direct_runs import run_unbound  # imported when used, as in `set_database`

            metadata, value = await run_unbound(cls, validated, correlation_id)
        else:
            async with backend.direct_runs() as runs:
                metadata, value = await runs.run_unstored(cls, validated, correlation_id)
        return JobResult(metadata, cast("R | None", value))

    @classmethod
    async def now_many(
        cls,
        params_list: Sequence[P | D],
        *,
        concurrency: int = 3,
        persist: bool = True,
        stop_on_error: bool = False,
    ) -> list[JobResult[R]]:
        """Run many jobs here, at most `concurrency` at a time. Return all outcomes in the order of the input.

        All params are validated before the first job runs. With `stop_on_error`, no job starts after a failure; running
        jobs finish, and `JobFailedError` is raised for the first failure. Errors of `now` such as `DuplicateJobError`
        are raised in the same way.

            readers = ["ada@example.com", "bob@example.com"]
            news = [{"to": reader, "subject": "News"} for reader in readers]
            outcomes = await SendEmail.now_many(news, concurrency=2)
            failures = [outcome.error for outcome in outcomes if not outcome.ok]
        """
        check_range("concurrency", concurrency, 1, 10_000)
        written = write_params_of_many(cls.job_name, cls.params_model, params_list, cls.options.redact)
        models = [model for model, _ in written]
        over = asyncio.Event()
        slots = asyncio.Semaphore(concurrency)

        async def run_one(params: BaseModel) -> JobResult[R] | None:
            async with slots:
                if over.is_set():
                    return None
                try:
                    result = await cls.now(cast("P", params), persist=persist)
                except BaseException:
                    over.set()
                    raise
                if stop_on_error and not result.ok:
                    over.set()
                return result

        outcomes = await asyncio.gather(*(run_one(params) for params in models), return_exceptions=True)
        return list(_results(outcomes, stop_on_error))

    @classmethod
    async def batch(
        cls,
        params_list: Sequence[P | D],
        *,
        concurrency: int = 3,
        persist: bool = True,
        stop_on_error: bool = False,
    ) -> list[JobResult[R]]:
        """The TypeScript package's name of `now_many`."""
        return await cls.now_many(params_list, concurrency=concurrency, persist=persist, stop_on_error=stop_on_error)

    @classmethod
    async def execute_from_database(
        cls, job_id: str, *, worker_timeout: timedelta = DEFAULT_WORKER_TIMEOUT
    ) -> JobResult[R]:
        """Claim a pending job, due or not, and run it here.

        Raises `JobNotFoundError`, or `JobUnavailableError` if it is not pending, for example because a worker has it.

            handle = await SendEmail.later(params, delay=timedelta(days=1))
            outcome = await SendEmail.execute_from_database(handle)
            print(outcome.data.message_id)
        """
        if isinstance(job_id, JobHandle) and isinstance(cls.binding(), Routed):
            backend = job_id.bound_backend()
        else:
            backend = cls.current_backend()
        async with backend.direct_runs() as runs:
            return cls.result_of(await runs.run_stored(cls, job_id, worker_timeout))


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
        async def now_many(
            cls,
            params_list: Sequence[P | D],
            *,
            concurrency: int = 3,
            persist: bool = True,
            stop_on_error: bool = False,
        ) -> list[JobResult[R]]: ...

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


def define_job(
    *,
    name: str,
    params: type[P],
    result: type[R],
    handler: Handler[P, R],
    options: JobOptions | None = None,
    schedules: Sequence[Schedule] = (),
    earlier: Sequence[AnyEarlierVersion] = (),
    database_schema: str | None = None,
    **stated: Unpack[StatedOptions],
) -> type[Job[P, R, Mapping[str, object]]]:
    """Return a job class made from two Pydantic models and a handler, without a spec.

    The result may be `NoneType`: the handler then returns None. Each option of `JobOptions` is also an argument, such
    as `queue="mail"`. It replaces the value in `options`, which several jobs may share.

    It works like a generated class, with one difference: no check compares changed models with queued rows. `earlier`
    reads rows of earlier versions, oldest first. `database_schema` is the PostgreSQL schema for `later_in` and
    `set_database`; a registry has its own. Raises `InvalidOptionError` if the name is not an identifier of at most 100
    characters, if an option is unknown or outside its limits, or if a model loses values when it is written, such as a
    `SecretStr`.

        class Text(BaseModel):
            text: str

        async def shout(params: Text, context: JobContext) -> Text:
            return Text(text=params.text.upper())

        Shout = define_job(name="Shout", params=Text, result=Text, handler=shout, queue="texts", max_attempts=5)
        outcome = await Shout.now({"text": "hello"}, persist=False)
        assert outcome.data.text == "HELLO"
    """
    if not name.isidentifier():
        raise InvalidOptionError(f"a job name must be an identifier such as 'SendEmail', not {name!r}")
    check_text("a job name", name, LONGEST_NAME)
    for model in (params, result):
        for field, reason in lost_fields(model) if issubclass(model, BaseModel) else ():
            raise InvalidOptionError(f"the values of {field} would be lost: it {reason}")
    refuse_unknown(stated, StatedOptions)
    members = {
        "job_name": name,
        "spec_name": name,
        "params_model": params,
        "result_model": result,
        "options": replace(options or JobOptions(), **stated),
        "schedules": tuple(schedules),
        "earlier": tuple(earlier),
        "database_schema": database_schema,
        "is_in_code": True,
        "handler": staticmethod(handler),
    }
    job = cast("type[Job[P, R, Mapping[str, object]]]", type(name, (Job,), members))
    job.versions()  # checks them
    return job


def _results(outcomes: Sequence[JobResult[R] | BaseException | None], stop_on_error: bool) -> Iterator[JobResult[R]]:
    """Yield the results in order, or raise the first error."""
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
        if outcome is None:
            continue
        if stop_on_error and not outcome.ok:
            found = outcome.metadata
            raise JobFailedError(found.job_name, found.job_id, found.status, found.error)
        yield outcome
