"""The room under limits, as the memory store computes it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from server_jobs.domain import lifecycle
from server_jobs.domain.options import RateLimit
from server_jobs.domain.record import KnownJob, NewJob
from server_jobs.stores.memory.room import Room, Starts

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CALL = KnownJob("Call", 1, rate=RateLimit(limit=2, per=timedelta(seconds=10)))


def start(starts: Starts, key: str, seconds: int) -> None:
    """Start a job of that key that many seconds after the beginning."""
    now = NOW + timedelta(seconds=seconds)
    job = NewJob(id=f"{key} {seconds}", job_name="Call", params="{}", concurrency_key="", rate_key=key)
    room = Room([CALL], [], starts, now)
    record = lifecycle.enqueue(job, now)
    assert room.is_left_for(record)
    room.take(record)
    room.start(record)


def test_keys_whose_starts_are_over_are_forgotten() -> None:
    starts: Starts = {}
    start(starts, "", 0)
    start(starts, "a", 1)
    start(starts, "b", 2)
    start(starts, "a", 8)
    assert set(starts["Call"]) == {"", "a", "b"}

    start(starts, "c", 13)

    assert set(starts["Call"]) == {"a", "c"}
