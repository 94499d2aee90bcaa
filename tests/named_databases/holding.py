"""Let a database hold its name, as `server-jobs migrate` does."""

from __future__ import annotations

from server_jobs.named_databases import check_held_name
from server_jobs.stores.sql.store import SqlStore


async def hold_name(store: SqlStore, name: str, variable: str) -> None:
    """Let a database hold its name, if it has none. Raises `DatabaseError` if it has another one."""
    check_held_name(name, variable, await store.write_name(name))
