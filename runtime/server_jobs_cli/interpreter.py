"""Settings of the interpreter for a process of our own. A library must not change them."""

from __future__ import annotations

import gc
import sys

# A job makes dozens of objects and keeps none, and a large request makes half a million lists. With the default, the
# collector would scan the new objects every few jobs, and seven hundred times for such a request.
_OBJECTS_BETWEEN_COLLECTIONS = 20_000
# SQLite's thread needs the interpreter a few times for each batch. The event loop releases it after this interval. With
# the default interval, the two take turns instead of working at the same time.
_SECONDS_BETWEEN_SWITCHES = 0.0001


def set_up_interpreter() -> None:
    """Tune the interpreter of a process that only runs jobs or answers requests.

    Call it once, after all imports.
    """
    gc.collect()
    gc.freeze()  # modules, models and handlers stay in memory
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    sys.setswitchinterval(_SECONDS_BETWEEN_SWITCHES)
