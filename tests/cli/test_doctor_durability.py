"""`server-jobs doctor` on a replicated PostgreSQL server: when a committed job can be lost, and what stops vacuum."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import cast

import psycopg
import pytest
from psycopg.pq import ExecStatus, PGconn, abc
from server_jobs_cli.doctor import vacuum_checks

from tests.cli.shop import REGISTRY, run
from tests.faults.site import create_tables
from tests.postgres_cluster import Cluster, Node, streaming_cluster

Finding = tuple[str, str, str | None]

ASYNCHRONOUS = "1 standby follows the primary, and none is synchronous: a fail-over can lose committed jobs"


MISSING = "commits wait for a synchronous standby, and none is connected: `synchronous_standby_names` is another"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Yield a primary with an asynchronous standby, and a role that may read the jobs."""
    with streaming_cluster(synchronous=False) as cluster:
        create_tables(cluster.primary.url)
        change(
            cluster.primary,
            "ALTER SYSTEM SET fsync = on",
            "CREATE ROLE visitor LOGIN",
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO visitor",
        )
        yield cluster


@pytest.fixture
def primary(cluster: Cluster) -> Iterator[Node]:
    """Yield the primary, whose settings are reset after the test."""
    node = cluster.primary
    yield node
    change(
        node,
        "ALTER SYSTEM SET fsync = on",
        "ALTER SYSTEM RESET synchronous_standby_names",
        "ALTER ROLE postgres RESET synchronous_commit",
    )


def change(node: Node, *statements: str) -> None:
    """Change settings, and wait until the server uses them."""
    for statement in (*statements, "SELECT pg_reload_conf()", "SELECT pg_sleep(0.2)"):
        node.execute(statement)


def synchronize(node: Node, names: str = "*") -> None:
    """Let commits wait for a standby."""
    change(node, f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")


def examine(node: Node, role: str = "postgres") -> list[Finding]:
    """Return the findings about durability."""
    return findings(node, "standby", "fsync", "synchronous_commit", "committed", role=role)


def findings(node: Node, *words: str, role: str = "postgres") -> list[Finding]:
    """Return the findings with one of these words."""
    url = node.url.replace("postgres@", f"{role}@")
    result = run("doctor", "--json", "--project", "/", "--registry", REGISTRY, "--database", url)
    found = cast("list[dict[str, str]]", json.loads(result.stdout))
    return [
        (one["verdict"], one["message"], one["advice"])
        for one in found
        if any(word in one["message"] for word in words)
    ]


@contextmanager
def replicating(node: Node, database: str, command: str) -> Iterator[abc.PGconn]:
    """Start replication as a standby or a subscriber does, and end it."""
    connection = PGconn.connect(f"{node.url}?replication={database}".encode())
    try:
        connection.send_query(f"START_REPLICATION {command}".encode())
        assert cast("abc.PGresult", connection.get_result()).status == ExecStatus.COPY_BOTH
        yield connection
    finally:
        connection.finish()


@pytest.mark.parametrize("role", ["postgres", "visitor"])
def test_asynchronous_standbys_are_a_warning_also_for_a_role_without_rights(primary: Node, role: str) -> None:
    ((verdict, message, advice),) = examine(primary, role)
    assert (verdict, message) == ("warn", ASYNCHRONOUS)
    assert advice == "with Patroni set `synchronous_mode`, otherwise `synchronous_standby_names`"


def test_a_synchronous_standby_is_well(primary: Node) -> None:
    synchronize(primary)
    assert examine(primary) == [("ok", "commits wait for a synchronous standby: *", None)]


def test_a_role_without_rights_is_told_what_it_may_not_see(primary: Node) -> None:
    synchronize(primary)
    unseen = " (the role visitor may not see which of them is connected)"
    assert examine(primary, "visitor") == [("ok", f"commits wait for a synchronous standby: *{unseen}", None)]

    primary.execute("REVOKE SELECT ON pg_stat_replication FROM public")
    ((verdict, message, _),) = examine(primary, "visitor")
    primary.execute("GRANT SELECT ON pg_stat_replication TO public")
    assert (verdict, message.partition(":")[0]) == ("warn", "it is unknown whether committed jobs can be lost")


def test_commits_that_wait_for_a_missing_standby_are_a_warning(primary: Node) -> None:
    synchronize(primary, "another")
    ((verdict, message, _),) = examine(primary)
    assert (verdict, message) == ("warn", MISSING)


@pytest.mark.parametrize("value", ["local", "off"])
def test_commits_that_do_not_wait_for_the_standby_are_a_warning(primary: Node, value: str) -> None:
    synchronize(primary)
    change(primary, f"ALTER ROLE postgres SET synchronous_commit = {value}")
    verdict, message, advice = examine(primary)[-1]
    assert verdict == "warn"
    assert message.startswith(f"`synchronous_commit` is {value} for the role postgres: commits do not wait for the")
    assert advice == "set it to `on`: `ALTER ROLE postgres SET synchronous_commit = on`"


def test_settings_that_lose_commits_in_a_crash_are_a_warning(primary: Node) -> None:
    change(primary, "ALTER SYSTEM SET fsync = off", "ALTER ROLE postgres SET synchronous_commit = off")
    messages = [message for _, message, _ in examine(primary)]
    assert messages[0].startswith("`fsync` is off: a crash of the server's host can lose committed jobs")
    assert messages[1].startswith("`synchronous_commit` is off for the role postgres: a crash of the server can lose")


@pytest.mark.slow
def test_the_subscriber_of_a_logical_slot_is_no_standby(cluster: Cluster, primary: Node) -> None:
    with streaming_cluster(0, synchronous=False) as other:
        create_tables(other.primary.url)
        change(other.primary, "ALTER SYSTEM SET wal_level = logical", "ALTER SYSTEM SET fsync = on")
        other.primary.stop()
        other.primary.start()
        other.primary.execute("SELECT pg_create_logical_replication_slot('events', 'pgoutput')")
        subscription = "SLOT events LOGICAL 0/0 (proto_version '1', publication_names 'none')"
        with replicating(other.primary, "database", subscription):
            assert examine(other.primary) == [
                ("ok", "no standby is connected: committed jobs are on the disk of this server alone", None)
            ]
            synchronize(other.primary, "another")
            assert examine(other.primary)[0][1] == MISSING


def test_a_standby_itself_is_not_examined(cluster: Cluster) -> None:
    assert examine(cluster.standbys[0]) == []


def test_replication_slots_that_hold_rows_are_named(primary: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    primary.execute("SELECT pg_create_physical_replication_slot('north')")
    assert holders(primary) == []  # no standby has reported a snapshot
    ((transaction, position),) = primary.execute("SELECT pg_current_xact_id()::text, pg_current_wal_flush_lsn()::text")
    epoch, xmin = divmod(int(str(transaction)), 2**32)
    try:
        with replicating(primary, "true", f"SLOT north PHYSICAL {position}") as connection:
            # The message of a standby with `hot_standby_feedback`.
            connection.put_copy_data(struct.pack("!cqIIII", b"h", 0, xmin, epoch, 0, 0))
            connection.flush()
            wait_until(primary, "SELECT xmin IS NOT NULL FROM pg_replication_slots")
            assert holders(primary) == []
            monkeypatch.setattr(vacuum_checks, "_OLD_SNAPSHOT", -1)
            assert holders(primary)[0].startswith("the replication slot north (active) holds a snapshot that is ")
            monkeypatch.undo()
        wait_until(primary, "SELECT NOT active FROM pg_replication_slots")
        assert holders(primary)[0].startswith("the replication slot north (inactive) holds a snapshot that is ")
    finally:
        primary.execute("SELECT pg_drop_replication_slot('north')")


def test_prepared_transactions_that_hold_rows_are_named(primary: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    primary.execute("CREATE TABLE seats (id integer)")
    with psycopg.connect(primary.url, autocommit=True) as connection:
        connection.execute("BEGIN")
        connection.execute("INSERT INTO seats VALUES (1)")
        connection.execute("PREPARE TRANSACTION 'booking 7'")
        assert holders(primary) == []  # a new one
        monkeypatch.setattr(vacuum_checks, "_LONG_TRANSACTION", timedelta(0))
        (message,) = holders(primary)
        connection.execute("ROLLBACK PREPARED 'booking 7'")
    assert message.startswith("the transaction 'booking 7' (role postgres) is prepared for ")


def holders(node: Node) -> list[str]:
    """Return the warnings about whatever keeps dead rows."""
    found = findings(node, "vacuum keeps every row that died since")
    assert {verdict for verdict, _, _ in found} <= {"warn"}
    return [message for _, message, _ in found]


def wait_until(node: Node, condition: str) -> None:
    """Wait until the server answers true."""
    deadline = time.monotonic() + 10
    while node.execute(condition) != [(True,)]:
        assert time.monotonic() < deadline, condition
        time.sleep(0.02)
