"""Drains of jobs without limits, then of jobs with limits by key if the subject has them."""

from __future__ import annotations

from dataclasses import replace

from bench.figures.measurement import Measurement
from bench.trial import Trial

from .draining import Drain, drain

NO_LIMITS = "drain, no limits"
BY_CONCURRENCY = "drain, concurrency by key"
BY_RATE = "drain, rate by key"
_TITLES = (NO_LIMITS, BY_CONCURRENCY, BY_RATE)


def drain_with_limits(trial: Trial, wanted: Drain) -> Measurement:
    """Drain each kind of job. Stop after a drain that was not exact."""
    values: dict[str, float] = {}
    measured = Measurement()
    for call, title in zip(trial.bulk_calls, _TITLES, strict=False):
        measured = drain(trial, replace(wanted, call=call, title=title))
        values |= measured.values
        if measured.exactness is not None and not measured.exactness.is_exact:
            break
    return replace(measured, values=values)
