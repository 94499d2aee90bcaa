"""Two stores in memory as one, as another store of the conformance suite, and how it differs from one database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import Claim, Inserted, NewJob
from server_jobs.stores.memory import MemoryStore
from server_jobs.stores.sharded import ShardedStore
from server_jobs.testing import FakeClock

_ORDER = "claims take the jobs of one shard after another, and only jobs of its own shard are ahead of a job"
_AUDIT = "the pause of a queue has an audit entry in each shard"
_WORKERS = "a worker that reported to two shards is deleted in both"
_CURSOR = "the cursor of a scan has the name of its shard, and a step ends in one shard"

DIFFERENCES = {
    **{f"test_claims_take_jobs_of_many_groups_in_one_order[shards-{seed}]": _ORDER for seed in (0, 1, 3, 4)},
    "test_a_full_job_leaves_the_room_in_a_batch_to_other_jobs": _ORDER,
    "test_jobs_that_are_claimed_first_are_ahead": _ORDER,
    "test_the_keys_of_two_jobs_are_not_mixed": _ORDER,
    "test_blocked_jobs_do_not_block_the_jobs_behind_them": _ORDER,
    "test_jobs_with_limits_and_without_are_claimed_in_one_order": _ORDER,
    "test_jobs_that_were_stored_without_keys_count_as_one": _ORDER,
    "test_jobs_without_keys_hide_no_others": _ORDER,
    "test_more_jobs_without_keys_than_a_claim_scans_hide_no_others": _ORDER,
    "test_jobs_that_may_not_wait_keep_their_turn": _ORDER,
    "test_a_key_that_is_full_does_not_hide_the_others_behind_its_backlog": _ORDER,
    "test_every_move_by_hand_is_entered_with_who_made_it": _AUDIT,
    "test_calls_without_effect_have_no_entry": _AUDIT,
    "test_entries_are_deleted_after_their_retention": _AUDIT,
    "test_old_entries_are_deleted_on_demand": _AUDIT,
    "test_a_worker_that_stops_is_forgotten_and_a_dead_one_a_week_later": _WORKERS,
    "test_a_dead_tick_is_forgotten_after_a_week": _WORKERS,
    "test_a_step_scans_a_number_of_jobs_and_returns_the_cursor": _CURSOR,
    "test_a_parked_job_and_one_without_a_rule_are_passed_by": _CURSOR,
    "test_the_scan_ends_at_jobs_that_are_all_too_new_for_any_rule": _CURSOR,
    "test_the_scan_goes_on_behind_new_jobs_of_old_slots": _CURSOR,
}
"""The tests of one database that fail on several, each with its reason. A test that passes has to leave the table.

With the jobs of the other seeds, the order does not matter.
"""


class SpreadStore(ShardedStore):
    """Two shards: batches and `ImportCsv` in the second one, all else in the first one."""

    async def insert(self, jobs: Sequence[NewJob]) -> Sequence[Inserted]:
        """As in `JobStore`."""
        return await super().insert([_with_key(job) for job in jobs])

    async def start(self, job: NewJob, lease: timedelta) -> Claim:
        """As in `JobStore`."""
        return await super().start(_with_key(job), lease)


def _with_key(job: NewJob) -> NewJob:
    is_in_second = job.batch_id is not None or job.job_name == "ImportCsv"
    return job._replace(shard_key="second" if is_in_second else "first")


@asynccontextmanager
async def open_shards(clock: FakeClock) -> AsyncIterator[Store]:
    """Two stores in memory as one."""
    yield SpreadStore({"first": MemoryStore(clock), "second": MemoryStore(clock)}, lambda key: key)
