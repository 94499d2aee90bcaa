"""The SQL statements of the engine, for SQLite and its relatives: one statement per move of the state machine.

SQL cannot call `domain.lifecycle`, so the moves exist again here and in `postgres_statements`. The conformance suite
compares all three with the table in `domain.transitions`.

`{now}` stands for the time of the database, in milliseconds since the epoch. Lists travel as one JSON parameter: a
batch of any size is one statement, within the limit of 100 parameters of Cloudflare D1. Each write after a claim has
the condition that the claim is not stale, and returns the rows that it changed.
"""

from __future__ import annotations

from .claim import *
from .common import *
from .read import *
