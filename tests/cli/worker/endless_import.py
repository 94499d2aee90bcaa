"""A project whose import never ends in a process that a supervisor started."""

from __future__ import annotations

import os
import sys
import time

from tests.cli.worker.rough_jobs import registry as registry

if "--supervised" in sys.argv:
    # In one write: `print` may write the line break separately, after another process's line.
    os.write(2, b"importing\n")
    time.sleep(600)
