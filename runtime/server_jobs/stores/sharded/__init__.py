"""The store of several databases. Each job is in one of them, its shard.

A rendezvous hash of the shard key chooses the shard of a new job: another shard takes its part of the keys and moves no
other key. Stored jobs stay where they are. Readers ask all shards at the same time. A shard that does not answer is
named in `silent`, and its jobs are missing in lists and counts. A job is "not found" only if all shards have answered.

Workers do not claim through this store. `engine.sharded` runs one loop per shard, so that a shard that is down delays
only its own jobs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...domain.interfaces import Store
from ...domain.record import LONGEST_PAGE, JobQuery
from ...errors import ShardUnreachableError
from .jobs import Jobs
from .maintenance import Maintenance
from .numbers import Numbers
from .reading import Reading
from .rendezvous import rendezvous
from .schedules import Schedules

__all__ = ["ShardedStore", "rendezvous", "shards_of"]


class ShardedStore(Jobs, Maintenance, Reading, Schedules, Numbers):
    """Jobs in several stores, each by the value at `shardBy` of its spec.

    `stores` has a store for each name of a shard; the first one has the jobs without a shard key. `shard_of` is a
    function or a mapping from a shard key to a name; by default a rendezvous hash of the names.

        from server_jobs.stores.memory import MemoryStore
        from server_jobs.stores.sharded import ShardedStore

        stores = {"eu": MemoryStore(), "us": MemoryStore()}
        store = ShardedStore(stores, shard_of={"acme": "eu", "initech": "us"})
        backend = Backend(database=store, job_registry=registry)
    """


async def shards_of(store: Store, job_ids: Sequence[str]) -> Mapping[str, str]:
    """Return the shard of each of these jobs by id. Empty for one database.

    Leaves out deleted jobs, and the jobs of shards that do not answer. Does not wait for a shard that failed to answer
    the last call.
    """
    if not isinstance(store, ShardedStore) or not job_ids:
        return {}
    query = JobQuery(ids=tuple(job_ids), limit=LONGEST_PAGE)
    try:
        if len(job_ids) == 1:
            shard = await store.shard_of_id(job_ids[0])
            return {} if shard is None else {job_ids[0]: shard}
        answering = [shard for shard in store.stores if shard not in store.silent]
        found = await store.every(lambda one: one.list_summaries(query), answering)
    except ShardUnreachableError:
        return {}  # since the caller has read the jobs
    return {job.id: shard for shard, jobs in found.items() for job in jobs}
