"""How fast jobs are enqueued from one process."""

from __future__ import annotations

from bench.measurement import Measurement
from bench.trial import Trial

ONE = "one"
BULK = "bulk"


def enqueue_one_by_one(trial: Trial, jobs: int) -> Measurement:
    """A call and a commit for each."""
    trial.begin()
    return Measurement(values={ONE: trial.call("put-one-by-one", jobs)["rate"]})


def enqueue_in_bulk(trial: Trial, jobs: int) -> Measurement:
    """By every way that the subject has; none, if it has none."""
    rates: dict[str, float] = {}
    for call in trial.bulk_calls:
        trial.begin()
        rates[f"{BULK}: {call}"] = trial.call("put-many", jobs, call)["rate"]
    return Measurement(values=rates)
