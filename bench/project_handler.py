"""The measured part of a project's handlers. In a measured worker, the import waits until the harness says "go"."""

from __future__ import annotations

import os

from .starting_line import LEDGER, wait_for_go
from .subject import Ran


def _nothing(to: str, subject: str) -> None:
    del to, subject


ran: Ran = wait_for_go() if LEDGER in os.environ else _nothing
"""Call this once in each run of a handler. Outside a measured worker it does nothing."""
