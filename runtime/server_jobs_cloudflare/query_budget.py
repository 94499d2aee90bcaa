"""The database queries that one invocation of a Worker may make, and the jobs that may start on them.

A job starts only if `queries_per_job` remain for it. Other running jobs and the end of the invocation have a reserve.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from server_jobs.databases.query_check import query_check
from server_jobs.domain.interfaces import CountedDatabase
from server_jobs.errors import DatabaseError

QUERIES_OF_A_JOB = 10  # at least, or a tenth of a budget below 100, so that a few jobs of any budget run at a time
QUERIES_OF_A_CLAIM = 11  # with limits, and with the look before it
QUERIES_OF_AN_OUTCOME = 2  # the second one alone, after the database refused a batch
QUERIES_OF_THE_END = 3  # a renewal of leases, a release of jobs that did not start, and the last look


@dataclass(eq=False, slots=True)
class _Share:
    """The queries that are reserved for one running job and that it has not made yet."""

    left: int


class QueryBudget:
    """The queries of one invocation: at most `limit`, by the engine and by handlers together.

    `queries_per_job` is half of an even share among `max_concurrency` jobs, and at least `QUERIES_OF_A_JOB`. The other
    half is for the engine, and for handlers that need more. `running` returns the number of jobs whose outcomes are not
    stored yet.
    """

    def __init__(self, limit: int, max_concurrency: int, database: CountedDatabase, running: Callable[[], int]) -> None:
        self.queries_per_job = max(limit // (2 * max_concurrency), min(limit // 10, QUERIES_OF_A_JOB))
        self._limit = limit
        self._database = database
        self._running = running
        self._start = database.queries  # a database may serve many invocations
        self._shares: list[_Share] = []

    @property
    def used(self) -> int:
        """Queries that this invocation made."""
        return self._database.queries - self._start

    @property
    def is_used_up(self) -> bool:
        """Whether this invocation may make no more queries."""
        return self.used >= self._limit

    def add(self, queries: int) -> None:
        """Count queries that the same invocation made through another backend."""
        self._start -= queries

    def most_to_claim(self) -> int:
        """Return how many jobs may start after one more claim."""
        return self._room(self._unreserved() - QUERIES_OF_A_CLAIM)

    def may_start(self) -> bool:
        """Return whether enough queries remain for one more job."""
        return self._room(self._unreserved()) > 0

    @contextmanager
    def running_job(self) -> Iterator[None]:
        """Reserve queries for a job. The code in here, and the tasks that it starts, cannot use the other reserves."""
        share = _Share(self.queries_per_job)
        self._shares.append(share)
        outside = query_check.set(lambda queries: self._take(share, queries))
        try:
            yield
        finally:
            query_check.reset(outside)
            self._shares.remove(share)
            share.left = 0

    def _room(self, queries: int) -> int:
        return max(0, queries // (self.queries_per_job + QUERIES_OF_AN_OUTCOME))

    def _unreserved(self) -> int:
        shares = sum(share.left for share in self._shares)
        return self._limit - self.used - QUERIES_OF_THE_END - QUERIES_OF_AN_OUTCOME * self._running() - shares

    def _take(self, share: _Share, queries: int) -> None:
        if queries > share.left + self._unreserved():
            raise DatabaseError(
                f"this invocation of the Worker has {self._limit} queries, and the rest is reserved for other jobs and "
                "for outcomes: enqueue many jobs with later_many, or split the work into several jobs"
            )
        share.left = max(0, share.left - queries)
