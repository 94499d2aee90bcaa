"""The redirection of running tests: stand-ins of jobs, and one store for all backends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from weakref import WeakKeyDictionary

from .. import redirection
from ..domain.interfaces import Store
from ..domain.record import Inserted, NewJob
from ..engine.backend import Backend, StoreInUse
from ..redirection import StandIn, StandInBackend
from ..stores.memory import MemoryStore


class _StoreForAll:
    """A store that all backends of the process use."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.in_use: WeakKeyDictionary[StoreInUse, StoreInUse] = WeakKeyDictionary()
        """What takes the place of the own store of each backend."""


class _OfTests:
    """The `Redirection` of all running blocks. The innermost one counts."""

    def __init__(self) -> None:
        self.stand_ins: dict[str | None, StandIn] = {}
        """By the name of a job. The key None stands for all other jobs."""
        self.stores: list[_StoreForAll] = []

    def stand_in_for(self, job_name: str) -> StandIn | None:
        return self.stand_ins.get(job_name) or self.stand_ins.get(None)

    async def insert(
        self, own: Backend, jobs: Sequence[NewJob], request_trace: Mapping[str, str]
    ) -> Sequence[Inserted] | None:
        places = [self.stand_in_for(job.job_name) for job in jobs]
        if not any(places):
            return None
        inserted: list[Inserted] = []
        for place, group in groupby(zip(places, jobs, strict=True), key=lambda pair: pair[0]):
            backend = own if place is None else place.backend
            inserted += await backend.insert([job for _, job in group], request_trace)
        return inserted

    def store_in_use(self, own: StoreInUse) -> StoreInUse:
        if not self.stores or isinstance(own.store, MemoryStore):
            return own
        innermost = self.stores[-1]
        if own not in innermost.in_use:
            innermost.in_use[own] = StoreInUse(innermost.store)
        return innermost.in_use[own]

    def install(self) -> None:
        """Let production use this redirection while a block runs."""
        redirection.current = self if self.stand_ins or self.stores else None


_of_tests = _OfTests()


def backend_for_all() -> StandInBackend | None:
    """Return the backend that takes all jobs without another stand-in, or None."""
    stand_in = _of_tests.stand_ins.get(None)
    return None if stand_in is None else stand_in.backend


@contextmanager
def standing_in(job_name: str | None, stand_in: StandIn) -> Iterator[None]:
    """Let this stand in for a job until the block ends; with None, for all jobs without another stand-in."""
    before = _of_tests.stand_ins.get(job_name)
    _of_tests.stand_ins[job_name] = stand_in
    _of_tests.install()
    try:
        yield
    finally:
        del _of_tests.stand_ins[job_name]
        if before is not None:
            _of_tests.stand_ins[job_name] = before
        _of_tests.install()


@contextmanager
def every_backend_on(store: Store) -> Iterator[None]:
    """Let every backend of the process use this store until the block ends, also those made inside of the block.

    Backends in memory keep their own. No other database is opened.
    """
    for_all = _StoreForAll(store)
    _of_tests.stores.append(for_all)
    _of_tests.install()
    try:
        yield
    finally:
        _of_tests.stores.remove(for_all)
        _of_tests.install()
