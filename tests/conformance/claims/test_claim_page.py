"""The page about the claim: its example is true on every store, and its words are those of the statements."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from server_jobs.domain.interfaces import Store
from server_jobs.domain.options import ConcurrencyLimit, RateLimit
from server_jobs.domain.record import KnownJob, NewJob
from server_jobs.stores.sql.dialect import DialectName, statements_of
from server_jobs.testing import FakeClock

from tests.conformance.examples import START, claim_on, completed, ids, job, read, request

PAGE = Path(__file__).parents[3] / "docs/explanation/claim.md"
NOON = START + timedelta(hours=12)
FREE = KnownJob("Free", 1)
CRAWL = KnownJob("Crawl", 1, concurrency=ConcurrencyLimit(limit=2, by=("/host",)))
CALL = KnownJob("Call", 1, rate=RateLimit(limit=1, per=timedelta(minutes=1), by=("/customer",)))


def table(heading: str) -> list[dict[str, str]]:
    """Return the rows of the table whose columns begin like this."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    rows = [_cells(line) for line in lines[start:]]
    end = next((number for number, cells in enumerate(rows) if len(cells) != len(rows[0])), len(rows))
    return [dict(zip(rows[0], cells, strict=True)) for cells in rows[2:end]]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.removeprefix("|").removesuffix("|").split("|")]


def stored(row: dict[str, str]) -> NewJob:
    """Return the job of a row of the first table."""
    hours, minutes, seconds = map(int, row["scheduled_for"].split(":"))
    return NewJob(
        row["id"],
        "{}",
        concurrency_key=_key(row["concurrency_key"]),
        rate_key=_key(row["rate_key"]),
        job_name=row["job_name"],
        queue=row["queue"],
        priority=int(row["priority"]),
        scheduled_for=START + timedelta(hours=hours, minutes=minutes, seconds=seconds),
    )


def _key(cell: str) -> str | None:
    return None if cell == "NULL" else cell


async def start(store: Store, clock: FakeClock, jobs: Sequence[NewJob]) -> None:
    """Claim each of these jobs when it is due."""
    for new in jobs:
        await store.insert([new])
        assert new.scheduled_for is not None
        clock.advance(new.scheduled_for - clock.now())
        assert ids(await store.claim(request(FREE, CRAWL, CALL, limit=1))) == [new.id]


async def test_the_claim_of_the_example_takes_the_jobs_of_its_second_table(store: Store, clock: FakeClock) -> None:
    before, after = table("id | job_name"), table("id | taken")
    earlier = [row for row in before if row["status"] != "pending"]
    await start(store, clock, [stored(row) for row in earlier])
    for row in earlier:
        if row["status"] == "completed":
            await store.settle([completed(claim_on(await read(store, row["id"])))])
    await store.insert([stored(row) for row in before if row["status"] == "pending"])
    await store.pause_queue("night")
    clock.advance(NOON - clock.now())

    claims = await store.claim(request(FREE, CRAWL, CALL, limit=4))

    taken = sorted((row for row in after if row["taken"]), key=lambda row: int(row["taken"]))
    assert ids(claims) == [row["id"] for row in taken]
    statuses = {row["id"]: str((await read(store, row["id"])).status) for row in before}
    assert statuses == {row["id"]: row["status"] for row in after}


async def test_the_bound_of_slots_leaves_jobs_to_the_next_claim_as_the_page_says(
    store: Store, clock: FakeClock
) -> None:
    await store.insert(
        [job(name, max_attempts=attempts) for name, attempts in [("m", 1), ("n", 1), ("o", 3), ("p", 3)]]
    )

    taken = [ids(await store.claim(request(limit=3, slots=1))) for _ in range(2)]

    assert taken == [["m", "o"], ["n", "p"]]


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_each_statement_that_the_page_names_exists(dialect: DialectName) -> None:
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)*)`", PAGE.read_text(encoding="utf-8")))

    assert {"CLAIM", "CLAIM_LIMITED"} <= named <= set(vars(statements_of(dialect)))
