"""The parameters of a simulation, drawn from its seed at the start."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Mode(StrEnum):
    """SAFETY: failures never end, and no invariant breaks. LIVENESS: failures end, and then all work is done."""

    SAFETY = "safety"
    LIVENESS = "liveness"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Times are in seconds."""

    store: str
    workers: int
    clients: int
    has_ticker: bool
    lease: timedelta
    poll_interval: timedelta
    drain_timeout: timedelta
    concurrency: int
    haste: float
    """How many calls a client makes per second."""
    storm: float
    darkness: float
    """How long no machine runs at all after the storm."""
    calm: float
    restarts_when_calm: bool
    """Whether workers are restarted after the storm; otherwise renewals and outcomes still fail at times."""

    @classmethod
    def draw(cls, mode: Mode, rng: random.Random) -> Plan:
        """Draw a plan of this mode."""
        return cls(
            store=rng.choices(("memory", "sqlite"), (4, 1))[0],
            workers=rng.randint(1, 4),
            clients=rng.randint(1, 2),
            has_ticker=rng.random() < 0.3,
            lease=timedelta(seconds=rng.choice((2, 4, 8))),
            poll_interval=timedelta(seconds=rng.choice((0.5, 1, 2))),
            drain_timeout=timedelta(seconds=rng.choice((0, 1, 5))),
            concurrency=rng.choice((1, 2, 5)),
            haste=rng.choice((0.5, 1.5)),
            storm=rng.uniform(10, 40),
            darkness=rng.uniform(120, 400) if rng.random() < 0.3 else 0.0,
            calm=rng.uniform(5, 15) if mode is Mode.LIVENESS else 0.0,
            restarts_when_calm=rng.random() < 0.5,
        )
