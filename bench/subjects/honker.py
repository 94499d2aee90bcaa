"""honker, a Rust core on SQLite: its own worker. Variant N: a loop over `claim_batch(N)` and `ack_batch`."""

from __future__ import annotations

from bench.subject import Subject

from .honker_loop import HonkerLoop
from .honker_worker import HonkerWorker


def subject(variant: str, url: str) -> Subject:
    """Return the subject. See `bench.subject`."""
    return HonkerLoop(url, int(variant)) if variant else HonkerWorker(url)
