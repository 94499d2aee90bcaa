"""The backend of one shard, for a worker. Handlers that it runs use the backend of all shards."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass

from ...binding import JobBackend
from ...domain.interfaces import Store
from ...domain.record import Declaration
from ...stores.sharded import ShardedStore
from ..backend import Backend
from ..scheduler import Scheduler


@dataclass(frozen=True, slots=True)
class _Shard:
    """As in `ShardOfSchedules`."""

    name: str
    store: ShardedStore

    def declared(self, declarations: Sequence[Declaration]) -> Sequence[Declaration]:
        return self.store.of_shard(self.name, declarations)


class ShardBackend(Backend):
    """Runs the jobs of one shard with the resources and the processes of `whole`, which opens and closes the shard."""

    def __init__(self, whole: Backend, store: ShardedStore, shard: str) -> None:
        self._whole = whole
        self._shard = _Shard(shard, store)
        config = whole.config
        super().__init__(
            database=store.stores[shard],
            job_registry=config.job_registry,
            max_concurrency=config.max_concurrency,
            lock_timeout=config.lock_timeout,
            poll_interval=config.poll_interval,
            clock=whole.clock,
        )
        self.name = shard
        self.attempt_factory = whole.attempt_factory
        self.lifespans = whole.lifespans

    @property
    def for_handlers(self) -> JobBackend:
        return self._whole

    def use_own_store(self) -> None:
        self.use_store(self._shard.store.stores[self._shard.name])

    def use_store(self, store: Store) -> None:
        super().use_store(store)
        self.scheduler = Scheduler(store, self.registry, self._shard)

    async def initialize(self) -> None:
        """Open this shard alone. Raises `ShardUnreachableError`."""
        if self.loop is None:
            await self._shard.store.at(self._shard.name, lambda store: store.ping())
            self._loop, self._opened_by = asyncio.get_running_loop(), os.getpid()


def shard_backends(whole: Backend) -> list[ShardBackend]:
    """Return a backend for each shard of the store; none if the store is one database."""
    store = whole.store
    return [ShardBackend(whole, store, shard) for shard in store.stores] if isinstance(store, ShardedStore) else []
