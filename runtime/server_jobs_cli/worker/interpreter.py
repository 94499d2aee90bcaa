"""The interpreter of a process that does nothing but run jobs: what it may be set to, and a library may not."""

from __future__ import annotations

import gc
import sys

# A job makes dozens of objects and leaves none behind. By default they are looked through again every few jobs.
_OBJECTS_BETWEEN_COLLECTIONS = 20_000
# The thread that SQLite lives in asks for the interpreter a few times for each batch. The event loop, busy with jobs,
# lets go of it after this time: by default so late that both take turns instead of working at the same time.
_SECONDS_BETWEEN_SWITCHES = 0.0001


def set_up_for_jobs() -> None:
    """Set this process up for many short jobs. Call it once, when everything is imported."""
    gc.collect()
    gc.freeze()  # modules, models and handlers stay
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    sys.setswitchinterval(_SECONDS_BETWEEN_SWITCHES)
