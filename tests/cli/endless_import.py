"""A project whose import does not end in a process that a supervisor started."""

from __future__ import annotations

import os
import sys
import time

from .rough_jobs import registry as registry

if "--supervised" in sys.argv:
    os.write(2, b"importing\n")  # in one piece: `print` may write the end of the line after that of another process
    time.sleep(600)
