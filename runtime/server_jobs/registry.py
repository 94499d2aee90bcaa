"""Which jobs there are here, and the handler of each: the one place where the two are joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .binding import JobBackend
from .errors import DuplicateRegistrationError, HandlerMissingError, UnknownJobError
from .job import AnyHandler, AnyJob, D, Handler, Job, P, R
from .record import KnownJob
from .upcasts import AnyEarlierVersion, Versions


@dataclass(frozen=True, slots=True)
class Registration:
    """A job and its handler; the handler is None for a job that is only enqueued here."""

    job: AnyJob
    handler: AnyHandler | None
    versions: Versions

    @property
    def is_stub(self) -> bool:
        """Whether the handler does nothing but raise `HandlerNotImplementedError`, as the generator wrote it."""
        code = getattr(self.handler, "__code__", None)
        return code is not None and code.co_names == ("HandlerNotImplementedError",)

    @property
    def is_runnable(self) -> bool:
        """Whether a worker can run the job."""
        return self.handler is not None and not self.is_stub


def known_jobs(versions: Versions) -> tuple[KnownJob, ...]:
    """What a claim has to know of a job: its name, its limits, and each version that can be read, newest first.

    The limits are those of the current version: jobs of all versions count under them together.
    """
    name, options = versions.job_name, versions.job.options
    return tuple(KnownJob(name, version, options.concurrency, options.rate) for version in versions.readable)


class JobRegistry:
    """Jobs by name, in the order in which they were registered."""

    def __init__(self) -> None:
        self._registrations: dict[str, Registration] = {}
        self._known: tuple[KnownJob, ...] | None = None

    def register(
        self,
        job: type[Job[P, R, D]],
        handler: Handler[P, R] | None = None,
        *,
        earlier: Sequence[AnyEarlierVersion] = (),
    ) -> JobRegistry:
        """Add a job with its handler (a job of `define_job` brings its own) and return this registry, for chaining.

        `earlier` says how rows of versions before the current one are read, oldest first. A type checker refuses a
        handler that does not fit the job's params and result. Raises `DuplicateRegistrationError` for a name that is
        taken, and `InvalidOptionError` for earlier versions that are out of order.
        """
        if job.job_name in self._registrations:
            raise DuplicateRegistrationError(job.job_name)
        versions = job.versions(tuple(earlier) or job.earlier)
        self._registrations[job.job_name] = Registration(job, handler or job.handler, versions)
        self._known = None
        return self

    def has(self, name: str) -> bool:
        """Whether a job of that name is registered."""
        return self.get(name) is not None

    def get(self, name: str) -> type[Job[Any, Any, Any]] | None:
        """The job class of that name (`SendEmail`, or `send_email` as its spec is called); None if unknown."""
        registration = self._registrations.get(name) or self._by_spec_name(name)
        return registration.job if registration else None

    def get_names(self) -> list[str]:
        """The names of all jobs."""
        return list(self._registrations)

    def find(self, name: str) -> Registration:
        """The registration under that name. Raises `UnknownJobError`, which lists the known names."""
        registration = self._registrations.get(name) or self._by_spec_name(name)
        if registration is None:
            raise UnknownJobError(name, self.get_names())
        return registration

    def handler_of(self, job: AnyJob) -> AnyHandler:
        """The handler of that job. Raises `HandlerMissingError`."""
        registration = self._registrations.get(job.job_name)
        handler = (registration.handler if registration else None) or job.handler
        if handler is None:
            raise HandlerMissingError(job.job_name)
        return handler

    def versions_of(self, job: AnyJob) -> Versions:
        """The versions of that job that are known here."""
        registration = self._registrations.get(job.job_name)
        return registration.versions if registration else job.versions()

    def why_waiting(self, name: str, version: int) -> str | None:
        """Why jobs of that name and version cannot be read here; None if they can."""
        registration = self._registrations.get(name)
        if registration is None:
            return "no such job is registered here"
        versions = registration.versions
        return None if version in versions.readable else versions.why_unknown(version)

    def registrations(self) -> list[Registration]:
        """Every job with its handler."""
        return list(self._registrations.values())

    def known_jobs(self) -> tuple[KnownJob, ...]:
        """The names and versions a worker with this registry can run: handler and upcasters are implemented."""
        if self._known is None:  # each claim asks
            runnable = (registration for registration in self._registrations.values() if registration.is_runnable)
            self._known = tuple(known for registration in runnable for known in known_jobs(registration.versions))
        return self._known

    def stub_names(self) -> list[str]:
        """The jobs whose handler is still the generated stub."""
        return [name for name, registration in self._registrations.items() if registration.is_stub]

    def stub_upcasts(self) -> list[tuple[str, int]]:
        """The jobs and versions whose upcaster is still the generated stub; rows of older versions wait for it too."""
        return [(name, version) for name, found in self._registrations.items() for version in found.versions.stubs]

    def bind(self, backend: JobBackend | None) -> JobRegistry:
        """Let the calls of every registered job class go to that backend (None: to none); returns this registry."""
        for registration in self._registrations.values():
            registration.job.bind(backend)
        return self

    def _by_spec_name(self, name: str) -> Registration | None:
        matches = (found for found in self._registrations.values() if found.job.spec_name == name)
        return next(matches, None)


def create_job_registry() -> JobRegistry:
    """An empty registry."""
    return JobRegistry()
