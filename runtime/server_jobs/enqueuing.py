"""The calls of job classes that enqueue."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from .binding import JobBackend, PlacedJobs
from .concurrency.blocking import wait_for
from .definition import D, JobDefinition, P, R
from .domain.enqueue_options import EnqueueOptions
from .domain.ids import new_job_id
from .domain.record import Inserted, NewJob
from .errors import BatchNotFoundError
from .handle import Batch, JobHandle, completion_job

if TYPE_CHECKING:
    from .stores.sql.dialect import DialectName
    from .transactions.insertion import Insertion
    from .transactions.joining import AnyAsyncTransaction, AnySyncTransaction
    from .transactions.kinds import Answers

T = TypeVar("T")


class EnqueuingJob(JobDefinition[P, R, D]):
    """The base of `Job` with the calls that enqueue, and that find jobs enqueued earlier."""

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
        """Like `later`, for code without an event loop: plain views of web frameworks, scripts, and plain handlers.

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

        `transaction` is a session or connection of SQLAlchemy, or a connection of psycopg, asyncpg, sqlite3, aiosqlite
        or the library of a plug-in, which may also take its name. Await the result if it is async. The commit wakes
        workers. Outside a transaction (autocommit), the job is committed when the call returns, as with `later`.

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


def _answered(inserted: Answers, value_of: Callable[[Sequence[Inserted]], T], name: str) -> T | Coroutine[Any, Any, T]:
    """Return the value of these answers, or a coroutine of it, with this name, if they are one."""
    if not isinstance(inserted, Coroutine):
        return value_of(inserted)

    async def awaited() -> T:
        return value_of(await inserted)

    awaited.__qualname__ = name  # Python warns with it of a forgotten `await`
    return awaited()
