"""All errors of the package. `ServerJobsError` is their base."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_PROBLEMS = 100
"""Most problems that an error or a response lists; a document of 1 MB may have 100,000."""

_LONGEST_ID = 100  # in a message, for ids of callers


class ServerJobsError(Exception):
    """The base of all errors of this package. All of them can be pickled, for pools of processes and other queues."""

    def __reduce__(self) -> tuple[object, ...]:
        # An exception pickles as a call of its class with the message, which most of these classes do not take.
        return _unpickled, (type(self), self.args), self.__dict__


def _unpickled(kind: type[ServerJobsError], arguments: tuple[object, ...]) -> ServerJobsError:
    return kind.__new__(kind, *arguments)


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of a document: its place (a JSON pointer, `""` for the document) and a message."""

    pointer: str
    message: str
    unquoted: str | None = field(default=None, compare=False)
    """The message without the value, if `message` shows it; for responses that others may read."""

    @property
    def without_values(self) -> str:
        """Return the problem without any part of the value."""
        return self.message if self.unquoted is None else self.unquoted

    def __str__(self) -> str:
        return f"{self.pointer or '(whole document)'}: {self.message}"


class InvalidDocumentError(ServerJobsError):
    """Params or a result do not fit the spec of their job. Nothing was stored.

    `part` is "params" or "result". `problems` lists the first 100 violations with their JSON pointers. `left_out`
    counts the others.
    """

    def __init__(self, job_name: str, part: str, problems: Sequence[Problem], left_out: int = 0) -> None:
        self.job_name = job_name
        self.part = part
        self.problems = tuple(problems[:MOST_PROBLEMS])
        self.left_out = left_out + len(problems) - len(self.problems)
        fit = "does not fit" if part == "result" else "do not fit"
        shown = [str(problem) for problem in self.problems]
        if self.left_out:
            shown.append(f"and {self.left_out} more problems")
        super().__init__(f"{part} of {job_name} {fit} its spec: " + "; ".join(shown))


class InvalidParamsError(InvalidDocumentError):
    """Params of a call or of a row do not fit the spec."""

    def __init__(self, job_name: str, problems: Sequence[Problem], left_out: int = 0) -> None:
        super().__init__(job_name, "params", problems, left_out)


class InvalidResultError(InvalidDocumentError):
    """The result of a handler does not fit the spec."""

    def __init__(self, job_name: str, problems: Sequence[Problem], left_out: int = 0) -> None:
        super().__init__(job_name, "result", problems, left_out)


class InvalidOptionError(ServerJobsError, ValueError):
    """The value of an option is not allowed. The message shows the value and the range."""


class KeySecretError(InvalidOptionError):
    """The secret for hashes of redacted values is missing or too weak."""


class JobNotBoundError(ServerJobsError):
    """A call needs a backend, and the job class has none."""

    def __init__(self, job_name: str) -> None:
        self.job_name = job_name
        super().__init__(
            f"{job_name} is not bound to a backend: open one with `async with connect(registry)`, "
            f"or call `set_database(registry)` or `{job_name}.set_database(database)` first"
        )


class UnknownJobError(ServerJobsError):
    """No job with this name is registered."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        self.name = name
        self.known = tuple(known)
        super().__init__(f"no job named {name!r} is registered; registered: {', '.join(known) or 'none'}")


class DuplicateRegistrationError(ServerJobsError):
    """A registry has a job with this name already."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"a job named {name!r} is registered already; register each job once, under its own name")


class HandlerMissingError(ServerJobsError):
    """No handler is registered for the job that should run."""

    def __init__(self, job_name: str) -> None:
        self.job_name = job_name
        super().__init__(
            f"{job_name} has no handler here; register one with `registry.register({job_name}, handler)`, "
            "or import the registry that has one"
        )


class HandlerNotImplementedError(ServerJobsError):
    """The handler is still the generated stub."""

    def __init__(self, job_name: str) -> None:
        self.job_name = job_name
        super().__init__(f"the handler of {job_name} is still a stub; implement it and start the worker again")


class UpcastNotImplementedError(ServerJobsError):
    """The upcaster is still the generated stub."""

    def __init__(self, job_name: str, version: int) -> None:
        self.job_name = job_name
        self.version = version
        super().__init__(
            f"the upcaster of {job_name} from version {version} is still a stub; implement it and start workers again"
        )


class UpcastError(ServerJobsError):
    """A row of an earlier version cannot be converted: its upcaster failed or is missing."""

    def __init__(self, job_name: str, version: int, reason: str) -> None:
        self.job_name = job_name
        self.version = version
        self.reason = reason
        super().__init__(f"a job {job_name} of version {version} cannot be brought to the current version: {reason}")


class JobNotFoundError(ServerJobsError):
    """No stored job has this id."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        shown = job_id if len(job_id) <= _LONGEST_ID else f"{job_id[:_LONGEST_ID]}…"
        super().__init__(f"there is no job with the id {shown!r}")


class JobUnavailableError(ServerJobsError):
    """The job cannot be claimed: it runs elsewhere, has finished, is not due, or has an unknown version."""

    def __init__(self, job_id: str, reason: str) -> None:
        self.job_id = job_id
        self.reason = reason
        super().__init__(f"job {job_id} cannot be run now: {reason}")


class JobRetiredError(ServerJobsError):
    """The job is retired: queued jobs still run, new ones are refused."""

    def __init__(self, job_name: str) -> None:
        self.job_name = job_name
        super().__init__(
            f"{job_name} is retired: it cannot be enqueued, and only queued jobs still run; "
            'call its successor, or set "status": "active" in its spec'
        )


class JobNotOfferedError(ServerJobsError):
    """Only one call in Python enqueues the job: tools, routes and schedules may not."""

    def __init__(self, job_name: str, call: str) -> None:
        self.job_name = job_name
        super().__init__(f"{job_name} can only be enqueued in Python, with {call}")


class DuplicateJobError(ServerJobsError):
    """An unfinished job has the same unique key. `job_id` is its id."""

    def __init__(self, unique_key: str, job_id: str) -> None:
        self.unique_key = unique_key
        self.job_id = job_id
        super().__init__(
            f"the unique key {unique_key!r} belongs to the unfinished job {job_id}; "
            "wait until it has ended, or cancel it"
        )


class BatchNotFoundError(ServerJobsError):
    """No job of the batch is stored."""

    def __init__(self, batch_id: str, job_name: str) -> None:
        self.batch_id = batch_id
        super().__init__(f"no {job_name} job of the batch {batch_id} is stored")


class JobNotRetryableError(ServerJobsError):
    """The job is neither failed nor cancelled, so it cannot be retried."""

    def __init__(self, job_id: str, status: str) -> None:
        self.job_id = job_id
        self.status = status
        super().__init__(f"job {job_id} is {status}; only a failed or cancelled job can be retried")


class JobNotRepairableError(ServerJobsError):
    """The job is not parked, or it changed in the meantime, so its params cannot be repaired."""

    def __init__(self, job_id: str, reason: str) -> None:
        self.job_id = job_id
        self.reason = reason
        super().__init__(f"job {job_id} cannot be repaired: {reason}")


class StaleClaimError(ServerJobsError):
    """The claim is stale: another worker may run the job. Nothing was written."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(f"the claim on job {job_id} was lost (its lease expired); nothing was written")


class JobFailedError(ServerJobsError):
    """The job did not complete, so it has no result."""

    def __init__(self, job_name: str, job_id: str | None, status: str, error: str | None) -> None:
        self.job_name = job_name
        self.job_id = job_id
        self.status = status
        self.error = error
        super().__init__(f"{job_name} {job_id or '(not persisted)'} is {status}: {error or 'no error was recorded'}")


class ScheduleError(InvalidOptionError):
    """A cron expression, time zone or misfire policy is invalid."""


class ScheduleNotFoundError(ServerJobsError):
    """The job has no schedule with this name."""

    def __init__(self, job_name: str, name: str) -> None:
        self.job_name = job_name
        self.name = name
        super().__init__(f"{job_name} has no schedule named {name!r}; `server-jobs schedules` lists the stored ones")


class ScheduleConflictError(ScheduleError):
    """A schedule with this name is stored already, or is declared in code, which a call at run time cannot change."""


class DatabaseError(ServerJobsError):
    """A call of the database failed. The driver's error is the `__cause__`."""


class DatabaseUnreachableError(DatabaseError):
    """The server is unreachable, read-only, or went away during the call. Try again later.

    The call may or may not have taken effect.
    """


class DatabaseBusyError(DatabaseError):
    """Another process held the database longer than the busy timeout. The transaction was rolled back; retry it."""


class RowLockedError(DatabaseBusyError):
    """Another transaction locked a row for too long. Nothing was changed. Other rows are not affected."""


class DuplicateIdError(DatabaseError):
    """A job with the id of a new job is stored already. Nothing was changed."""


class ValueTooLargeError(DatabaseError):
    """The value is larger than the database stores in one row. Nothing was written, and a retry would fail too."""


class SchemaMissingError(DatabaseError):
    """The tables are missing, or older than this version. `command` creates them.

    `variable` is an environment variable that is not set, and would lead to another database.
    """

    command: ClassVar[str] = "server-jobs migrate"
    """A framework with its own command for migrations replaces it."""

    def __init__(self, detail: str, variable: str | None = None) -> None:
        instead = f", or set {variable} to the URL of another one" if variable else ""
        super().__init__(f"{detail}; run `{self.command}` against this database{instead}")


class PrivilegeMissingError(DatabaseError):
    """The role of the connection lacks a privilege on a table. Nothing was changed."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"{detail}; grant the privilege to this role, or connect with another role")


class SetupError(ServerJobsError):
    """A set-up function or a lifespan of a registry failed, at a `place` in its code. The error is the `__cause__`."""

    def __init__(self, part: str, cause: BaseException, place: str = "") -> None:
        super().__init__(f"{part} of the registry failed: {type(cause).__name__}: {cause}{place}")
        self.__cause__ = cause


class DependencyError(SetupError):
    """A parameter of a handler has no type that a resource can have, or no resource has its type."""

    def __init__(self, job_name: str, place: str, parameter: str, reason: str) -> None:
        ServerJobsError.__init__(self, f"the handler of {job_name} ({place}), parameter `{parameter}`: {reason}")


class RealDatabaseError(ServerJobsError):
    """A test would reach a real database that it did not ask for. The pytest plugin refuses it.

    `own` is the place of the database of the fixture `jobs_database`, if the test uses it.
    """

    def __init__(self, place: str, test: str, own: str | None = None) -> None:
        self.test = test
        advice = (
            "use the fixture `jobs` to keep jobs in memory, or ask for a database with the fixture `jobs_database` or "
            "@pytest.mark.jobs_database"
            if own is None
            else f"`jobs_database` allows only {own}; give the application that URL when the test starts it, or allow "
            "every database with @pytest.mark.jobs_database"
        )
        super().__init__(f"{test} would reach a real database ({place}); {advice}")


class PlaceError(ServerJobsError):
    """A place outside of the worker, such as a cluster, cannot be used. Plug-ins raise it, or an error based on it."""

    def __init__(self, message: str, *, is_away: bool = False) -> None:
        self.is_away = is_away
        """Whether the place does not answer now, and may later."""
        super().__init__(message)


class ResourceNotFoundError(ServerJobsError, LookupError):
    """No resource, or more than one, has the type.

    `known` are the names of all types. `matches` is the number of resources that have the type.
    """

    def __init__(self, kind: str, known: Sequence[str], matches: int = 0) -> None:
        self.kind = kind
        self.known = tuple(known)
        self.matches = matches
        found = "no resource has" if matches == 0 else f"{matches} resources have"
        super().__init__(
            f"{found} the type {kind}; resources: {', '.join(known) or 'none'}; "
            "yield one from a lifespan of the registry, or pass `resources` to `create_job_context` in a test"
        )


class ProjectError(ServerJobsError):
    """A setting in pyproject.toml is invalid. The message names the key and the value.

    Also raised if the function of `database-of` fails, or returns no name of a database.
    """


class ProjectNotFoundError(ProjectError):
    """Neither this folder nor a parent is a project."""
