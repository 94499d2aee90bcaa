"""The rate at which worker processes drain the queue, and the exactness of the drain."""

from __future__ import annotations

import time
from dataclasses import dataclass

from bench.child_process import last_words
from bench.figures.measurement import Exactness, Measurement
from bench.run_ledger import LedgerReader
from bench.trial import Trial
from bench.workers import Workers

_LOOK_EVERY = 0.002
_LOOK_EVERY_LONG = 0.05  # each look reads a byte for each job
_STANDSTILL = 3.0
_GIVE_UP = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """A drain of `jobs` queued jobs by `workers` processes. The store also has `finished` jobs, which ran long ago."""

    workers: int
    jobs: int
    limit: float
    """The time limit of the drain in seconds."""
    finished: int = 0
    call: str = ""
    """The subject's bulk call that enqueues the jobs, by default the first."""
    size: int | None = None
    """The number of characters of each body."""
    is_long: bool = False
    """Whether to measure the first and the last tenth as well, and the memory of the workers."""
    title: str = ""

    @property
    def name(self) -> str:
        """The name of the rate in the results."""
        kind = ", full table" if self.finished else ", long" if self.is_long else ""
        return self.title or f"drain {self.workers}{kind}"


def drain(trial: Trial, wanted: Drain) -> Measurement:
    """Measure the rate from the first run of a handler until the store has no unfinished job."""
    trial.begin()
    if wanted.finished:
        trial.call("add-finished", wanted.finished)
    trial.fill(wanted.jobs, call=wanted.call, size=wanted.size)
    stored_before = trial.results(wanted.jobs) or 0
    with trial.workers(wanted.workers, wanted.jobs) as workers:
        went = trial.go(workers)
        watch = _Watch(wanted.jobs)
        ended = _wait_for_the_end(trial, workers, wanted, went, watch)
        peak_memory = workers.usage().peak_memory if wanted.is_long else None
        time.sleep(0.1)  # a second run of a job comes soon after the first
        exactness = _exactness(trial, workers.runs(), wanted.jobs, stored_before)
        first = workers.first()
        complaints = last_words(text, lines=4) if (text := workers.error_output()) else ""
    values: dict[str, float] = {}
    if ended is not None and first is not None:
        values[wanted.name] = wanted.jobs / (ended - first)
        values[f"{wanted.name}, from go"] = wanted.jobs / (ended - went)
        if peak_memory is not None:
            values["last tenth against first"] = watch.last_tenth_against_first(first, ended)
            values["peak memory"] = peak_memory
    return Measurement(values=values, exactness=exactness, complaints=complaints)


def drain_in_memory(trial: Trial, jobs: int) -> Measurement:
    """Like `drain`, but in one process, for subjects whose store ends with it."""
    ledger = trial.folder / "memory"
    answer = trial.call("drain-in-memory", ledger, jobs)
    reader = LedgerReader(ledger)
    runs = reader.runs()
    reader.close()
    exactness = Exactness(
        twice=_twice(runs),
        never=runs.count(0),
        unfinished=int(answer["unfinished"]),
        lost=jobs - int(answer["results"]),
    )
    return Measurement(values={"drain 1": jobs / answer["seconds"]}, exactness=exactness)


class _Watch:
    """The times when a tenth and nine tenths of the jobs had run."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._tenth = self._nine_tenths = (0.0, 0)

    def note(self, now: float, ran: int) -> None:
        if not self._tenth[1] and ran * 10 >= self._jobs:
            self._tenth = now, ran
        if not self._nine_tenths[1] and ran * 10 >= self._jobs * 9:
            self._nine_tenths = now, ran

    def last_tenth_against_first(self, first: float, ended: float) -> float:
        """Return the rate of the last tenth divided by the rate of the first tenth."""
        (tenth_at, tenth), (nine_tenths_at, nine_tenths) = self._tenth, self._nine_tenths
        last_rate = (self._jobs - nine_tenths) / (ended - nine_tenths_at)
        return last_rate / (tenth / (tenth_at - first))


def _wait_for_the_end(trial: Trial, workers: Workers, wanted: Drain, went: float, watch: _Watch) -> float | None:
    """Return the time of the query that found no unfinished job; None if the drain did not end in time.

    The queries start when every job has run, or after a standstill. The start of the query counts as the end of the
    drain: after a long drain the answer can take half a second, while the store reads dead rows.
    """
    seen, moved = 0, went
    while (now := time.monotonic()) - went < wanted.limit:
        time.sleep(_LOOK_EVERY_LONG if wanted.is_long else _LOOK_EVERY)
        ran = sum(len(runs) - runs.count(0) for runs in workers.runs())
        if ran != seen:
            seen, moved = ran, now
            watch.note(now, ran)
        if ran >= wanted.jobs or now - moved > _STANDSTILL:
            asked = time.monotonic()
            if trial.unfinished(wanted.jobs) <= 0:
                return asked
            if now - moved > _GIVE_UP:
                return None
    return None


def _exactness(trial: Trial, runs: list[bytes], jobs: int, stored_before: int) -> Exactness:
    total = bytes(min(255, sum(counts)) for counts in zip(*runs, strict=True))
    unfinished = max(0, trial.unfinished(jobs))
    stored = trial.results(jobs)
    lost = 0 if stored is None else jobs - unfinished - (stored - stored_before)
    return Exactness(twice=_twice(total), never=total.count(0), unfinished=unfinished, lost=max(0, lost))


def _twice(runs: bytes) -> int:
    return sum(count > 1 for count in runs)
