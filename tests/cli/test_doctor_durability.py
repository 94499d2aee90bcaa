"""`server-jobs doctor` on a replicated PostgreSQL server: it says when a committed job can be lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import pytest
from psycopg.pq import ExecStatus, PGconn
from psycopg.pq.abc import PGresult

from tests.cli.shop import REGISTRY, run
from tests.faults.site import create_tables
from tests.postgres_cluster import Cluster, Node, streaming_cluster

Finding = tuple[str, str, str | None]

ASYNCHRONOUS = "1 standbys follow the primary, and none is synchronous: a fail-over can lose committed jobs"


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
    url = node.url.replace("postgres@", f"{role}@")
    result = run("doctor", "--json", "--project", "/", "--registry", REGISTRY, "--database", url)
    found = cast("list[dict[str, str]]", json.loads(result.stdout))
    words = ("standby", "fsync", "synchronous_commit", "committed")
    return [
        (one["verdict"], one["message"], one["advice"])
        for one in found
        if any(word in one["message"] for word in words)
    ]


@contextmanager
def subscribed(node: Node) -> Iterator[None]:
    """Subscribe to the logical slot `events` of a server."""
    connection = PGconn.connect(f"{node.url}?replication=database".encode())
    try:
        connection.send_query(
            b"START_REPLICATION SLOT events LOGICAL 0/0 (proto_version '1', publication_names 'none')"
        )
        assert cast("PGresult", connection.get_result()).status == ExecStatus.COPY_BOTH
        yield
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
        with subscribed(other.primary):
            assert examine(other.primary) == [
                ("ok", "no standby is connected: committed jobs are on the disk of this server alone", None)
            ]
            synchronize(other.primary, "another")
            assert examine(other.primary)[0][1] == MISSING


def test_a_standby_itself_is_not_examined(cluster: Cluster) -> None:
    assert examine(cluster.standbys[0]) == []
