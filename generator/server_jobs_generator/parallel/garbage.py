"""How often Python looks for garbage. What a run reads, it keeps: to go through it again and again finds nothing."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_MANY = (50_000, 50, 50)


@contextmanager
def few_collections() -> Iterator[None]:
    """Meanwhile many times as many objects are made before Python looks for those that nobody needs."""
    before = gc.get_threshold()
    gc.set_threshold(*_MANY)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def no_collections() -> Iterator[None]:
    """Meanwhile Python does not look at all, and what was made counts as old: not to be gone through at once either."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.unfreeze()
        if was_on:
            gc.enable()
