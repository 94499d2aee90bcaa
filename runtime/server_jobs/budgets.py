"""How long what runs in a Worker may take, unless it is told otherwise."""

from __future__ import annotations

from datetime import timedelta

TICK_BUDGET = timedelta(seconds=25)
AT_ONCE_BUDGET = timedelta(seconds=20)
"""For what is begun after the answer to a request: Cloudflare ends it 30 seconds after the answer."""
