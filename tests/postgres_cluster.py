"""PostgreSQL clusters for tests: a primary and standbys with streaming replication, killed, stopped and promoted."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench.servers.postgres_server import free_port, programs_for, run_as, user_for
from tests.routed_hosts import Host

_SETTINGS = "-c wal_sender_timeout=5s -c shared_buffers=16MB -c max_prepared_transactions=2"
_HBA = "host all all all trust\nhost replication all all trust\n"


@dataclass(frozen=True)
class Node:
    """One server of a cluster."""

    folder: Path
    programs: Path
    user: str | None
    port: int
    place: Host | None = None
    """The host that it runs on; None for this one."""

    @property
    def address(self) -> str:
        """Return its address."""
        return self.place.address if self.place is not None else "127.0.0.1"

    @property
    def host(self) -> str:
        """Return its part of a URL."""
        return f"{self.address}:{self.port}"

    @property
    def url(self) -> str:
        """Return the URL of this server alone."""
        return f"postgresql://postgres@{self.host}/postgres"

    @property
    def data(self) -> Path:
        """Return its data directory."""
        return self.folder / f"data-{self.port}"

    def start(self, settings: str = "") -> None:
        """Start it and wait until it answers."""
        options = f"-p {self.port} -k {self.folder} -c listen_addresses={self.address} {_SETTINGS} {settings}"
        self._control("-w", "-l", str(self.folder / f"log-{self.port}"), "-o", options, "start")

    def promote(self) -> None:
        """Promote a standby, and wait until it is the primary."""
        self._control("-w", "promote")

    def stop(self) -> None:
        """Stop it normally."""
        self._control("-w", "-m", "fast", "stop")

    def follow(self, primary: Node) -> None:
        """Make it a standby of that server from its next start on."""
        (self.data / "standby.signal").touch()
        with (self.data / "postgresql.auto.conf").open("a") as settings:
            settings.write(f"primary_conninfo = 'host={primary.address} port={primary.port} user=postgres'\n")

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all of its processes at once."""
        send_to_server(self.data, number)

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        """Run one statement there, and return its rows."""
        with psycopg.connect(self.url, autocommit=True, connect_timeout=30) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def end(self) -> None:
        """Kill it in any state."""
        self.send(signal.SIGKILL)

    def initialize(self) -> None:
        """Create an empty database cluster."""
        options = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        run_as([self.programs / "initdb", "-D", self.data, *options], self.user)
        with (self.data / "pg_hba.conf").open("a") as rules:
            rules.write(_HBA)
        with (self.data / "postgresql.conf").open("a") as settings:
            settings.write("fsync = off\n")

    def copy(self, primary: Node) -> None:
        """Copy a server that was never started, and become its standby."""
        run_as(["cp", "-r", primary.data, self.data], self.user)
        self.follow(primary)

    def _control(self, *arguments: str) -> None:
        command: list[str | Path] = [self.programs / "pg_ctl", "-D", self.data, *arguments]
        if self.place is None:
            run_as(command, self.user)
        else:
            run_as([*self.place.into(self.user), *command], None)


def send_to_server(data: Path, number: signal.Signals) -> None:
    """Send a signal to all processes of the server with that data directory, the postmaster first.

    Otherwise it would restart its children.
    """
    try:
        postmaster = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return
    children = [int(entry.name) for entry in Path("/proc").iterdir() if _parent(entry) == postmaster]
    for pid in (postmaster, *children):
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _parent(entry: Path) -> int | None:
    if not entry.name.isdigit():
        return None
    with suppress(OSError):
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    return None


@dataclass(frozen=True)
class Cluster:
    """A primary and its standbys, which have every commit before it is acknowledged."""

    primary: Node
    standbys: tuple[Node, ...]

    def url(self) -> str:
        """Return the URL that names all of them."""
        hosts = ",".join(node.host for node in (self.primary, *self.standbys))
        return f"postgresql://postgres@{hosts}/postgres"


@contextmanager
def streaming_cluster(standbys: int = 1, *, synchronous: bool = True, places: Sequence[Host] = ()) -> Iterator[Cluster]:
    """Yield a running cluster on these hosts, the primary on the first one; removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="server-jobs-cluster-"))
    programs, user = programs_for(folder), user_for(folder)
    where: Sequence[Host | None] = places or [None] * (1 + standbys)
    nodes = [Node(folder, programs, user, free_port(), place) for place in where]
    primary, rest = nodes[0], tuple(nodes[1:])
    try:
        primary.initialize()
        for node in rest:
            node.copy(primary)
        # Not in a file, which a standby would copy: once promoted, it has no standby itself.
        primary.start("-c synchronous_standby_names=*" if synchronous else "")
        for node in rest:
            node.start()
        _wait_for_standbys(primary, standbys)
        yield Cluster(primary, rest)
    finally:
        for node in nodes:
            node.end()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for_standbys(primary: Node, number: int) -> None:
    deadline = time.monotonic() + 30
    while primary.execute("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") != [(number,)]:
        assert time.monotonic() < deadline, "no standby streams"
        time.sleep(0.05)
