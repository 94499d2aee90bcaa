"""Replace every source of randomness and time of this machine with the seed."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

from server_jobs.domain import ids


@contextmanager
def determined(seed: int, time_ns: Callable[[], int]) -> Iterator[None]:
    """Inside this block, tokens, ids and jitter follow from the seed, and the times in ids from that clock."""
    entropy = random.Random(seed)
    state = random.getstate()
    patches: list[tuple[object, str, object]] = [
        (os, "urandom", entropy.randbytes),
        (random, "_urandom", entropy.randbytes),  # the source of `secrets` and `SystemRandom`
        (ids, "time", SimpleNamespace(time_ns=time_ns)),
        (ids, "_last", 0),
    ]
    before = [(module, name, getattr(module, name)) for module, name, _ in patches]
    random.seed(entropy.random())
    try:
        for module, name, value in patches:
            setattr(module, name, value)
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)
        random.setstate(state)
