"""Stand-ins of a running test for backends and their stores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from typing import TYPE_CHECKING
from weakref import WeakSet

from ..binding import stand_in_for
from ..domain.interfaces import Database, Store
from ..domain.record import Inserted, NewJob
from ..stores.opening import store_of

if TYPE_CHECKING:
    from .backend import Backend

MEMORY = "memory"
"""The name of the store in memory, which no test replaces."""

backends: WeakSet[Backend] = WeakSet()
"""Every backend of this process."""

_of_tests: list[Store] = []


def store_for(database: Store | Database | str, schema: str | None) -> Store:
    """Return the store of the running test, or else of this database, not opened yet. Raises `InvalidOptionError`."""
    if _of_tests and not (isinstance(database, Store) and database.name == MEMORY):
        return _of_tests[-1]
    return store_of(database, schema)


@contextmanager
def every_backend_on(store: Store) -> Iterator[None]:
    """Give every backend of the process this store until the block ends, also those made inside of the block.

    Backends in memory keep their own. No other database is opened.
    """
    with ExitStack() as blocks:
        for backend in list(backends):
            if backend.store.name != MEMORY:
                blocks.enter_context(backend.working_on(store))
        before = set(backends)
        _of_tests.append(store)
        try:
            yield
        finally:
            _of_tests.remove(store)
            for backend in set(backends) - before:
                if backend.store is store:
                    backend.use_store(backend.own_store())


async def insert_through_stand_ins(
    backend: Backend, jobs: Sequence[NewJob], request_trace: Mapping[str, str]
) -> Sequence[Inserted] | None:
    """Store each job where the running test wants it, or else in this backend. Return None if no job has a stand-in."""
    places = [stand_in.backend if (stand_in := stand_in_for(job.job_name)) else backend for job in jobs]
    if all(place is backend for place in places):
        return None
    inserted: list[Inserted] = []
    for place, group in groupby(zip(places, jobs, strict=True), key=lambda pair: pair[0]):
        inserted += await place.insert([job for _, job in group], request_trace)
    return inserted
