"""Bars of the last hour as inline SVG: completed and failed attempts per minute."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from server_jobs.domain.record.reports import Counts
from server_jobs.domain.statistics import MinuteCounts

MINUTES = 60
HEIGHT = 32.0
STEP = 4
_LEAST = 1.5


@dataclass(frozen=True, slots=True)
class Bar:
    """One minute. `y` and `height` are of its completed attempts; its failures stand on top. Units of the picture."""

    x: int
    y: float
    height: float
    failed_y: float
    failed_height: float


@dataclass(frozen=True, slots=True)
class Hour:
    """The last hour: sums, and one bar per minute with outcomes, the oldest first. `peak` is the tallest minute."""

    completed: int
    failed: int
    retried: int
    peak: int
    bars: tuple[Bar, ...]

    @property
    def about(self) -> str:
        """The hour as a sentence, for readers who do not see the bars."""
        if not self.peak:
            return "Nothing ran in the last hour."
        return (
            f"Last hour: {self.completed:,} completed, {self.failed:,} failed, {self.retried:,} retried. "
            f"At most {self.peak:,} in one minute."
        )


def start_of(now: datetime) -> datetime:
    """Return the first minute of the last hour."""
    return now.replace(second=0, microsecond=0) - timedelta(minutes=MINUTES - 1)


def hours_by_queue(found: Sequence[MinuteCounts], now: datetime) -> dict[str, Hour]:
    """Return the last hour of each queue that had an outcome in it."""
    by_queue: defaultdict[str, list[MinuteCounts]] = defaultdict(list)
    for one in found:
        by_queue[one.queue].append(one)
    return {queue: hour_of(counts, now) for queue, counts in by_queue.items()}


def hour_of(found: Iterable[MinuteCounts], now: datetime) -> Hour:
    """Return the last hour of these counts together."""
    start = start_of(now)
    minutes = [Counts()] * MINUTES
    for one in found:
        place = -1 if one.minute is None else int((one.minute - start).total_seconds() // 60)
        if 0 <= place < MINUTES:
            sums = zip(minutes[place], one.counts, strict=True)
            minutes[place] = Counts(*(before + more for before, more in sums))
    failures = [one.failed + one.retried for one in minutes]
    peak = max(one.completed + bad for one, bad in zip(minutes, failures, strict=True))
    return Hour(
        completed=sum(one.completed for one in minutes),
        failed=sum(one.failed for one in minutes),
        retried=sum(one.retried for one in minutes),
        peak=peak,
        bars=tuple(
            _bar(place, one.completed, bad, peak)
            for place, (one, bad) in enumerate(zip(minutes, failures, strict=True))
            if one.completed or bad
        ),
    )


def _bar(place: int, completed: int, failed: int, peak: int) -> Bar:
    height, failed_height = _scaled(completed, peak), _scaled(failed, peak)
    height = min(height, HEIGHT - failed_height)
    return Bar(
        place * STEP,
        round(HEIGHT - height, 2),
        round(height, 2),
        round(HEIGHT - height - failed_height, 2),
        round(failed_height, 2),
    )


def _scaled(count: int, peak: int) -> float:
    """Return the height of a count. One among thousands stays visible."""
    return max(count / peak * HEIGHT, _LEAST) if count else 0.0
