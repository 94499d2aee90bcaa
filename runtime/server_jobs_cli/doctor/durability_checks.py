"""Checks of `server-jobs doctor` on PostgreSQL: whether a committed job can be lost in a crash or a fail-over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from server_jobs.domain.interfaces import Database, Row, Statement
from server_jobs.errors import DatabaseError
from server_jobs.stores.sql.rows import integer_of

from .findings import Finding, ok, warn

# Any role may read the settings. Without `pg_monitor` it sees that a standby is connected, but not its state. The
# subscriber of a logical slot cannot take over.
_DURABILITY = Statement(
    """
SELECT current_user AS role, pg_is_in_recovery() AS is_standby, current_setting('fsync') AS fsync,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('synchronous_standby_names') AS names, count(*) AS standbys, count(sync_state) AS visible,
       count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')) AS synchronous
  FROM pg_stat_replication
 WHERE state IS DISTINCT FROM 'backup'
   AND pid NOT IN (SELECT active_pid FROM pg_replication_slots WHERE slot_type = 'logical' AND active_pid IS NOT NULL)
""",
    writes=False,
)


async def check_durability(database: Database) -> AsyncIterator[Finding]:
    """Report the settings under which a job may be lost although its enqueue was committed."""
    try:
        ((row,),) = await database.run((_DURABILITY, {}))
    except DatabaseError as error:
        yield warn(
            f"it is unknown whether committed jobs can be lost: {error}",
            "workers do not need to read `pg_stat_replication`; run this command with a role that may",
        )
        return
    if row["is_standby"]:
        return
    findings = [*_check_disk(row), *_check_standbys(row)]
    for finding in findings:
        yield finding


def _check_disk(row: Row) -> Iterator[Finding]:
    if row["fsync"] == "off":
        yield warn(
            "`fsync` is off: a crash of the server's host can lose committed jobs, and damage the database",
            "set `fsync = on`",
        )
    if row["synchronous_commit"] == "off":
        yield warn(
            f"`synchronous_commit` is off for the role {row['role']}: a crash of the server can lose the jobs of the "
            "last second, although they were committed",
            f"set it to `on`: `ALTER ROLE {row['role']} SET synchronous_commit = on`",
        )


def _check_standbys(row: Row) -> Iterator[Finding]:
    standbys, names, role = integer_of(row["standbys"]), row["names"], row["role"]
    if not names and not standbys:
        yield ok("no standby is connected: committed jobs are on the disk of this server alone")
    elif not names:
        follow = "standby follows" if standbys == 1 else "standbys follow"
        yield warn(
            f"{standbys} {follow} the primary, and none is synchronous: a fail-over can lose committed jobs",
            "with Patroni set `synchronous_mode`, otherwise `synchronous_standby_names`",
        )
    elif row["synchronous_commit"] in ("off", "local"):
        yield warn(
            f"`synchronous_commit` is {row['synchronous_commit']} for the role {role}: commits do not wait for the "
            "synchronous standby, and a fail-over can lose jobs",
            f"set it to `on`: `ALTER ROLE {role} SET synchronous_commit = on`",
        )
    elif not standbys or (row["visible"] and not row["synchronous"]):
        yield warn(
            f"commits wait for a synchronous standby, and none is connected: `synchronous_standby_names` is {names}",
            "start a standby with that name, or clear the setting, which lets a later fail-over lose jobs",
        )
    else:
        unseen = "" if row["visible"] else f" (the role {role} may not see which of them is connected)"
        yield ok(f"commits wait for a synchronous standby: {names}{unseen}")
