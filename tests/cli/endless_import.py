"""A project whose import does not end in a process that a supervisor started."""

from __future__ import annotations

import sys
import time

from .rough_jobs import registry as registry

if "--supervised" in sys.argv:
    print("importing", file=sys.stderr, flush=True)
    time.sleep(600)
