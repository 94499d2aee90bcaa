"""The time until an idle worker starts a job that another process enqueues."""

from __future__ import annotations

import time

from bench.figures.measurement import Measurement
from bench.trial import SubjectFailedError, Trial
from bench.work import WARM_UP

_LATEST = 15.0


def pick_up(trial: Trial, jobs: int) -> Measurement:
    """Measure the time from just before `put` to the handler, with one job every 25 ms. The commit counts."""
    trial.begin()
    with trial.idle_worker(jobs + WARM_UP) as workers:
        trial.call("put-stamped", jobs)
        deadline = time.monotonic() + _LATEST
        while workers.runs()[0].count(0) and time.monotonic() < deadline:
            time.sleep(0.05)
        workers.stop()
        seconds = sorted(workers.pick_ups())
    if len(seconds) < jobs:
        raise SubjectFailedError(f"only {len(seconds)} of {jobs} jobs were picked up")
    return Measurement(
        values={
            "pick-up p50": _percentile(seconds, 0.5) * 1000,
            "pick-up p99": _percentile(seconds, 0.99) * 1000,
        }
    )


def _percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
