"""Checks of `server-jobs doctor` for PostgreSQL: dead rows, files that have grown, and sessions that delay vacuum."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta

from server_jobs.domain.clock import length
from server_jobs.domain.interfaces import Row, Statement, Value
from server_jobs.domain.table_names import TABLES
from server_jobs.errors import DatabaseError
from server_jobs.stores.sql.rows import integer_of, text_of, time_of
from server_jobs.stores.sql.store import SqlStore

from ..console.output import age
from .findings import Finding, ok, warn

# Autovacuum starts at 2,000 dead rows and 1 % of the table. This many mean that it does not, or cannot remove them.
_MANY_DEAD = 20_000
_LARGEST_DEAD_SHARE = 0.2
# A row has at most 2 KB in the file of its table, and an entry far less in the file of an index.
_LARGEST_ROW, _LARGEST_ENTRY = 8_000, 1_000
_LARGE_FILE = 64 * 1024 * 1024
_MEGABYTE = 1024 * 1024
_LONG_TRANSACTION = timedelta(minutes=5)
_OLD_SNAPSHOT = 1_000_000
"""Transactions since the snapshot of an active standby. A replay that lags for a moment is no problem."""

_TABLES = "\n UNION ALL\n".join(f"SELECT CAST(regclass '{table}' AS oid) AS id, '{table}' AS name" for table in TABLES)
_ROWS = f"""
SELECT ours.name AS name, n_live_tup AS live, n_dead_tup AS dead, {{now}} AS now,
       GREATEST(last_vacuum, last_autovacuum) AS vacuumed,
       current_setting('autovacuum') = 'on' AND current_setting('track_counts') = 'on' AS is_on,
       'autovacuum_enabled=false' = ANY(COALESCE(reloptions, ARRAY[]::text[])) AS is_off_here
  FROM ({_TABLES}) AS ours JOIN pg_class ON pg_class.oid = ours.id
  JOIN pg_stat_user_tables AS counted ON counted.relid = ours.id
 ORDER BY ours.name
"""  # noqa: S608
_FILES = f"""
SELECT pg_class.relname AS name, relkind = 'i' AS is_index, pg_relation_size(pg_class.oid) AS size,
       GREATEST(reltuples, 0) AS entries
  FROM pg_class
 WHERE oid IN (SELECT id FROM ({_TABLES}) AS ours)
    OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid IN (SELECT id FROM ({_TABLES}) AS ours))
 ORDER BY pg_class.relname
"""  # noqa: S608
_SESSIONS = """
SELECT pid, usename AS role, application_name AS application, state,
       COALESCE(extract(epoch FROM {now} - xact_start), 0) AS lasts
  FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
   AND COALESCE(backend_xmin, backend_xid) IS NOT NULL
 ORDER BY xact_start
"""
_SEES_ALL = "SELECT pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all, current_user AS role"
_PREPARED = """
SELECT gid, owner AS role, extract(epoch FROM {now} - prepared) AS lasts FROM pg_prepared_xacts
 WHERE database = current_database() ORDER BY prepared
"""
_SLOTS = "SELECT slot_name AS name, active, age(xmin) AS age FROM pg_replication_slots WHERE xmin IS NOT NULL"
_QUERIES: Mapping[str, str] = {
    "rows": _ROWS,
    "files": _FILES,
    "sessions": _SESSIONS,
    "rights": _SEES_ALL,
    "prepared": _PREPARED,
    "slots": _SLOTS,
}


async def check_vacuum(store: SqlStore) -> AsyncIterator[Finding]:
    """Check that vacuum removes dead rows. Servers without PostgreSQL's statistics get a warning."""
    nothing: Mapping[str, Value] = {}
    calls = [(Statement(sql.replace("{now}", store.database.now), writes=False), nothing) for sql in _QUERIES.values()]
    try:
        found = dict(zip(_QUERIES, await store.database.run(*calls), strict=True))
    except DatabaseError as error:
        yield warn(f"vacuum is not checked: {error}", "the statistics of PostgreSQL must be readable for that")
        return
    problems = [*_check_rows(found["rows"]), *_check_files(found["files"]), *_check_holders(found)]
    for finding in problems or [_all_well(found["rows"])]:
        yield finding
    (rights,) = found["rights"]
    if not rights["sees_all"]:
        yield warn(
            f"long transactions of other roles are not checked: {text_of(rights['role'])} does not see them",
            f"run `GRANT pg_read_all_stats TO {text_of(rights['role'])}` as a superuser; workers do not need this "
            "privilege",
        )


def _all_well(rows: Iterable[Row]) -> Finding:
    (jobs,) = (row for row in rows if row["name"] == "jobs")
    return ok(f"the table jobs has about {jobs['dead']} dead rows beside {jobs['live']} others, vacuumed {_when(jobs)}")


def _when(row: Row) -> str:
    moment = time_of(row["vacuumed"])
    return "never" if moment is None else age(moment, time_of(row["now"]))


def _check_rows(rows: Iterable[Row]) -> Iterator[Finding]:
    for row in rows:
        name, dead, live = text_of(row["name"]), integer_of(row["dead"]), integer_of(row["live"])
        if name == "jobs" and not row["is_on"]:
            yield warn(
                "autovacuum is off on this server: dead rows stay, and claims get slower",
                "set `autovacuum` and `track_counts` to on in postgresql.conf",
            )
        if row["is_off_here"]:
            yield warn(
                f"autovacuum is off for the table {name}: dead rows stay, and claims get slower",
                f"run `ALTER TABLE {name} RESET (autovacuum_enabled)`",
            )
        if dead > _MANY_DEAD and dead > live * _LARGEST_DEAD_SHARE:
            yield warn(
                f"the table {name} has about {dead} dead rows beside {live} others, vacuumed {_when(row)}",
                f"run `VACUUM {name}`. If the dead rows stay, an old transaction or a replication slot needs them: "
                "end it. If they come back, let autovacuum work faster: raise `autovacuum_vacuum_cost_limit`",
            )


def _check_files(rows: Iterable[Row]) -> Iterator[Finding]:
    for row in rows:
        name, size = text_of(row["name"]), integer_of(row["size"])
        entries = float(str(row["entries"]))
        if size > _LARGE_FILE and size > entries * (_LARGEST_ENTRY if row["is_index"] else _LARGEST_ROW):
            kind, advice = (
                ("index", f"`REINDEX INDEX CONCURRENTLY {name}` writes it anew while workers run")
                if row["is_index"]
                else ("table", f"new rows use the space again; `VACUUM FULL {name}` returns it, and stops all workers")
            )
            yield warn(f"the {kind} {name} has {size // _MEGABYTE} MB for about {entries:.0f} entries", advice)


def _check_holders(found: Mapping[str, Sequence[Row]]) -> Iterator[Finding]:
    """Report whatever keeps vacuum from removing rows that are dead."""
    for row in found["sessions"]:
        lasts = timedelta(seconds=float(str(row["lasts"])))
        if lasts > _LONG_TRANSACTION:
            yield warn(
                f"the transaction of process {row['pid']} (role {row['role']}, application {row['application']!r}, "
                f"{row['state']}) is open for {length(lasts)}: vacuum keeps every row that died since",
                f"end it there, or run `SELECT pg_terminate_backend({row['pid']})`. `ALTER ROLE ... SET "
                "idle_in_transaction_session_timeout` prevents it",
            )
    for row in found["prepared"]:
        lasts = timedelta(seconds=float(str(row["lasts"])))
        if lasts > _LONG_TRANSACTION:
            yield warn(
                f"the transaction {row['gid']!r} (role {row['role']}) is prepared for {length(lasts)}: vacuum keeps "
                "every row that died since",
                "run `COMMIT PREPARED` or `ROLLBACK PREPARED` with its name",
            )
    for row in found["slots"]:
        if not row["active"] or integer_of(row["age"]) > _OLD_SNAPSHOT:
            yield warn(
                f"the replication slot {row['name']} ({'active' if row['active'] else 'inactive'}) holds a snapshot "
                f"that is {row['age']} transactions old: vacuum keeps every row that died since",
                "end long queries on the standby. If the standby is gone, run `SELECT pg_drop_replication_slot(...)` "
                "with the name of the slot",
            )
