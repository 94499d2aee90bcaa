"""The seeds of tests that draw with `random`."""

from __future__ import annotations

import os
import secrets


def chosen_seed() -> int:
    """Return a seed: the same in each run of `make test`, a new one in long forms and in `make explore`."""
    return secrets.randbelow(1_000_000) if {"SERVER_JOBS_EXPLORE", "SERVER_JOBS_LONG_TESTS"} & os.environ.keys() else 1
