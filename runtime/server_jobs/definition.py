"""The definition of a job: its models, options and schedules, its records, and the backend it is bound to.

The engine works with definitions. `Job` adds the calls that use the engine.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, Generic, Self, TypeVar, Unpack, cast

from pydantic import BaseModel

from . import redirection
from .binding import (
    Binding,
    JobBackend,
    Routed,
    bound_before_import,
    current_run,
    handler_backend,
    hooks_without_backend,
    routing_without_backend,
)
from .context import JobContext
from .contract.documents import read_params, read_result, write_params, write_params_of_many
from .contract.job_keys import NO_KEYS, JobKeys, job_keys
from .contract.upcasts import AnyEarlierVersion, Versions
from .domain.enqueue_options import EnqueueOptions, check_options, in_utc
from .domain.ids import new_job_id, new_job_ids
from .domain.options import JobOptions, OnConflict, Schedule
from .domain.outcomes import Cancel, Snooze
from .domain.record import Claim, JobRecord, NewJob, ScheduleRecord, shared_fields
from .errors import InvalidOptionError, JobNotBoundError, JobNotOfferedError, JobRetiredError
from .hooks import Hooks
from .result import JobMetadata, JobResult

if TYPE_CHECKING:
    from .contract.json_schema import JobSchemas
    from .domain.search import IndexedColumn

P = TypeVar("P", bound=BaseModel)
R = TypeVar("R", bound=BaseModel | None)
D = TypeVar("D", bound=Mapping[str, object])

Handler = (
    Callable[Concatenate[P, JobContext, ...], Awaitable[R | Snooze | Cancel]]
    | Callable[Concatenate[P, JobContext, ...], R | Snooze | Cancel]
)
"""A function of params and context, async or plain. Resources fill its other parameters, by type."""
AnyDefinition = type["JobDefinition[Any, Any, Any]"]
AnyHandler = Callable[Concatenate[Any, JobContext, ...], object]

_NO_DELAY = timedelta(0)


class JobDefinition(Generic[P, R, D]):
    """A job without the calls of `Job` that enqueue and run it. The class is never instantiated.

    `P` and `R` are the models of params and result; `R` is `None` if the job has no result. `D` is a mapping that
    callers may pass instead of a params model: a generated `TypedDict` with the names of the spec.
    """

    job_name: ClassVar[str]
    spec_name: ClassVar[str]
    params_model: ClassVar[type[BaseModel]]
    result_model: ClassVar[type[BaseModel | None]]
    """The model of the result; `NoneType` if the job has none."""
    options: ClassVar[JobOptions] = JobOptions()
    schedules: ClassVar[tuple[Schedule, ...]] = ()
    earlier: ClassVar[tuple[AnyEarlierVersion, ...]] = ()
    database_schema: ClassVar[str | None] = None
    """The PostgreSQL schema of the tables; None: the first schema of the connection's search path."""
    registry_module: ClassVar[str | None] = None
    """The module of the generated registry, relative to the package of the job. None if calls do not need it.

    Calls without a backend import it for their middleware and the names of the databases.
    """
    indexed_columns: ClassVar[tuple[IndexedColumn, ...]] = ()
    """Columns of the job's view that speed up a search for jobs with a value."""
    last_change: ClassVar[tuple[str, ...]] = ()
    """How params and result differ from those before the last change of the spec, a line for each place, for people."""
    is_in_code: ClassVar[bool] = False
    """Whether `define_job` made the class, so that no migration has its schedules."""
    handler: ClassVar[AnyHandler | None] = None
    enqueued_by: ClassVar[str | None] = None
    """The only call that enqueues the job; None: also HTTP, forms, agents, commands and schedules may."""
    backend: ClassVar[Binding | None] = None
    _pinned: ClassVar[bool] = False

    @classmethod
    def bind(cls, backend: Binding | None) -> None:
        """Use this backend for the calls of this class (None: none), except inside handlers of another backend."""
        cls.backend, cls._pinned = backend, False

    @classmethod
    @contextmanager
    def bound_to(cls, backend: Binding) -> Iterator[None]:
        """Like `bind`, until the block ends."""
        earlier = cls.backend, cls._pinned
        cls.backend, cls._pinned = backend, False
        try:
            yield
        finally:
            cls.backend, cls._pinned = earlier

    @classmethod
    def using(cls, backend: Binding) -> type[Self]:
        """Return a subclass that uses this backend everywhere, also inside handlers of other backends."""
        return cast("type[Self]", type(cls.__name__, (cls,), {"backend": backend, "_pinned": True}))

    @classmethod
    def result_of(cls, record: JobRecord) -> JobResult[R]:
        """Return the typed outcome of a stored job of this class."""
        value = None if record.result is None else read_result(cls.job_name, cls.result_model, record.result)
        return JobResult(JobMetadata.of(record), cast("R | None", value))

    @classmethod
    def schemas(cls) -> JobSchemas:
        """Return the JSON Schemas of params and result, from the spec or else derived from the models."""
        from .contract.json_schema import schemas_of_models  # few processes read schemas

        return schemas_of_models(cls.params_model, cls.result_model)

    @classmethod
    def read_params(cls, job: JobRecord | Claim) -> P:
        """Return the typed params of a stored job, of the current version or of one in `earlier`.

        Raises `InvalidParamsError` or `UpcastError`. For earlier versions passed to a registry, call
        `registry.versions_of(SendEmail).read(job.params, job.spec_version)`.
        """
        if job.spec_version == cls.options.version:
            return cast("P", read_params(cls.job_name, cls.params_model, job.params, cls.options.redact))
        return cast("P", cls.versions().read(job.params, job.spec_version))

    @classmethod
    def versions(cls, earlier: tuple[AnyEarlierVersion, ...] | None = None) -> Versions:
        """Return the versions of this job. `earlier` replaces its earlier versions. Raises `InvalidOptionError`."""
        return Versions(cls, cls.earlier if earlier is None else earlier)

    @classmethod
    def new_job(cls, params: P | D, **options: Unpack[EnqueueOptions]) -> NewJob:
        """Validate params and return the record that `later` would store: for `then` of `later_many`, and for tools."""
        chosen = cls._chosen(options)
        _, text = write_params(cls.job_name, cls.params_model, params, chosen.redact)
        unique_key = options.get("unique_key")
        keys = job_keys(cls.job_name, chosen, text, unique_key) if _has_keys(chosen, unique_key) else NO_KEYS
        return cls._making(chosen, options)(new_job_id(), text, *keys)

    @classmethod
    def scheduled_job(
        cls,
        schedule: ScheduleRecord,
        versions: Versions | None = None,
        *,
        slot: datetime | None = None,
        **options: Unpack[EnqueueOptions],
    ) -> NewJob:
        """Return the job that a stored schedule enqueues, with params of the current version.

        `slot` is the time that params may take; None: now. `versions` converts params of earlier versions, by default
        with the upcasters of the class. Raises `InvalidParamsError`, `ScheduleError`, or `UpcastError` if the version
        cannot be read here.
        """
        from .contract.slot_params import fill_slot  # imported when used, as above

        params = fill_slot(schedule.params, slot or datetime.now(UTC), schedule.timezone)
        if schedule.spec_version is not None:
            params = (versions or cls.versions()).current_params(params, schedule.spec_version)
        return cls.new_job(json.loads(params), **options)

    @classmethod
    def new_jobs(cls, params_list: Iterable[object], batch_id: str, **options: Unpack[EnqueueOptions]) -> list[NewJob]:
        """Like `new_job`, for the jobs of a batch.

        One `InvalidParamsError` names all params that do not fit: its pointers begin with their index, such as
        `/17/to`.
        """
        chosen, unique_key = cls._chosen(options), options.get("unique_key")
        written = write_params_of_many(cls.job_name, cls.params_model, params_list, chosen.redact)
        texts = [text for _, text in written]
        keys: Iterable[JobKeys] = repeat(NO_KEYS)
        if _has_keys(chosen, unique_key):
            keys = [job_keys(cls.job_name, chosen, text, unique_key) for text in texts]
        shared = shared_fields(cls._making(chosen, options, batch_id)("", ""))
        own = zip(new_job_ids(len(texts)), texts, keys, strict=False)
        # `NewJob(...)` is a call per job.
        return [tuple.__new__(NewJob, (job_id, text, *of_job, *shared)) for job_id, text, of_job in own]

    @classmethod
    def _making(cls, chosen: JobOptions, options: EnqueueOptions, batch_id: str | None = None) -> Callable[..., NewJob]:
        """Return a function that makes a job of one call from its other fields: the id, the params and the keys."""
        scheduled_for = options.get("scheduled_for")
        return partial(
            NewJob,
            job_name=cls.job_name,
            queue=chosen.queue,
            priority=chosen.priority,
            spec_version=chosen.version,
            max_attempts=chosen.max_attempts,
            scheduled_for=None if scheduled_for is None else in_utc(scheduled_for),
            delay=options.get("delay") or _NO_DELAY,
            expires_after=chosen.expires_after,
            correlation_id=inherited_correlation_id(options.get("correlation_id")),
            batch_id=batch_id,
            on_conflict=chosen.on_conflict,
        )

    @classmethod
    def _check_active(cls) -> None:
        if cls.options.retired:
            raise JobRetiredError(cls.job_name)
        if cls.enqueued_by is not None:
            raise JobNotOfferedError(cls.job_name, cls.enqueued_by)

    @classmethod
    def _chosen(cls, options: EnqueueOptions) -> JobOptions:
        """Check that the job may be enqueued with these options. Return the options of the job with them."""
        cls._check_active()
        if not options:
            return cls.options
        check_options(options)
        priority, max_attempts = options.get("priority"), options.get("max_attempts")
        expires_after, on_conflict = options.get("expires_after"), options.get("on_conflict")
        if on_conflict is not None and options.get("unique_key") is None and cls.options.unique_by is None:
            raise InvalidOptionError("on_conflict needs a unique key: pass unique_key, or state `unique` in the spec")
        return replace(
            cls.options,
            priority=cls.options.priority if priority is None else priority,
            max_attempts=cls.options.max_attempts if max_attempts is None else max_attempts,
            expires_after=cls.options.expires_after if expires_after is None else expires_after,
            on_conflict=cls.options.on_conflict if on_conflict is None else cast("OnConflict", on_conflict),
        )

    @classmethod
    def current_backend(cls, jobs: Sequence[NewJob] | None = None) -> JobBackend:
        """Return the backend of calls from here that store these jobs; None: of calls that read by id.

        Raises `JobNotBoundError`. With several databases, raises `InvalidOptionError` if the jobs belong to two, or if
        only the caller knows the database of an id.
        """
        backend = cls.binding()
        if backend is None:
            raise JobNotBoundError(cls.job_name)
        return backend.backend_at(backend.name_for(cls, jobs)) if isinstance(backend, Routed) else backend

    @classmethod
    def place_of(cls, jobs: Sequence[NewJob]) -> tuple[str | None, type[Self]]:
        """Return the database of new jobs, and the class whose calls by id use it; None with one database.

        Raises `InvalidOptionError` if the jobs belong to two databases. Needs no backend.
        """
        backend = cls.binding()
        if isinstance(backend, Routed):
            name = backend.name_for(cls, jobs)
            return name, backend.job_at(name, cls)
        routing = routing_without_backend(cls) if backend is None else None
        return None if routing is None else routing.name_of_jobs(jobs), cls

    @classmethod
    def current_hooks(cls) -> Hooks:
        """Return the hooks of the backend of calls from here, or else of the registry that has this job."""
        backend = cls.binding()
        return hooks_without_backend(cls) if backend is None else backend.hooks

    @classmethod
    def binding(cls) -> Binding | None:
        """Return the backend of `using` or `set_database`, of the current handler, or of `bind`."""
        if redirection.current is not None and (stand_in := redirection.current.stand_in_for(cls.job_name)):
            return stand_in.backend
        run = None if cls._pinned else current_run.get()
        return (run and (handler_backend.get() or run.backend)) or cls.backend or bound_before_import(cls)


def call_handler(handler: AnyHandler, params: BaseModel, context: JobContext) -> object:
    """Call a handler with the resources for its parameters after `context`. Raises `DependencyError`."""
    resources = context.resources
    try:
        arguments = resources.known_arguments.get(handler)  # every job asks, so without a call
    except TypeError:  # an object with `__call__` that cannot be hashed
        arguments = None
    if arguments is None:
        arguments = resources.arguments_of(handler, context.job_name)
    return handler(params, context, **arguments) if arguments else handler(params, context)


def inherited_correlation_id(correlation_id: str | None) -> str | None:
    """Return the given id, else the id of the job whose handler calls."""
    run = current_run.get()
    return correlation_id or (run.context.correlation_id if run else None)


def _has_keys(options: JobOptions, unique_key: str | None) -> bool:
    """Whether a job with these options and this unique key has any key."""
    return (
        unique_key is not None
        or options.unique_by is not None
        or options.concurrency is not None
        or options.rate is not None
        or options.shard_by is not None
    )
