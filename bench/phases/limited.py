"""Drains of jobs without limits, then of those with limits by key, if the subject has such."""

from __future__ import annotations

from dataclasses import replace

from bench.measurement import Measurement
from bench.trial import Trial

from .draining import Drain, drain

NO_LIMITS = "drain, no limits"
BY_CONCURRENCY = "drain, concurrency by key"
BY_RATE = "drain, rate by key"
_TITLES = (NO_LIMITS, BY_CONCURRENCY, BY_RATE)


def drain_with_limits(trial: Trial, wanted: Drain) -> Measurement:
    """Drain each kind of job."""
    values: dict[str, float] = {}
    measured = Measurement()
    for call, title in zip(trial.bulk_calls, _TITLES, strict=False):
        measured = drain(trial, replace(wanted, call=call, title=title))
        values |= measured.values
        if measured.exactness is not None and not measured.exactness.is_exact:
            break
    return replace(measured, values=values)
