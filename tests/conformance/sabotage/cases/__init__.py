"""Protections of stores, one table for each subject: how to remove each protection, and the test that notices it."""

from __future__ import annotations

from . import (
    attempts,
    cancel_and_retry,
    due_jobs,
    history,
    late_jobs,
    leases,
    limits,
    pruning,
    schedules,
    tokens,
    unique_keys,
)

CASES = [
    *tokens.CASES,
    *attempts.CASES,
    *leases.CASES,
    *due_jobs.CASES,
    *limits.CASES,
    *unique_keys.CASES,
    *late_jobs.CASES,
    *cancel_and_retry.CASES,
    *schedules.CASES,
    *history.CASES,
    *pruning.CASES,
]
