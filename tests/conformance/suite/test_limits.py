"""Concurrency limits by params, and rates: how many jobs run at one time, and how many start within a period."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from server_jobs.domain.interfaces import Store
from server_jobs.domain.options import ConcurrencyLimit, RateLimit
from server_jobs.domain.record import Claim, ClaimRequest, JobStatus, KnownJob, NewJob
from server_jobs.stores.sql.claims import execution
from server_jobs.stores.sql.claims import limited as limited_claims
from server_jobs.stores.sql.store import SqlStore
from server_jobs.testing import FakeClock
from server_jobs.testing.conformance.examples import (
    IMPORT,
    LEASE,
    MILLISECOND,
    SECOND,
    SEND,
    claim_on,
    completed,
    failed,
    ids,
    insert_and_claim,
    job,
    read,
    request,
)

MINUTE = timedelta(minutes=1)


def limited(limit: int, *, version: int = 1) -> KnownJob:
    """`SendEmail` with a concurrency limit."""
    return KnownJob("SendEmail", version, ConcurrencyLimit(limit=limit, by=("/customer",)))


def rated(limit: int, per: timedelta = MINUTE) -> KnownJob:
    """`SendEmail` with a rate."""
    return KnownJob("SendEmail", 1, rate=RateLimit(limit=limit, per=per, by=("/host",)))


def of(customer: str, job_id: str, *, host: str = "", priority: int = 0) -> NewJob:
    """Return a job of a customer that calls a host."""
    return job(job_id, concurrency_key=customer, rate_key=host, priority=priority)


async def complete(store: Store, claims: list[Claim]) -> None:
    await store.settle([completed(claim) for claim in claims])


async def take(store: Store, *known: KnownJob, limit: int = 10) -> list[str]:
    return ids(await store.claim(request(*known, limit=limit)))


async def test_the_keys_of_a_job_are_stored_with_it(store: Store, clock: FakeClock) -> None:
    await store.insert([of("ada", "a", host="example.com"), job("b")])
    await store.start(of("bob", "c", host=""), LEASE)

    stored = {name: await read(store, name) for name in "abc"}
    assert {name: (record.concurrency_key, record.rate_key) for name, record in stored.items()} == {
        "a": ("ada", "example.com"),
        "b": (None, None),
        "c": ("bob", ""),
    }


async def test_a_concurrency_limit_is_counted_for_each_key(store: Store, clock: FakeClock) -> None:
    await store.insert([of("ada", name) for name in "abc"] + [of("bob", name) for name in "xyz"])

    assert await take(store, limited(2)) == ["a", "b", "x", "y"]
    assert await take(store, limited(2)) == []

    await store.settle([completed(claim_on(await read(store, "x")))])
    assert await take(store, limited(2)) == ["z"]


async def test_the_keys_of_two_jobs_are_not_mixed(store: Store, clock: FakeClock) -> None:
    other = KnownJob("ImportCsv", 1, ConcurrencyLimit(limit=1))
    await store.insert([of("ada", "a"), of("ada", "b"), job("x", "ImportCsv", concurrency_key="ada", rate_key="")])

    assert await take(store, limited(1), other) == ["a", "x"]


async def test_blocked_jobs_do_not_block_the_jobs_behind_them(store: Store, clock: FakeClock) -> None:
    await store.insert([of("ada", name, priority=5) for name in "abcd"])
    await store.insert([of("bob", "m"), job("n", "ImportCsv"), of("bob", "o", priority=-1)])

    assert await take(store, limited(1), IMPORT, limit=3) == ["a", "m", "n"]


async def test_jobs_with_limits_and_without_are_claimed_in_one_order(store: Store, clock: FakeClock) -> None:
    await store.insert([of("ada", "a", priority=1), job("b", "ImportCsv", priority=3), of("bob", "c", priority=2)])
    await store.insert([job("d", "ImportCsv")])

    assert await take(store, limited(5), IMPORT, limit=2) == ["b", "c"]
    assert await take(store, limited(5), IMPORT, limit=2) == ["a", "d"]


async def test_a_job_run_by_its_id_ignores_the_limit_but_counts(store: Store, clock: FakeClock) -> None:
    await store.insert([of("ada", name) for name in "abc"])
    await store.start(of("ada", "s"), LEASE)
    assert await take(store, limited(1)) == []

    claim = await store.claim_one("a", request(limited(1)))

    assert claim is not None
    assert await take(store, limited(2)) == []
    await store.settle([completed(claim)])
    assert await take(store, limited(2)) == ["b"]


@pytest.mark.parametrize(
    "now",
    [
        KnownJob("SendEmail", 1, ConcurrencyLimit(limit=1)),
        KnownJob("SendEmail", 1, rate=RateLimit(limit=1, per=MINUTE)),
    ],
    ids=["concurrency", "rate"],
)
async def test_jobs_with_old_limit_keys_are_not_hidden_behind_a_limit_without_values(
    store: Store, clock: FakeClock, now: KnownJob
) -> None:
    await store.insert([of("", f"a{number:03}", priority=1) for number in range(300)])
    await store.insert([of("ada", "old", host="example.com")])

    assert await take(store, now, limit=1) == ["a000"]
    assert await take(store, now, limit=1) == ["old"]
    assert await take(store, now, limit=1) == []


@pytest.mark.parametrize("other", [{"limit": 0}, {"limit": 0, "queues": ()}, {"queues": ("other",)}, {"queues": ()}])
async def test_a_claim_that_takes_nothing_hides_no_job_from_the_next(
    store: Store, clock: FakeClock, other: dict[str, Any]
) -> None:
    await store.insert([of("ada", "a")])

    assert await store.claim(request(limited(1), IMPORT, **other)) == []
    assert await take(store, limited(1), IMPORT, limit=1) == ["a"]


async def test_jobs_that_were_stored_without_keys_count_as_one(store: Store, clock: FakeClock) -> None:
    await store.insert([job(name) for name in "abcd"])
    await store.insert([of("ada", "e"), job("f", "ImportCsv")])

    assert await take(store, limited(2), IMPORT) == ["a", "b", "e", "f"]
    assert await take(store, limited(2), IMPORT) == []
    await complete(store, [claim_on(await read(store, "a"))])
    assert await take(store, limited(2), IMPORT) == ["c"]


async def test_runs_that_began_before_there_was_a_limit_count(store: Store, clock: FakeClock) -> None:
    await store.insert([job(name) for name in "abcd"])
    assert await take(store, SEND, limit=2) == ["a", "b"]

    assert await take(store, limited(3)) == ["c"]


async def test_a_job_whose_limit_was_taken_away_is_claimed_like_any_other(store: Store, clock: FakeClock) -> None:
    await store.insert([of("ada", name) for name in "abcd"])
    assert await take(store, limited(1)) == ["a"]

    assert await take(store, SEND, limit=2) == ["b", "c"]
    await store.insert([of("ada", "e")])  # enqueued by a release that still has the limit
    clock.advance(execution.RELABEL_INTERVAL)
    assert await take(store, SEND) == ["d", "e"]


async def test_jobs_without_keys_hide_no_others(store: Store, clock: FakeClock) -> None:
    await store.insert([job(f"a{number:02}") for number in range(40)])
    await store.insert([job("x", "ImportCsv"), of("ada", "y")])

    assert [await take(store, limited(1), IMPORT, limit=2) for _ in range(3)] == [["a00", "x"], ["y"], []]


async def test_more_jobs_without_keys_than_a_claim_scans_hide_no_others(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "ADOPTED_AT_ONCE", 4)
    await store.insert([job(f"a{number:02}") for number in range(40)])
    await store.insert([job("x", "ImportCsv"), of("ada", "y")])

    taken = [await take(store, limited(1), IMPORT, limit=2) for _ in range(3)]

    assert taken[0][0] == "a00"
    assert sorted(job_id for batch in taken for job_id in batch) == ["a00", "x", "y"]
    assert taken[1] != []


async def test_a_limit_counts_those_of_a_batch_that_were_attempted_before(store: Store, clock: FakeClock) -> None:
    await store.insert([of("ada", name) for name in "ab"])
    first = await store.claim(request(limited(2)))
    await store.settle([failed(claim, retry_after=timedelta(0)) for claim in first])

    again = await store.claim(request(limited(2), slots=1))

    assert ids(again) == ["a"]
    assert again[0].attempt == 2


async def test_a_claim_takes_only_so_many_jobs_with_limits_as_may_wait(store: Store, clock: FakeClock) -> None:
    await store.insert([of("ada", name, priority=1) for name in "abc"])
    await store.insert([job(name, "ImportCsv") for name in "xy"])

    first = await store.claim(request(limited(5), IMPORT, limited=0))
    second = await store.claim(request(limited(5), IMPORT, limited=2))

    assert (ids(first), ids(second)) == (["x", "y"], ["a", "b"])


async def test_jobs_that_may_not_wait_keep_their_turn(store: Store, clock: FakeClock) -> None:
    await store.insert([of("ada", name, priority=1) for name in "abc"])
    await store.insert([job(name, "ImportCsv") for name in "xyz"])

    claims = await store.claim(request(limited(5), IMPORT, limit=4, limited=1))

    assert ids(claims) == ["a", "x"]


async def test_paused_and_other_queues_and_later_jobs_are_left_alone(store: Store, clock: FakeClock) -> None:
    await store.insert(
        [
            job("a", concurrency_key="", rate_key="", queue="paused"),
            job("b", concurrency_key="", rate_key="", queue="other"),
            job("c", concurrency_key="", rate_key="", delay=SECOND),
            job("d", concurrency_key="", rate_key="", spec_version=2),
            job("e", concurrency_key="", rate_key="", queue="mail"),
        ]
    )
    await store.pause_queue("paused")

    asked = ClaimRequest(known=(limited(9),), limit=9, lease=LEASE, queues=("mail", "paused", "default"))

    assert ids(await store.claim(asked)) == ["e"]


# --- rates


async def test_no_more_jobs_start_within_a_period_than_a_rate_allows(store: Store, clock: FakeClock) -> None:
    await store.insert([of("", f"{number}") for number in range(9)])

    assert await take(store, rated(2)) == ["0", "1"]
    clock.advance(MINUTE / 2)
    assert await take(store, rated(3)) == ["2"]
    assert await take(store, rated(3)) == []
    clock.advance(MINUTE / 2 + MILLISECOND)
    assert await take(store, rated(3)) == ["3", "4"]
    assert await take(store, rated(3)) == []


async def test_a_period_includes_both_of_its_ends(store: Store, clock: FakeClock) -> None:
    await store.insert([of("", name) for name in "ab"])
    assert await take(store, rated(1)) == ["a"]

    clock.advance(MINUTE)
    assert await take(store, rated(1)) == []

    clock.advance(MILLISECOND)
    assert await take(store, rated(1)) == ["b"]


async def test_a_rate_is_counted_for_each_key(store: Store, clock: FakeClock) -> None:
    await store.insert([of("", name, host="a.example") for name in "abc"])
    await store.insert([of("", name, host="b.example") for name in "xyz"])

    assert await take(store, rated(1)) == ["a", "x"]
    assert await take(store, rated(2)) == ["b", "y"]
    assert await take(store, rated(2)) == []


async def test_a_row_without_a_rate_key_counts_like_those_of_no_values_and_stops_no_claim(
    store: Store, clock: FakeClock
) -> None:
    await store.insert(
        [job("a", concurrency_key="ada"), of("bob", "b"), of("bob", "c", host="x"), job("d", "ImportCsv")]
    )

    assert sorted(await take(store, rated(1), IMPORT)) == ["a", "c", "d"]
    assert await take(store, rated(1), IMPORT) == []
    clock.advance(MINUTE + MILLISECOND)
    assert await take(store, rated(1), IMPORT) == ["b"]


async def test_jobs_that_ended_and_attempts_that_are_retried_count_as_starts(store: Store, clock: FakeClock) -> None:
    await store.insert([of("", name) for name in "abc"])
    first, second = await store.claim(request(rated(2)))
    await store.settle([failed(first, retry_after=timedelta(0)), completed(second)])
    assert await take(store, rated(2)) == []

    clock.advance(MINUTE + MILLISECOND)
    again = await store.claim(request(rated(2)))

    assert ids(again) == ["a", "c"]
    await complete(store, list(again))
    assert await take(store, rated(2)) == []


async def test_a_manual_start_ignores_the_rate_and_does_not_count(store: Store, clock: FakeClock) -> None:
    await store.insert([of("", name) for name in "abc"])
    assert await take(store, rated(1)) == ["a"]

    assert await store.claim_one("b", request(rated(1))) is not None
    await store.start(of("", "s"), LEASE)

    assert await take(store, rated(2)) == ["c"]


async def test_both_limits_of_a_job_apply(store: Store, clock: FakeClock) -> None:
    both = KnownJob("SendEmail", 1, ConcurrencyLimit(limit=2), RateLimit(limit=3, per=MINUTE))
    await store.insert([of("ada", name, host="a.example") for name in "abcd"])
    await store.insert([of("bob", name, host="a.example") for name in "xyz"])

    first = await store.claim(request(both))
    assert ids(first) == ["a", "b", "x"] or ids(first) == ["a", "b"]
    rest = await store.claim(request(both))
    assert ids([*first, *rest]) == ["a", "b", "x"]
    await complete(store, [*first, *rest])
    assert await take(store, both) == []
    clock.advance(MINUTE + MILLISECOND)
    assert await take(store, both) == ["c", "d", "y"]


async def test_claims_at_the_same_time_never_exceed_a_limit(store: Store, clock: FakeClock) -> None:
    await store.insert([of("ada" if number % 2 else "bob", f"{number:03}") for number in range(60)])

    batches = await asyncio.gather(*(store.claim(request(limited(4), limit=3)) for _ in range(10)))

    claimed = [(await read(store, claim.id)).concurrency_key for batch in batches for claim in batch]
    assert (claimed.count("ada"), claimed.count("bob")) == (4, 4)


# --- backlogs that are larger than what a claim looks at


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let SQL claims scan eight jobs and four lanes."""
    monkeypatch.setattr(limited_claims, "WINDOW", 8)
    monkeypatch.setattr(limited_claims, "LANES", 4)


@pytest.mark.usefixtures("narrow")
async def test_a_key_that_is_full_does_not_hide_the_others_behind_its_backlog(store: Store, clock: FakeClock) -> None:
    await store.insert([of("ada", f"a{number:02}", priority=1) for number in range(50)])
    await store.insert([of("bob", f"b{number:02}") for number in range(50)])
    await store.insert([job("z", "ImportCsv", priority=-1)])

    assert await take(store, limited(2), IMPORT, limit=4) == ["a00", "a01", "b00", "b01"]
    assert await take(store, limited(2), IMPORT, limit=4) == ["z"]
    await complete(store, [claim_on(await read(store, "b00"))])
    assert await take(store, limited(2), IMPORT, limit=4) == ["b02"]


@pytest.mark.usefixtures("narrow")
async def test_a_key_whose_rate_is_used_up_does_not_hide_the_others(store: Store, clock: FakeClock) -> None:
    await store.insert([of("", f"a{number:02}", host="a.example", priority=1) for number in range(50)])
    await store.insert([of("", f"b{number:02}", host="b.example") for number in range(50)])

    assert await take(store, rated(1), limit=4) == ["a00", "b00"]
    assert await take(store, rated(1), limit=4) == []


@pytest.mark.usefixtures("narrow")
async def test_every_one_of_many_keys_has_its_turn(store: Store, clock: FakeClock) -> None:
    await store.insert([of("ada", f"a{number:02}", priority=1) for number in range(50)])
    await store.insert([of(f"{number:x}0", f"b{number:x}") for number in range(16)])

    everyone = {"a00", *(f"b{number:x}" for number in range(16))}
    seen: set[str] = set()
    for _ in range(500):  # a tenth of that usually suffices
        seen |= set(await take(store, limited(1), limit=4))
        if seen == everyone:
            break

    assert seen == everyone


async def test_starts_are_forgotten_when_their_period_is_over(store: Store, clock: FakeClock) -> None:
    await store.insert([of("", f"{number}") for number in range(6)])
    for _ in range(6):
        await take(store, rated(2, SECOND))
        clock.advance(SECOND)

    if isinstance(store, SqlStore):
        assert await _count_starts(store) == 2
    assert (await read(store, "5")).status is JobStatus.RUNNING


async def _count_starts(store: SqlStore) -> object:
    from server_jobs.domain.interfaces import Statement

    (rows,) = await store.database.run(
        (Statement("SELECT count(*) AS count FROM job_starts WHERE id NOT LIKE '(%'", writes=False), {})
    )
    return rows[0]["count"]


async def test_a_claim_that_knows_limits_takes_jobs_without_limits_as_well(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a"))
    await store.settle([failed(claim, retry_after=timedelta(0))])
    await store.insert([job("b"), job("c", "ImportCsv", priority=1)])

    assert await take(store, SEND, KnownJob("ImportCsv", 1, ConcurrencyLimit(limit=1))) == ["c", "a", "b"]
