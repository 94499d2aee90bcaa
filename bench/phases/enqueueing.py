"""The rate at which one process enqueues jobs."""

from __future__ import annotations

from bench.figures.measurement import Measurement
from bench.trial import Trial

ONE = "one"
BULK = "bulk"


def enqueue_one_by_one(trial: Trial, jobs: int) -> Measurement:
    """Measure the rate with one call and one commit per job."""
    trial.begin()
    return Measurement(values={ONE: trial.call("put-one-by-one", jobs)["rate"]})


def enqueue_in_bulk(trial: Trial, jobs: int) -> Measurement:
    """Measure the rate of every bulk call of the subject."""
    rates: dict[str, float] = {}
    for call in trial.bulk_calls:
        trial.begin()
        rates[f"{BULK}: {call}"] = trial.call("put-many", jobs, call)["rate"]
    return Measurement(values=rates)
