"""The time of `import server_jobs`."""

from __future__ import annotations

import subprocess
import sys

from bench.child_process import child_environment
from bench.figures.measurement import Measurement

_TIMED = "{before}; from time import perf_counter as now; began = now(); {timed}; print(now() - began)"
_PYDANTIC = "import pydantic"
_PYDANTIC_USED = "from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError"
IMPORT, EVERY_NAME = "import", "import of every name"
_MEASURES = {
    IMPORT: _TIMED.format(before=_PYDANTIC, timed="import server_jobs"),
    EVERY_NAME: _TIMED.format(before=_PYDANTIC_USED, timed="from server_jobs import *"),
}


def import_package(times: int) -> Measurement:
    """Measure `import server_jobs` and the import of every public name: milliseconds, the best of many new processes.

    The time of `import pydantic` does not count. Both packages import names at their first use. So a second measure
    imports all names of `server_jobs`, in a process that already used pydantic.
    """
    return Measurement(
        values={name: min(_milliseconds(code) for _ in range(times)) for name, code in _MEASURES.items()}
    )


def _milliseconds(code: str) -> float:
    finished = subprocess.run(
        [sys.executable, "-c", code], env=child_environment(), stdout=subprocess.PIPE, text=True, check=True
    )
    return float(finished.stdout) * 1000
