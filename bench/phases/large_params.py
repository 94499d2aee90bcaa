"""Jobs with params of 100 kB: enqueued one by one and in bulk, then drained."""

from __future__ import annotations

from dataclasses import replace

from bench.figures.measurement import Measurement
from bench.trial import Trial

from .draining import Drain, drain

_SIZE = 100_000


def carry_large(trial: Trial, jobs: int, limit: float) -> Measurement:
    """Measure all three. In bulk, use the first bulk call of the subject."""
    trial.begin()
    values = {"large, one": trial.call("put-one-by-one", jobs, _SIZE)["rate"]}
    trial.begin()
    values["large, bulk"] = trial.call("put-many", jobs, trial.bulk_calls[0], _SIZE)["rate"]
    drained = drain(trial, Drain(workers=1, jobs=jobs, limit=limit, size=_SIZE, title="large, drain"))
    return replace(drained, values=values | drained.values)
