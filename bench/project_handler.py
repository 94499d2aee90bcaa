"""The measured part of the handlers of a project: a worker stops here at import until the harness says "go"."""

from __future__ import annotations

import os

from .starting_line import LEDGER, wait_for_go
from .subject import Ran


def _nothing(to: str, subject: str) -> None:
    del to, subject


ran: Ran = wait_for_go() if LEDGER in os.environ else _nothing
"""To be called by every handler, once a run. Does nothing in a process that is not a measured worker."""
