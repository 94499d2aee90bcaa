"""What workers say of an outage: once when it begins and once when it is over, each of the things that they do."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_OF_ONE_JOB = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


def most_repeated(log: Sequence[str]) -> int:
    """How often the most frequent line of one worker stands there; what concerns a single job aside."""
    lines = [line for line in log if re.match(r"\d+ (WARNING|ERROR) ", line) and not _OF_ONE_JOB.search(line)]
    # The reason behind the colon may differ each time: what matters is how often the same thing is said.
    return max(Counter(line.split(": ", 1)[0] for line in lines).values(), default=0)
