"""The calls of job classes: enqueue, run, and wait.

Generated classes derive from `Job`; `define_job` makes one from any two Pydantic models.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, cast, overload

from pydantic import BaseModel

from .binding import JobBackend, PlacedJobs, Routed, hooks_without_backend
from .concurrency.blocking import wait_for
from .contract.documents import lost_fields, write_params, write_params_of_many
from .contract.upcasts import AnyEarlierVersion
from .definition import D, Handler, JobDefinition, P, R, inherited_correlation_id
from .domain.enqueue_options import EnqueueOptions, check_options
from .domain.ids import new_job_id
from .domain.options import JobOptions, Schedule, check_range
from .domain.record import Inserted, NewJob, ScheduleRecord
from .domain.text_limits import LONGEST_NAME, check_text
from .errors import BatchNotFoundError, InvalidOptionError, JobFailedError
from .handle import Batch, JobHandle, ScheduleHandle, completion_job
from .result import JobResult

if TYPE_CHECKING:
    from .domain.interfaces import Database, Store
    from .stores.sql.dialect import DialectName
    from .transactions.insertion import Insertion
    from .transactions.joining import Answers, AnyAsyncTransaction, AnySyncTransaction

T = TypeVar("T")
AnyJob = type["Job[Any, Any, Any]"]

DEFAULT_WORKER_TIMEOUT = timedelta(minutes=5)


class Job(JobDefinition[P, R, D]):
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
    async def later(cls, params: P | D, **options: Unpack[EnqueueOptions]) -> JobHandle[R]:
        """Enqueue the job for a worker and return its handle. The job is committed when the call returns.

        `EnqueueOptions` lists the options. If an unfinished job has the same unique key, store nothing and return the
        handle of that job. Raises `InvalidParamsError` before anything is stored.

            email = SendEmailParams(to="ada@example.com", subject="Hello")
            handle = await SendEmail.later(email, delay=timedelta(hours=1))
            again = await SendEmail.later(email)
            assert again == handle and not again.created  # `to` and `subject` are the unique key
        """
        new = PlacedJobs([cls.new_job(params, **options)])
        backend = cls.current_backend(new)
        (inserted,) = await backend.insert(new)
        return JobHandle.of(cls, backend, inserted)

    @classmethod
    def later_sync(cls, params: P | D, **options: Unpack[EnqueueOptions]) -> JobHandle[R]:
        """Like `later`, for code without an event loop: Django, Flask, scripts, and plain handlers.

        Any thread may call it. Raises `InvalidOptionError` inside an event loop, which it would block.

            SendEmail.set_database("sqlite:///server-jobs.sqlite3")
            handle = SendEmail.later_sync({"to": "ada@example.com", "subject": "Hello"})
            print(handle, handle.created)
        """
        new = PlacedJobs([cls.new_job(params, **options)])
        backend = cls.current_backend(new)
        (inserted,) = wait_for(backend, f"{cls.job_name}.later(...)", lambda: backend.insert(new))
        return JobHandle.of(cls, backend, inserted)

    @classmethod
    async def later_many(
        cls, params_list: Sequence[P | D], *, then: NewJob | None = None, **options: Unpack[EnqueueOptions]
    ) -> Batch[R]:
        """Enqueue many jobs in one transaction: all of them, or none if one does not fit the spec.

        All params are validated before the transaction begins. `InvalidParamsError` names all that do not fit: its
        pointers begin with their index, such as `/17/to`. `then` is the completion job, which `new_job` of any job
        class makes. It is stored in the same transaction, and runs once, after all jobs of the batch have completed,
        failed, or been cancelled or deleted. If there are none, it runs at once. Raises `InvalidOptionError` if it has
        a unique key or a due time.

            readers = ["ada@example.com", "bob@example.com"]
            batch = await SendEmail.later_many([{"to": reader, "subject": "News"} for reader in readers])
            assert [handle.created for handle in batch] == [True, True]
            outcomes = await batch.results()
        """
        batch_id, jobs, completion = cls._new_batch(params_list, then, options)
        backend = cls.current_backend(jobs + completion)
        return await cls._stored(backend, batch_id, jobs, completion)

    @classmethod
    def later_many_sync(
        cls, params_list: Sequence[P | D], *, then: NewJob | None = None, **options: Unpack[EnqueueOptions]
    ) -> Batch[R]:
        """Like `later_many`, for code without an event loop."""
        batch_id, jobs, completion = cls._new_batch(params_list, then, options)
        backend = cls.current_backend(jobs + completion)
        store = partial(cls._stored, backend, batch_id, jobs, completion)
        return wait_for(backend, f"{cls.job_name}.later_many(...)", store)

    @classmethod
    def _new_batch(
        cls, params_list: Sequence[P | D], then: NewJob | None, options: EnqueueOptions
    ) -> tuple[str, list[NewJob], list[NewJob]]:
        """Return the id of a new batch, its jobs, and its completion job, if any."""
        batch_id = new_job_id()
        completion = [] if then is None else [completion_job(then, batch_id)]
        return batch_id, cls.new_jobs(params_list, batch_id, **options), completion

    @classmethod
    async def _stored(
        cls, backend: JobBackend, batch_id: str, jobs: list[NewJob], completion: list[NewJob]
    ) -> Batch[R]:
        inserted = (await backend.insert(PlacedJobs(jobs + completion)))[: len(jobs)]
        if completion and not any(one.created for one in inserted):
            await backend.end_batches([batch_id])
        return cls._batch(backend, batch_id, inserted)

    @classmethod
    def _batch(cls, backend: JobBackend | None, batch_id: str, inserted: Sequence[Inserted]) -> Batch[R]:
        return Batch(cls, backend, batch_id, JobHandle.of_many(cls, backend, inserted))

    @classmethod
    async def find_batch(cls, batch_id: str | None) -> Batch[R]:
        """Return the batch with this id: the jobs of this class that it stored and that were not deleted since.

        A completion job finds its batch by `context.job_id`. Raises `BatchNotFoundError` if there is none.
        """
        backend = cls.current_backend()
        await backend.initialize()
        found = await backend.store.batch_jobs(batch_id or "", cls.job_name)
        if batch_id is None or not found:
            raise BatchNotFoundError(str(batch_id), cls.job_name)
        return cls._batch(backend, batch_id, [Inserted(one, False) for one in found])

    @classmethod
    def find_batch_sync(cls, batch_id: str | None) -> Batch[R]:
        """Like `find_batch`, for code without an event loop."""
        backend = cls.current_backend()
        return wait_for(backend, f"{cls.job_name}.find_batch(...)", lambda: cls.find_batch(batch_id))

    @overload
    @classmethod
    def later_in(
        cls, transaction: AnySyncTransaction, params: P | D, **options: Unpack[EnqueueOptions]
    ) -> JobHandle[R]: ...

    @overload
    @classmethod
    def later_in(
        cls, transaction: AnyAsyncTransaction, params: P | D, **options: Unpack[EnqueueOptions]
    ) -> Coroutine[Any, Any, JobHandle[R]]: ...

    @classmethod
    def later_in(
        cls, transaction: AnySyncTransaction | AnyAsyncTransaction, params: P | D, **options: Unpack[EnqueueOptions]
    ) -> JobHandle[R] | Coroutine[Any, Any, JobHandle[R]]:
        """Enqueue the job inside your transaction, so that both commit or roll back together. Does not commit.

        `transaction` is a session or connection of SQLAlchemy, a connection of Django or its alias, or a connection of
        psycopg, asyncpg, sqlite3 or aiosqlite. Await the result if it is async. The commit wakes workers. Outside a
        transaction (autocommit), the job is committed when the call returns, as with `later`.

        The job class needs a backend only once you use the handle. Otherwise like `later`.

            with Session(engine) as session, session.begin():
                session.add(order)
                SendEmail.later_in(session, {"to": order.email, "subject": "Thank you"})
        """
        new = [cls.new_job(params, **options)]
        database, job = cls.place_of(new)
        inserted = cls._insert_in(transaction, new, database)
        return _answered(inserted, lambda answers: JobHandle.of(job, None, answers[0]), f"{cls.__name__}.later_in")

    @overload
    @classmethod
    def later_many_in(
        cls,
        transaction: AnySyncTransaction,
        params_list: Sequence[P | D],
        *,
        then: NewJob | None = None,
        **options: Unpack[EnqueueOptions],
    ) -> Batch[R]: ...

    @overload
    @classmethod
    def later_many_in(
        cls,
        transaction: AnyAsyncTransaction,
        params_list: Sequence[P | D],
        *,
        then: NewJob | None = None,
        **options: Unpack[EnqueueOptions],
    ) -> Coroutine[Any, Any, Batch[R]]: ...

    @classmethod
    def later_many_in(
        cls,
        transaction: AnySyncTransaction | AnyAsyncTransaction,
        params_list: Sequence[P | D],
        *,
        then: NewJob | None = None,
        **options: Unpack[EnqueueOptions],
    ) -> Batch[R] | Coroutine[Any, Any, Batch[R]]:
        """Like `later_many`, inside your transaction as `later_in`. One statement stores all jobs of `params_list`.

        `then` is stored in the same transaction. A batch without jobs, or of duplicates only, ends about a second after
        the commit.

            readers = ["ada@example.com", "bob@example.com"]
            with sqlite3.connect("server-jobs.sqlite3") as connection:
                SendEmail.later_many_in(connection, [{"to": reader, "subject": "News"} for reader in readers])
        """
        batch_id, jobs, completion = cls._new_batch(params_list, then, options)
        database, job = cls.place_of(jobs + completion)
        inserted = cls._insert_in(transaction, jobs + completion, database)
        name = f"{cls.__name__}.later_many_in"
        return _answered(inserted, lambda answers: job._batch(None, batch_id, answers[: len(jobs)]), name)

    @classmethod
    def insert_job(
        cls, params: P | D, *, dialect: DialectName, paramstyle: str, **options: Unpack[EnqueueOptions]
    ) -> Insertion:
        """Return the statement that stores the job, for a driver that `later_in` does not take.

        `paramstyle` is the style of the driver's parameters, as in PEP 249: `qmark`, `numeric`, `named`, `format` or
        `pyformat`; `numeric_dollar` stands for `$1`. The commit of the statement wakes workers. Middleware surrounds
        this call, not the execution. Otherwise like `later`.

            email = {"to": "ada@example.com", "subject": "Hello"}
            insertion = SendEmail.insert_job(email, dialect="sqlite", paramstyle=sqlite3.paramstyle)
            with sqlite3.connect("server-jobs.sqlite3") as connection:
                stored = connection.execute(insertion.sql, insertion.parameters).fetchall()
            assert stored == [(insertion.ids[0],)]
        """
        from .transactions.insertion import insertion_of  # imported when used, as below

        return insertion_of(cls, [cls.new_job(params, **options)], dialect, paramstyle)

    @classmethod
    def insert_jobs(
        cls, params_list: Sequence[P | D], *, dialect: DialectName, paramstyle: str, **options: Unpack[EnqueueOptions]
    ) -> Insertion:
        """Like `insert_job`, for many jobs in one statement. They are a batch, which `find_batch` finds by `batch_id`.

        Raises `InvalidOptionError` for an empty list.

            readers = ["ada@example.com", "bob@example.com"]
            news = [{"to": reader, "subject": "News"} for reader in readers]
            insertion = SendEmail.insert_jobs(news, dialect="postgresql", paramstyle="format")
            assert len(insertion.ids) == 2
        """
        from .transactions.insertion import insertion_of

        return insertion_of(cls, cls.new_jobs(params_list, new_job_id(), **options), dialect, paramstyle)

    @classmethod
    def _insert_in(
        cls, transaction: AnySyncTransaction | AnyAsyncTransaction, jobs: list[NewJob], database: str | None
    ) -> Answers:
        from .transactions import joining  # a process that only uses backends should not wait for this import

        return joining.insert_in(cls, transaction, jobs, database)

    @classmethod
    def handle(cls, job_id: str) -> JobHandle[R]:
        """Return the handle of a stored id. Reads nothing until you use the handle."""
        return JobHandle.of(cls, None, Inserted(job_id, created=False))

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
    async def batch(
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
            outcomes = await SendEmail.batch([{"to": reader, "subject": "News"} for reader in readers], concurrency=2)
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
) -> type[Job[P, R, Mapping[str, object]]]:
    """Return a job class made from two Pydantic models and a handler, without a spec.

    The result may be `NoneType`: the handler then returns None.

    It works like a generated class, with one difference: no check compares changed models with queued rows. `earlier`
    reads rows of earlier versions, oldest first. `database_schema` is the PostgreSQL schema for `later_in` and
    `set_database`; a registry has its own. Raises `InvalidOptionError` if the name is not an identifier of at most 100
    characters, or if a model loses values when it is written, such as a `SecretStr`.

        class Text(BaseModel):
            text: str

        async def shout(params: Text, context: JobContext) -> Text:
            return Text(text=params.text.upper())

        Shout = define_job(name="Shout", params=Text, result=Text, handler=shout)
        outcome = await Shout.now({"text": "hello"}, persist=False)
        assert outcome.data.text == "HELLO"
    """
    if not name.isidentifier():
        raise InvalidOptionError(f"a job name must be an identifier such as 'SendEmail', not {name!r}")
    check_text("a job name", name, LONGEST_NAME)
    for model in (params, result):
        for field, reason in lost_fields(model) if issubclass(model, BaseModel) else ():
            raise InvalidOptionError(f"the values of {field} would be lost: it {reason}")
    members = {
        "job_name": name,
        "spec_name": name,
        "params_model": params,
        "result_model": result,
        "options": options or JobOptions(),
        "schedules": tuple(schedules),
        "earlier": tuple(earlier),
        "database_schema": database_schema,
        "is_in_code": True,
        "handler": staticmethod(handler),
    }
    job = cast("type[Job[P, R, Mapping[str, object]]]", type(name, (Job,), members))
    job.versions()  # checks them
    return job


def _answered(inserted: Answers, value_of: Callable[[Sequence[Inserted]], T], name: str) -> T | Coroutine[Any, Any, T]:
    """Return the value of these answers, or a coroutine of it, with this name, if they are one."""
    if not isinstance(inserted, Coroutine):
        return value_of(inserted)

    async def awaited() -> T:
        return value_of(await inserted)

    awaited.__qualname__ = name  # Python warns with it of a forgotten `await`
    return awaited()


def _results(outcomes: Sequence[JobResult[R] | BaseException | None], stop_on_error: bool) -> Iterator[JobResult[R]]:
    """Yield the results of a batch in order, or raise the first error."""
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
        if outcome is None:
            continue
        if stop_on_error and not outcome.ok:
            found = outcome.metadata
            raise JobFailedError(found.job_name, found.job_id, found.status, found.error)
        yield outcome
