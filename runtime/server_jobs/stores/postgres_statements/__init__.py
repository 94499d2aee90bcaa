"""The statements of `statements` for PostgreSQL, where many transactions run at the same time, with the same names.

The moves of the state machine exist here again; the conformance suite compares them with `domain.transitions`.

* Times are `timestamptz`. Durations, and times that are parameters, are milliseconds. `{now}` is the time at which the
  statement began. Casts are written CAST, because `:name` is a parameter.
* Every statement locks rows in one order, or skips locked rows, so that two batches cannot deadlock.
* No plan depends on statistics, which are outdated as soon as they are collected for a queue. The statements leave the
  planner no choice: an ordered index scan with a limit that it cannot know, look-ups by row location or primary key,
  and session settings that avoid sequential scans (`databases.postgres.driver.session_settings`).
"""

from __future__ import annotations

from .claim import *
from .common import *
from .read import *
