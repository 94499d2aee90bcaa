"""A drain of jobs whose handlers wait, as for a reply over the network."""

from __future__ import annotations

from dataclasses import replace

from bench.figures.measurement import Measurement
from bench.project import WAIT_SECONDS, WAITING_AT_ONCE
from bench.trial import Trial

from .draining import Drain, drain

RATE = "drain, handlers wait"
OF_IDEAL = "drain, handlers wait, of ideal"
IDEAL = WAITING_AT_ONCE / WAIT_SECONDS
"""Jobs per second of a worker whose slots are never empty, and that needs no processor time."""


def drain_waiting(trial: Trial, wanted: Drain) -> Measurement:
    """Measure the rate, and its share of the ideal rate."""
    measured = drain(trial, replace(wanted, title=RATE))
    shares = {OF_IDEAL: measured.values[RATE] / IDEAL} if RATE in measured.values else {}
    return replace(measured, values={**measured.values, **shares})
