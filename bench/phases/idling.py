"""The cost of an idle worker."""

from __future__ import annotations

import time

from bench.figures.measurement import Measurement
from bench.trial import Trial


def idle(trial: Trial, seconds: float) -> Measurement:
    """Measure the processor time of one worker on a store without waiting jobs, in percent of a core."""
    trial.begin()
    with trial.idle_worker(1) as workers:
        began, used = time.monotonic(), workers.usage().cpu_seconds
        time.sleep(seconds)
        used = workers.usage().cpu_seconds - used
        return Measurement(values={"idle": 100 * used / (time.monotonic() - began)})
