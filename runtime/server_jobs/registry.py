"""The registry: it joins each job with its handler."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import resolve_name
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .binding import Binding, bind_before_import, registries
from .contract.upcasts import AnyEarlierVersion, Versions
from .definition import AnyDefinition, AnyHandler, D, Handler, P, R
from .domain.record import KnownJob
from .errors import DuplicateRegistrationError, HandlerMissingError, InvalidOptionError, UnknownJobError
from .hooks import Hooks
from .middleware import Middleware
from .resources import Lifespan
from .routing import DatabaseOf, Routing

if TYPE_CHECKING:
    from .job import AnyJob, Job

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Registration:
    """A job and its handler. The handler is None if this program only enqueues the job."""

    job: AnyJob
    handler: AnyHandler | None
    versions: Versions

    @property
    def is_stub(self) -> bool:
        """Whether the handler is the generated stub, which raises `HandlerNotImplementedError`."""
        code = getattr(self.handler, "__code__", None)
        return code is not None and code.co_names == ("HandlerNotImplementedError",)

    @property
    def is_runnable(self) -> bool:
        """Whether a worker can run the job."""
        return self.handler is not None and not self.is_stub


def known_jobs(versions: Versions) -> tuple[KnownJob, ...]:
    """Return the data that a claim needs about a job: name, limits, and each readable version, newest first.

    Jobs of all versions count together under the limits of the current version.
    """
    name, options = versions.job_name, versions.job.options
    return tuple(KnownJob(name, version, options.concurrency, options.rate) for version in versions.readable)


Register = Callable[["JobRegistry"], object]


class JobRegistry:
    """Jobs by name, in the order of registration.

    `database_schema` is the PostgreSQL schema of the tables, for backends that open a database by URL; None: the first
    schema of the connection's search path. `database_url_env` is the environment variable with the URL, which must be
    set for calls without a URL; None: `SERVER_JOBS_DATABASE_URL`, which may be missing. `routing` has the names of
    several databases; None: there is one.
    """

    def __init__(
        self,
        *,
        database_schema: str | None = None,
        database_url_env: str | None = None,
        routing: Routing | None = None,
    ) -> None:
        self.database_schema = database_schema
        self.database_url_env = database_url_env
        self.routing = routing
        self.hooks = Hooks()
        """The middleware and the lifespans of this registry."""
        self._registrations = OnDemand[Registration]()
        self._modules: dict[str, str] = {}
        self._known: tuple[KnownJob, ...] | None = None
        registries.add(self)

    def register(
        self,
        job: type[Job[P, R, D]],
        handler: Handler[P, R] | None = None,
        *,
        earlier: Sequence[AnyEarlierVersion] = (),
    ) -> JobRegistry:
        """Add a job with its handler and return this registry, for chaining. `define_job` sets a handler already.

        `earlier` reads rows of earlier versions, oldest first. A type checker rejects a handler that does not match the
        job's params and result. Raises `DuplicateRegistrationError` for a name that is registered already, and
        `InvalidOptionError` if the earlier versions are out of order.
        """
        if job.job_name in self._registrations:
            raise DuplicateRegistrationError(job.job_name)
        versions = job.versions(tuple(earlier) or job.earlier)
        self._registrations[job.job_name] = Registration(job, handler or job.handler, versions)
        self._known = None
        return self

    def register_on_demand(self, name: str, module: str) -> Callable[[Register], Register]:
        """Return a decorator for a function that imports and registers one job. The registry calls it at the first use.

        `module` is the module of the job, relative to the package of the function, with the name of its spec:
        `".jobs.send_email"`. Raises `DuplicateRegistrationError` for a name that is registered already.
        """
        if name in self._registrations:
            raise DuplicateRegistrationError(name)

        def promise(register: Register) -> Register:
            self._modules[name] = resolve_name(module, str(register.__globals__["__package__"]))
            self._registrations.promise(name, lambda: _registered_by(register, name))
            self._known = None
            return register

        return promise

    def use(self, *middleware: Middleware) -> JobRegistry:
        """Add middleware around every enqueue and every attempt, the outermost first. Return this registry.

        Raises `InvalidOptionError` for objects without the methods of `Middleware`.
        """
        self.hooks.add_middleware(middleware)
        return self

    def lifespan(self, lifespan: Lifespan) -> JobRegistry:
        """Add a lifespan and return this registry. It yields a resource or a tuple of resources for handlers.

        A parameter of a handler after `context` gets the resource of its class: exactly of this class, or else the only
        one of a subclass. Without one, it keeps its default, and `mailer: Mailer | None` gets None. If a handler needs
        a resource that no lifespan yields, a worker ends with `DependencyError` before its first claim.

        Each process that runs handlers opens it once, before its first claim, and closes it at the shutdown of the
        backend, after the last attempt. A process that only enqueues does not open it. If it fails to open, the
        worker ends with `SetupError`.

            @asynccontextmanager
            async def mail_server() -> AsyncIterator[Mailer]:
                async with Mailer("smtp.example.com") as mailer:
                    yield mailer

            async def handle(params: SendEmailParams, context: JobContext, mailer: Mailer) -> SendEmailResult:
                return SendEmailResult(message_id=await mailer.send(params.to))

            registry = create_job_registry().register(SendEmail, handle).lifespan(mail_server)
        """
        self.hooks.add_lifespan(lifespan)
        return self

    def set_up(self, function: Register) -> Register:
        """Call `function(registry)` once, in `connect` or when a backend, `later_in` or a process needs the hooks.

        The function calls `use` and `lifespan`. Handlers in their own processes need one that can be imported, because
        each process calls it. Return the function, so that this method can be a decorator. Raises `InvalidOptionError`
        for an async function or a generator.
        """
        self.hooks.add_set_up(function, lambda: function(self))
        return function

    def load(self) -> JobRegistry:
        """Import all jobs and handlers, and return this registry.

        Call it at the start, so that import errors appear then and no later import delays a job.
        """
        self.registrations()
        return self

    def has(self, name: str) -> bool:
        """Whether a job with this name is registered."""
        return name in self._registrations or self._name_of(name) is not None

    def get(self, name: str) -> type[Job[Any, Any, Any]] | None:
        """Return the job class with this name (`SendEmail`, or `send_email` like its spec), or None."""
        registration = self._find(name)
        return registration.job if registration else None

    def get_names(self) -> list[str]:
        """Return the names of all jobs."""
        return list(self._registrations)

    def find(self, name: str) -> Registration:
        """Return the registration with this name. Raises `UnknownJobError`, which lists the known names."""
        registration = self._find(name)
        if registration is None:
            raise UnknownJobError(name, self.get_names())
        return registration

    def handler_of(self, job: AnyDefinition) -> AnyHandler:
        """Return the handler of a job. Raises `HandlerMissingError`."""
        registration = self._registrations.get(job.job_name)
        handler = (registration.handler if registration else None) or job.handler
        if handler is None:
            raise HandlerMissingError(job.job_name)
        return handler

    def own_handler_of(self, job: AnyDefinition) -> AnyHandler | None:
        """Return the handler registered for this class or one of its bases, or None."""
        registration = self._registrations.get(job.job_name)
        return registration.handler if registration and issubclass(job, registration.job) else None

    def has_class(self, job: AnyDefinition) -> bool:
        """Whether this class or one of its bases is registered. Imports nothing."""
        name = job.job_name
        if name not in self._registrations:
            return False
        if self._registrations.is_made(name):
            return issubclass(job, self._registrations[name].job)
        return any(base.__module__ == self._modules[name] for base in job.__mro__)

    def versions_of(self, job: AnyDefinition) -> Versions:
        """Return the versions of a job that this registry can read."""
        registration = self._registrations.get(job.job_name)
        return registration.versions if registration else job.versions()

    def waiting_reason(self, name: str, version: int) -> str | None:
        """Return the reason why jobs of this name and version cannot run here, or None if they can."""
        registration = self._registrations.get(name)
        if registration is None:
            return "no such job is registered here"
        versions = registration.versions
        return None if version in versions.readable else versions.unknown_reason(version)

    def registrations(self) -> list[Registration]:
        """Return every job with its handler."""
        return list(self._registrations.values())

    def offered(self) -> list[AnyJob]:
        """Return the jobs that other programs may enqueue."""
        return [job for one in self.registrations() if (job := one.job).enqueued_by is None and not job.options.retired]

    def known_jobs(self) -> tuple[KnownJob, ...]:
        """Return the names and versions that a worker with this registry can run."""
        if self._known is None:  # every claim needs them
            runnable = (registration for registration in self._registrations.values() if registration.is_runnable)
            self._known = tuple(known for registration in runnable for known in known_jobs(registration.versions))
        return self._known

    def bind(self, backend: Binding | None) -> JobRegistry:
        """Bind every registered job class to this backend (None: unbind them). Return this registry."""
        for name in self._registrations:
            if self._is_imported(name):
                self._registrations[name].job.bind(backend)
                backend_before_import = None
            else:
                backend_before_import = backend
            if name in self._modules:
                bind_before_import(self._modules[name], name, backend_before_import)
        return self

    @contextmanager
    def bound_to(self, backend: Binding) -> Iterator[None]:
        """Like `bind`, until the block ends. Then restore the earlier bindings."""
        with ExitStack() as bindings:
            for name in self._registrations:
                if self._is_imported(name):
                    bindings.enter_context(self._registrations[name].job.bound_to(backend))
                else:
                    earlier = bind_before_import(self._modules[name], name, backend)
                    bindings.callback(bind_before_import, self._modules[name], name, earlier)
            yield

    def _is_imported(self, name: str) -> bool:
        """Whether the job class was imported already, through the registry or directly."""
        return self._registrations.is_made(name) or self._modules[name] in sys.modules

    def _find(self, name: str) -> Registration | None:
        known = name if name in self._registrations else self._name_of(name)
        return None if known is None else self._registrations[known]

    def _name_of(self, spec_name: str) -> str | None:
        """Return the name of the job with this spec name."""
        return next((name for name in self._registrations if self._spec_name_of(name) == spec_name), None)

    def _spec_name_of(self, name: str) -> str:
        module = self._modules.get(name)
        return self._registrations[name].job.spec_name if module is None else module.rpartition(".")[2]


def _registered_by(register: Register, name: str) -> Registration:
    registry = JobRegistry()
    register(registry)
    if registry.get_names() != [name]:
        raise InvalidOptionError(f"what registers {name} on demand registered {registry.get_names()}")
    return registry.find(name)


def create_job_registry(
    *,
    database_schema: str | None = None,
    database_url_env: str | None = None,
    databases: Mapping[str, str] | None = None,
    database_of: DatabaseOf | None = None,
) -> JobRegistry:
    """Return an empty registry.

    `database_schema` is the PostgreSQL schema of the tables. `database_url_env` is the environment variable with the
    URL of the database, which `connect` then needs; None: `SERVER_JOBS_DATABASE_URL`, or else a SQLite file.

    `databases` has the environment variable with the URL of each of several databases, by name. `database_of` returns
    the name of the database for the value at `shardBy`; None: a hash of the value and the names chooses. Raises
    `InvalidOptionError` for names that cannot work, and for options that exclude each other.

        from handlers.send_email import handle

        registry = create_job_registry().register(SendEmail, handle)
        async with connect(registry):
            await SendEmail.now({"to": "ada@example.com", "subject": "Hello"})
    """
    if databases is None and database_of is not None:
        raise InvalidOptionError("database_of chooses one of several databases; pass them as databases")
    if databases is not None and database_url_env is not None:
        raise InvalidOptionError("database_url_env names the only database; leave it out, or leave out databases")
    routing = None if databases is None else Routing(dict(databases), database_of)
    return JobRegistry(database_schema=database_schema, database_url_env=database_url_env, routing=routing)


class OnDemand(MutableMapping[str, V], Generic[V]):
    """A mapping whose values may be made at the first access. It keeps the order of insertion.

    Listing the names makes no value. If making a value raises, the reader gets the error and the next reader retries.
    """

    def __init__(self) -> None:
        self._made: dict[str, V] = {}
        self._promised: dict[str, Callable[[], V] | None] = {}

    def promise(self, name: str, make: Callable[[], V]) -> None:
        """Set the function that makes the value at the first access."""
        self._promised[name] = make

    def is_made(self, name: str) -> bool:
        """Whether the value was made already."""
        return name in self._made

    def __getitem__(self, name: str) -> V:
        make = self._promised[name]
        if make is not None and name not in self._made:
            # If two threads make the value, keep the first.
            self._made.setdefault(name, make())
        return self._made[name]

    def __setitem__(self, name: str, value: V) -> None:
        self._promised[name] = None
        self._made[name] = value

    def __delitem__(self, name: str) -> None:
        del self._promised[name]
        self._made.pop(name, None)

    def __contains__(self, name: object) -> bool:
        return name in self._promised

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._promised))  # another thread may add a name meanwhile

    def __len__(self) -> int:
        return len(self._promised)
