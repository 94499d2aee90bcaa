"""Many callers replace jobs of a few unique keys while workers run them: no call is lost, and no two runs overlap."""

from __future__ import annotations

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from itertools import count

from server_jobs.domain.interfaces import Store
from server_jobs.domain.options import OnConflict
from server_jobs.domain.record import Claim, Completed, Failed, Released, Settlement
from server_jobs.testing import FakeClock

from tests.conformance.examples import job, request
from tests.conformance.stores import OpenStore

KEYS = ("SendEmail:a", "SendEmail:b", "SendEmail:c")
CALLERS, CALLS, WORKERS = 2, 25, 3


class Runs:
    """The numbers that jobs of each key ran with, in their order."""

    def __init__(self) -> None:
        self.of_key: defaultdict[str, list[int]] = defaultdict(list)
        self.running: set[str] = set()
        self.rng = random.Random(7)

    async def run(self, store: Store, claim: Claim) -> None:
        key, number = json.loads(claim.params)
        assert key not in self.running, f"two jobs of {key} run at the same time"
        self.running.add(key)
        self.of_key[key].append(number)
        for _ in range(self.rng.randrange(30)):  # others may claim and enqueue in between
            await asyncio.sleep(0)
        self.running.remove(key)
        outcomes: list[Settlement] = [
            Completed(claim.id, claim.token, "{}"),
            Failed(claim.id, claim.token, "boom", timedelta(0)),
            Released(claim.id, claim.token),
        ]
        await store.settle([self.rng.choices(outcomes, (4, 1, 1))[0]])


async def test_the_newest_job_of_each_key_runs_last(open_store: OpenStore, clock: FakeClock) -> None:
    numbers, last, runs = count(1), defaultdict[str, set[int]](set), Runs()
    async with open_store(clock) as store:
        callers = [_call(store, key, numbers, last[key]) for key in KEYS for _ in range(CALLERS)]
        calling = asyncio.gather(*callers)
        await asyncio.gather(*(_work(store, runs, calling) for _ in range(WORKERS)))
        await calling

    for key in KEYS:
        assert runs.of_key[key][-1] in last[key]


async def _call(store: Store, key: str, numbers: Iterator[int], last: set[int]) -> None:
    number = 0
    for _ in range(CALLS):
        number = next(numbers)
        new = job(f"{number:05}", params=json.dumps([key, number]), unique_key=key, max_attempts=1000)
        await store.insert([new._replace(on_conflict=(OnConflict.REPLACE, OnConflict.RESCHEDULE)[number % 2])])
    last.add(number)


async def _work(store: Store, runs: Runs, calling: asyncio.Future[list[None]]) -> None:
    while True:
        is_last = calling.done()
        claims = await store.claim(request(limit=2))
        await asyncio.gather(*(runs.run(store, claim) for claim in claims))
        if is_last and not claims and (await store.upcoming_work(request())).until_due is None and not runs.running:
            return
        await asyncio.sleep(0)
