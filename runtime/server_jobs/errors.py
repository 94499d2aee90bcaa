"""Every error a caller may meet. One base class; a subclass wherever a caller would want to branch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_PROBLEMS = 100
"""How many problems an error or an answer lists: a document of a megabyte may have a hundred thousand."""


class ServerJobsError(Exception):
    """Base of all errors raised by this package. `except ServerJobsError` catches each of them."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a document: where (a JSON pointer, `""` for the whole), and what."""

    pointer: str
    message: str
    unquoted: str | None = field(default=None, compare=False)
    """The message without what was given, where it shows that; for answers that others may read."""

    @property
    def without_values(self) -> str:
        """What is wrong, and nothing of the value that is."""
        return self.message if self.unquoted is None else self.unquoted

    def __str__(self) -> str:
        return f"{self.pointer or '(whole document)'}: {self.message}"


class InvalidDocumentError(ServerJobsError):
    """Params or a result do not fit the spec of their job. Nothing was stored.

    `job_name` names the job, `part` is "params" or "result", `problems` lists the violations with their JSON pointers:
    the first 100. `left_out` is the number of others.
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
    """The params given at enqueue, or found in a row, do not fit the spec."""

    def __init__(self, job_name: str, problems: Sequence[Problem], left_out: int = 0) -> None:
        super().__init__(job_name, "params", problems, left_out)


class InvalidResultError(InvalidDocumentError):
    """What a handler returned does not fit the spec of its job."""

    def __init__(self, job_name: str, problems: Sequence[Problem], left_out: int = 0) -> None:
        super().__init__(job_name, "result", problems, left_out)


class InvalidOptionError(ServerJobsError, ValueError):
    """An option is outside what it may be; the message shows the value and the range."""


class KeySecretError(InvalidOptionError):
    """The secret of the hashes of redacted values is missing, or can be guessed."""


class JobNotBoundError(ServerJobsError):
    """A job class was used before a backend was bound to it."""

    def __init__(self, job_name: str) -> None:
        self.job_name = job_name
        super().__init__(
            f"{job_name} is not bound to a backend: open one with `async with connect(registry)`, "
            f"or call `registry.bind(backend)` or `{job_name}.set_database(database)` first"
        )


class UnknownJobError(ServerJobsError):
    """No job of that name is registered here."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        self.name = name
        self.known = tuple(known)
        super().__init__(f"no job named {name!r} is registered; registered: {', '.join(known) or 'none'}")


class DuplicateRegistrationError(ServerJobsError):
    """Two jobs of one name were registered in one registry."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"a job named {name!r} is registered already; register each job once, under a name of its own")


class HandlerMissingError(ServerJobsError):
    """A job was to be executed here, but no handler is registered for it."""

    def __init__(self, job_name: str) -> None:
        self.job_name = job_name
        super().__init__(
            f"{job_name} has no handler here; register one with `registry.register({job_name}, handler)`, "
            "or import the registry that has one"
        )


class HandlerNotImplementedError(ServerJobsError):
    """Raised by a handler stub that nobody has filled in yet."""

    def __init__(self, job_name: str) -> None:
        self.job_name = job_name
        super().__init__(f"the handler of {job_name} is still a stub; implement it and start the worker again")


class UpcastNotImplementedError(ServerJobsError):
    """Raised by the stub of an upcaster that nobody has filled in yet."""

    def __init__(self, job_name: str, version: int) -> None:
        self.job_name = job_name
        self.version = version
        super().__init__(
            f"the upcaster of {job_name} from version {version} is still a stub; implement it and start workers again"
        )


class UpcastError(ServerJobsError):
    """A row of an earlier version could not be brought to the current one: its upcaster failed, or there is none."""

    def __init__(self, job_name: str, version: int, reason: str) -> None:
        self.job_name = job_name
        self.version = version
        self.reason = reason
        super().__init__(f"a job {job_name} of version {version} cannot be brought to the current version: {reason}")


class JobNotFoundError(ServerJobsError):
    """No row has that id."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(f"there is no job with the id {job_id!r}")


class JobUnavailableError(ServerJobsError):
    """A job could not be claimed: it is running elsewhere, finished, not due, or of a version not known here."""

    def __init__(self, job_id: str, reason: str) -> None:
        self.job_id = job_id
        self.reason = reason
        super().__init__(f"job {job_id} cannot be run now: {reason}")


class JobRetiredError(ServerJobsError):
    """The job was retired: none is enqueued or run any more but those that are queued."""

    def __init__(self, job_name: str) -> None:
        self.job_name = job_name
        super().__init__(
            f"{job_name} is retired: no more of it is enqueued, and only what is queued still runs; "
            'call the job that took its place, or set "status": "active" in its spec'
        )


class DuplicateJobError(ServerJobsError):
    """An unfinished job holds the same unique key; `job_id` is its id."""

    def __init__(self, unique_key: str, job_id: str) -> None:
        self.unique_key = unique_key
        self.job_id = job_id
        super().__init__(
            f"the unique key {unique_key!r} is held by the unfinished job {job_id}; "
            "wait until it has ended, or cancel it"
        )


class JobNotRetryableError(ServerJobsError):
    """Only failed and cancelled jobs can be retried by hand."""

    def __init__(self, job_id: str, status: str) -> None:
        self.job_id = job_id
        self.status = status
        super().__init__(f"job {job_id} is {status}; only a failed or cancelled job can be retried")


class JobNotRepairableError(ServerJobsError):
    """Only the params of a job that cannot be read are repaired, and only as long as nobody else changed it."""

    def __init__(self, job_id: str, reason: str) -> None:
        self.job_id = job_id
        self.reason = reason
        super().__init__(f"job {job_id} cannot be repaired: {reason}")


class StaleClaimError(ServerJobsError):
    """This worker's claim is not the newest any more: another one may run the job. Nothing was written."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(f"the claim on job {job_id} was lost (its lease ran out); nothing was written")


class JobFailedError(ServerJobsError):
    """The data of a result was asked for, but the run did not complete."""

    def __init__(self, job_name: str, job_id: str | None, status: str, error: str | None) -> None:
        self.job_name = job_name
        self.job_id = job_id
        self.status = status
        self.error = error
        super().__init__(f"{job_name} {job_id or '(not persisted)'} is {status}: {error or 'no error was recorded'}")


class ScheduleError(InvalidOptionError):
    """A cron expression, a time zone or a misfire policy that cannot be used."""


class DatabaseError(ServerJobsError):
    """The database refused or failed; the driver's error is the `__cause__`."""


class DatabaseUnreachableError(DatabaseError):
    """The server cannot be reached, takes no writes, or went away during the call; try again later.

    Whether a call that was under way took effect is unknown.
    """


class DatabaseBusyError(DatabaseError):
    """Another process held the database longer than the busy timeout. The transaction was rolled back; retry it."""


class RowLockedError(DatabaseBusyError):
    """Another transaction locked a row for too long. Nothing was changed; other rows are not concerned."""


class ValueTooLargeError(DatabaseError):
    """What was to be written is more than the database stores in one row. Nothing was written; it never will be."""


class SchemaMissingError(DatabaseError):
    """The tables are not there, or are older than this version."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"{detail}; run `server-jobs migrate` against this database")


class ProjectError(ServerJobsError):
    """The project's configuration in pyproject.toml cannot be used; the message names the key and the value."""


class ProjectNotFoundError(ProjectError):
    """No folder from here upwards is a project."""
