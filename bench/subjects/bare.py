"""The bare driver doing the same by hand, the yardstick for what a store allows. Variants: postgresql-N and sqlite-N.

N jobs are claimed at a time under one token, and completed together, fenced by it, their results stored. No retries, no
leases, no check of params: nothing that a queue is for.
"""

from __future__ import annotations

from bench.subject import StoreKind, Subject

from .bare_postgresql import BarePostgresql
from .bare_sqlite import BareSqlite


def subject(variant: str, url: str) -> Subject:
    """As `bench.subject` says."""
    kind, _, batch = variant.partition("-")
    return (BarePostgresql if StoreKind(kind) is StoreKind.POSTGRESQL else BareSqlite)(url, int(batch))
