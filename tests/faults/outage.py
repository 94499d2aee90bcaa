"""Workers log an outage once when it begins and once when it ends, for each of their tasks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_OF_ONE_JOB = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


def most_repeated(log: Sequence[str]) -> int:
    """Return how often a worker repeated its most frequent line, without lines about single jobs."""
    lines = [line for line in log if re.match(r"\d+ (WARNING|ERROR) ", line) and not _OF_ONE_JOB.search(line)]
    # Ignore the reason after the colon, which may differ each time.
    return max(Counter(line.split(": ", 1)[0] for line in lines).values(), default=0)
