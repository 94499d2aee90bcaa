"""Drains of a project some of whose jobs have limits: the jobs without limits, then those with limits by key."""

from __future__ import annotations

from dataclasses import replace

from bench.measurement import Measurement
from bench.trial import Trial

from .draining import Drain, drain

BESIDE_LIMITS = "drain beside limits"
BY_CONCURRENCY = "drain, concurrency by key"
BY_RATE = "drain, rate by key"
_CALLS = {
    "": BESIDE_LIMITS,
    "later_many, concurrency by key": BY_CONCURRENCY,
    "later_many, rate by key": BY_RATE,
}


def drain_with_limits(trial: Trial, wanted: Drain) -> Measurement:
    """Drain each kind of job."""
    values: dict[str, float] = {}
    measured = Measurement()
    for call, title in _CALLS.items():
        measured = drain(trial, replace(wanted, call=call, title=title))
        values |= measured.values
        if measured.exactness is not None and not measured.exactness.is_exact:
            break
    return replace(measured, values=values)
