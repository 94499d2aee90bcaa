"""The same work by hand on a bare driver, as a yardstick for the store. Variants: postgresql-N and sqlite-N.

One statement claims N jobs under a token, and one completes them with their results, fenced by the token. There are no
retries, no leases and no validation of params.
"""

from __future__ import annotations

from bench.subject import StoreKind, Subject

from .bare_postgresql import BarePostgresql
from .bare_sqlite import BareSqlite


def subject(variant: str, url: str) -> Subject:
    """Return the subject. See `bench.subject`."""
    kind, _, batch = variant.partition("-")
    return (BarePostgresql if StoreKind(kind) is StoreKind.POSTGRESQL else BareSqlite)(url, int(batch))
