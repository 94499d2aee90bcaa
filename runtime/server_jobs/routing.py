"""The names of several databases, and which of them a job belongs to."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from inspect import isawaitable, iscoroutinefunction

from .domain.record import NewJob
from .errors import DatabaseError, InvalidOptionError, ProjectError, ServerJobsError

DatabaseOf = Callable[[str], str]
"""A function of a project: it returns the name of the database of a shard key."""

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")
_SHOWN_CHARACTERS = 100


def rendezvous(key: str, names: Iterable[str]) -> str:
    """Return the name with the highest hash of name and key (highest random weight).

    The answer does not depend on the order of the names, the process or the version of Python. A new name takes its
    share of keys from all others and moves no other key. The keys of a removed name spread over the rest. Raises
    `ValueError` without names.
    """
    return max(names, key=lambda name: (sha256(f"{name}\n{key}".encode(errors="surrogatepass")).digest(), name))


@dataclass(frozen=True, slots=True)
class Routing:
    """The databases of a project, and the choice of one for each job.

    `variables` has the name of the environment variable with the URL of each database, by the name of the database. The
    first one has the jobs without `shardBy`. `database_of` chooses the database of a shard key; None: a rendezvous hash
    of the key and the names. Raises `InvalidOptionError` for names or variables that cannot work.
    """

    variables: Mapping[str, str]
    database_of: DatabaseOf | None = None

    def __post_init__(self) -> None:
        check_databases(self.variables)
        if self.database_of is not None and (not callable(self.database_of) or iscoroutinefunction(self.database_of)):
            raise InvalidOptionError(
                f"database_of must be a plain function that returns the name of a database, not {self.database_of!r}"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the databases, in their order."""
        return tuple(self.variables)

    @property
    def first(self) -> str:
        """The name of the database of the jobs without `shardBy`."""
        return next(iter(self.variables))

    def variable_of(self, name: str) -> str:
        """Return the environment variable with the URL of a database. Raises `InvalidOptionError` for another name."""
        if name not in self.variables:
            names = ", ".join(self.variables)
            raise InvalidOptionError(f"no database is called {shown(name)}; the databases are {names}")
        return self.variables[name]

    def url_of(self, name: str) -> str:
        """Return the URL of a database. Raises `DatabaseError` if its variable is not set."""
        variable = self.variable_of(name)
        url = os.environ.get(variable)
        if not url:
            raise DatabaseError(
                f"{variable} is not set; set it to the URL of the database {name!r}, such as "
                "postgresql://user@host/name or sqlite:///jobs.sqlite3"
            )
        return url

    def name_of(self, shard_key: str | None) -> str:
        """Return the database of the jobs with this shard key, which is None for jobs without `shardBy`.

        Raises `ProjectError` if `database_of` fails, or returns no name of a database. Errors of this package that it
        raises pass, such as `InvalidOptionError` for a tenant that it does not know.
        """
        if shard_key is None:
            return self.first
        if self.database_of is None:
            return rendezvous(shard_key, self.variables)
        try:
            name: object = self.database_of(shard_key)
        except ServerJobsError:
            raise
        except Exception as error:
            raise ProjectError(f"database_of fails for {shown(shard_key)}: {shown(error)}") from error
        if isinstance(name, str):
            name = str.__str__(name)  # a member of an Enum would be written as `Region.EU`
            if name in self.variables:
                return name
        if isawaitable(name):
            _close(name)
        raise ProjectError(
            f"database_of must return one of {', '.join(self.variables)}; for {shown(shard_key)} it returns "
            f"{shown(name)}"
        )

    def name_of_jobs(self, jobs: Sequence[NewJob]) -> str:
        """Return the database of the new jobs of one call; the first one without jobs.

        Raises `InvalidOptionError` if they belong to two, and the errors of `name_of`.
        """
        examples: dict[str, NewJob] = {}
        for job in {job.shard_key: job for job in jobs}.values():
            examples.setdefault(self.name_of(job.shard_key), job)
            if len(examples) > 1:
                places = " and ".join(f"{_described(example)} to {name}" for name, example in examples.items())
                raise InvalidOptionError(
                    f"the jobs of one call must belong to one database: {places}; make one call for each database"
                )
        return next(iter(examples), self.first)


def check_databases(variables: Mapping[str, str]) -> None:
    """Raise `InvalidOptionError` for no databases, for wrong names, or if two databases have one variable."""
    if not variables:
        raise InvalidOptionError("databases must name at least one database")
    for name, variable in variables.items():
        if not _NAME.fullmatch(name):
            raise InvalidOptionError(
                f"a database must have a name of 1 to 63 characters of a-z, 0-9, _ and -, which starts and ends with a "
                f"letter or a digit, not {shown(name)}"
            )
        if not (variable.isascii() and variable.isidentifier()):
            raise InvalidOptionError(
                f"the database {name!r} must state the environment variable with its URL, such as "
                f"{name.upper().replace('-', '_')}_DATABASE_URL, not {shown(variable)}"
            )
    if len(set(variables.values())) < len(variables):
        raise InvalidOptionError(f"two databases have the same variable: {', '.join(sorted(variables.values()))}")


def _described(job: NewJob) -> str:
    key = "which has no shardBy," if job.shard_key is None else f"of {shown(job.shard_key)}"
    return f"{job.job_name} {key} belongs"


def shown(value: object) -> str:
    """Return a value for a message, cut if it is long, and without characters that cannot be written."""
    text = ascii(value[: _SHOWN_CHARACTERS + 1] if isinstance(value, str) else value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def _close(awaitable: object) -> None:
    """Close a coroutine, so that Python does not warn that nobody awaits it."""
    close = getattr(awaitable, "close", None)
    if callable(close):
        close()
