"""Calls of one shard, or of all shards at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import TypeVar

from ...domain.interfaces import Store
from ...errors import DatabaseUnreachableError, InvalidOptionError, ShardUnreachableError
from .rendezvous import rendezvous

T = TypeVar("T")

Call = Callable[[Store], Awaitable[T]]
ShardOf = Callable[[str], str] | Mapping[str, str]


LONG_WAIT = 1.0
"""Seconds from which on a call without an answer has waited for a shard. A server that is stopped refuses at once."""
PAUSE = 1.0
"""Seconds for which lists leave out a shard that let a call wait."""


class FanOut:
    """The stores of the shards by name. The first call of a store opens it, and the next call after an outage."""

    def __init__(self, stores: Mapping[str, Store], shard_of: ShardOf | None = None) -> None:
        if not stores:
            raise InvalidOptionError("a sharded store needs at least one shard")
        self.stores = dict(stores)
        self.silent: dict[str, DatabaseUnreachableError] = {}
        """The shards that did not answer their last call."""
        self._shard_of = shard_of
        self._waited: dict[str, float] = {}
        """When each of the shards that let their last call wait gave no answer, as time of the event loop."""
        self._opened: set[str] = set()
        self._locks: dict[str, asyncio.Lock] = {}

    @property
    def name(self) -> str:
        return "shards"

    @property
    def home(self) -> str:
        """The shard of jobs without a shard key: the first one."""
        return next(iter(self.stores))

    def shard_of(self, key: str | None) -> str:
        """Return the shard of a shard key; for None, the first shard.

        Raises `InvalidOptionError` if the table or function of the project has no shard for the key.
        """
        if key is None:
            return self.home
        if self._shard_of is None:
            return rendezvous(key, self.stores)
        shard = self._shard_of.get(key) if isinstance(self._shard_of, Mapping) else self._shard_of(key)
        if shard not in self.stores:
            raise InvalidOptionError(
                f"the shard of {key!r} must be one of {', '.join(self.stores)}, and the project says {shard!r}"
            )
        return shard

    async def open(self) -> None:
        """Open the shards that can be reached. Raises `DatabaseError` if none can, or for any other problem."""
        await self.each(lambda store: store.ping())

    async def close(self) -> None:
        await asyncio.gather(*(store.close() for store in self.stores.values()))
        self._opened.clear()
        self._waited.clear()
        self._locks.clear()

    async def ping(self) -> None:
        """Raise `DatabaseError` unless all shards answer."""
        await self.every(lambda store: store.ping())

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        ends = [store.watch(wake) for store in self.stores.values()]

        def end() -> None:
            for one in ends:
                one()

        return end

    async def at(self, shard: str, call: Call[T]) -> T:
        """Call one shard. Raises `DatabaseUnreachableError` with its name."""
        began = asyncio.get_running_loop().time()
        try:
            await self._open(shard)
            answer = await call(self.stores[shard])
        except DatabaseUnreachableError as error:
            if (now := asyncio.get_running_loop().time()) - began >= LONG_WAIT:
                self._waited[shard] = now
            self._opened.discard(shard)
            self.silent[shard] = error
            raise ShardUnreachableError({shard: error}) from error
        self.silent.pop(shard, None)
        self._waited.pop(shard, None)
        return answer

    async def each(self, call: Call[T]) -> dict[str, T]:
        """Return the answers of the shards that answer, in their order. Raises `ShardUnreachableError` if none does.

        A command or a page makes several calls. So that each one does not wait for the time limit of the same shard, a
        shard that just let a call wait is left out for `PAUSE` seconds.
        """
        now = asyncio.get_running_loop().time()
        asked = [shard for shard in self.stores if now - self._waited.get(shard, -PAUSE) >= PAUSE]
        answers, silent = await self._all(call, asked or self.stores)
        if not answers:
            raise ShardUnreachableError(self.silent | silent)
        return answers

    async def every(self, call: Call[T], shards: Iterable[str] | None = None) -> dict[str, T]:
        """Return the answers of all shards, or of these. All are called before the error of one is raised."""
        answers, silent = await self._all(call, self.stores if shards is None else shards)
        if silent:
            raise ShardUnreachableError(silent)
        return answers

    async def locate(self, call: Call[T | None]) -> tuple[str, T] | None:
        """Return the first answer that is not None, with its shard, without waiting for the other shards.

        Return None if all shards answered None. Raises `ShardUnreachableError` if one of them did not answer.
        """
        tasks = {asyncio.ensure_future(self.at(shard, call)): shard for shard in self.stores}
        silent: dict[str, DatabaseUnreachableError] = {}
        try:
            pending = set(tasks)
            while pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    try:
                        answer = task.result()
                    except ShardUnreachableError as error:
                        silent |= error.shards
                        continue
                    if answer is not None:
                        return tasks[task], answer
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task
        if silent:
            raise ShardUnreachableError(silent)
        return None

    async def shard_of_id(self, job_id: str) -> str | None:
        """Return the shard that has a job; None if none has. Raises `ShardUnreachableError` if one does not answer."""
        found = await self.locate(lambda store: store.summary(job_id))
        return None if found is None else found[0]

    async def _all(
        self, call: Call[T], shards: Iterable[str]
    ) -> tuple[dict[str, T], dict[str, DatabaseUnreachableError]]:
        """Call these shards at the same time. Raises any error other than an unreachable shard."""
        names = list(shards)
        found = await asyncio.gather(*(self.at(shard, call) for shard in names), return_exceptions=True)
        answers: dict[str, T] = {}
        silent: dict[str, DatabaseUnreachableError] = {}
        for shard, answer in zip(names, found, strict=True):
            if isinstance(answer, ShardUnreachableError):
                silent |= answer.shards
            elif isinstance(answer, BaseException):
                raise answer
            else:
                answers[shard] = answer
        return answers, silent

    async def _open(self, shard: str) -> None:
        if shard in self._opened:
            return
        async with self._locks.setdefault(shard, asyncio.Lock()):
            if shard not in self._opened:
                await self.stores[shard].open()
                self._opened.add(shard)
