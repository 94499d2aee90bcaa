"""The cluster of `examples/postgres-ha`, started with its files on hosts of their own, and HAProxy on this one."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from bench.servers.postgres_server import free_port, programs_for, user_for
from tests.patroni_member import Member
from tests.routed_hosts import Host, RoutedHosts, routed_hosts

T = TypeVar("T")

FILES = Path(__file__).parents[1] / "examples/postgres-ha"
NAMES = ("db1", "db2", "db3")
PROGRAMS = ("etcd", "patroni", "haproxy", "pgbouncer")

_HELP = "these tests need the programs of: apt-get install -y patroni python3-etcd etcd-server haproxy pgbouncer"
_PASSWORD = "change-me"


@dataclass
class PatroniCluster:
    """The members, their network, and HAProxy's port."""

    network: RoutedHosts
    members: list[Member]
    haproxy_port: int
    is_synchronous: bool

    def standbys_of(self, primary: Member) -> list[Host]:
        """Return the other hosts."""
        return [member.host for member in self.members if member is not primary]

    @property
    def pooled_url(self) -> str:
        """Return the URL through HAProxy and PgBouncer."""
        return f"postgresql://jobs:{_PASSWORD}@127.0.0.1:{self.haproxy_port}/shop"

    @property
    def direct_url(self) -> str:
        """Return the URL that names every server."""
        return self.url_of(*self.members)

    @staticmethod
    def url_of(*members: Member) -> str:
        """Return the URL that names these servers."""
        return f"postgresql://jobs:{_PASSWORD}@{','.join(f'{one.address}:5432' for one in members)}/shop"

    def primary(self, *, other_than: Member | None = None) -> Member:
        """Return the primary, once there is one."""

        def found() -> Member | None:
            return next((one for one in self.members if one is not other_than and one.is_primary()), None)

        return self._once(found, "there is no primary")

    def wait_until_whole(self) -> None:
        """Wait until two standbys follow the primary, of which one has every acknowledged commit."""
        roles = ["quorum_standby" if self.is_synchronous else "replica"] * (len(NAMES) - 1)

        def is_whole() -> bool:
            with suppress(OSError):
                return any(one.is_primary() and one.standbys() == roles for one in self.members)
            return False

        self._once(is_whole, "no two standbys follow a primary")

    def _once(self, condition: Callable[[], T | None], problem: str, seconds: float = 180) -> T:
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            logs = "\n".join(member.log("patroni") for member in self.members)
            assert time.monotonic() < deadline, f"{problem}:\n{logs}"
            time.sleep(0.05)
        return found


@contextmanager
def patroni_cluster(*, synchronous: bool = True) -> Iterator[PatroniCluster]:
    """Yield the running cluster with the database `shop`, removed at the end. Fails if a program is missing.

    If it is not synchronous, its files lack this setting.
    """
    if not all(map(shutil.which, PROGRAMS)):
        pytest.fail(_HELP, pytrace=False)
    folder = Path(tempfile.mkdtemp(prefix="server-jobs-patroni-"))
    folder.chmod(0o755)
    try:
        with routed_hosts(len(NAMES)) as network:
            yield from _cluster_in(folder, network, synchronous)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _cluster_in(folder: Path, network: RoutedHosts, synchronous: bool) -> Iterator[PatroniCluster]:
    programs = (programs_for(folder) / "initdb").resolve().parent
    addresses: dict[str, str] = dict(zip(NAMES, (host.address for host in network.hosts), strict=True))
    cluster = PatroniCluster(network, [], free_port(), synchronous)
    for name, host in zip(NAMES, network.hosts, strict=True):
        home = write_files(folder / name, name, addresses, programs)
        member = Member(host, home, programs, user_for(home))
        if not synchronous:
            member.change_config("synchronous_mode: quorum", "synchronous_mode: false")
        cluster.members.append(member)
    haproxy = folder / "haproxy.cfg"
    haproxy.write_text(
        _here((FILES / "haproxy.cfg").read_text(), addresses).replace(":5000", f":{cluster.haproxy_port}")
    )
    proxy = None
    try:
        for member in cluster.members:
            member.start()
        proxy = subprocess.Popen(["haproxy", "-db", "-f", str(haproxy)], stderr=subprocess.DEVNULL)
        cluster.wait_until_whole()
        role = f"CREATE ROLE jobs LOGIN PASSWORD '{_PASSWORD}'"
        cluster.primary().psql(role, "CREATE DATABASE shop OWNER jobs")
        yield cluster
    finally:
        if proxy is not None:
            proxy.kill()
            proxy.wait()
        for member in cluster.members:
            member.kill()


def write_files(folder: Path, name: str, addresses: Mapping[str, str], programs: Path) -> Path:
    """Write the files of one host, as their comments and the page say. Return the folder, which stands for `/`."""
    for part in ("lib/postgresql", "lib/etcd", "run/postgresql", "log/postgresql"):
        (folder / "var" / part).mkdir(parents=True)
    for file in FILES.iterdir():
        text = file.read_text(encoding="utf-8")
        if file.name in ("etcd", "patroni_env.conf"):
            # The line that names every host is the same on all of them.
            text = re.sub(r"^(?!.*db2).*", lambda line: line[0].replace("db1", name), text, flags=re.MULTILINE)
        text = _here(text, addresses).replace("/usr/lib/postgresql/17/bin", str(programs))
        (folder / file.name).write_text(text.replace("/var/", f"{folder}/var/"), encoding="utf-8")
    return folder


def _here(text: str, addresses: Mapping[str, str]) -> str:
    """Replace the names of hosts by their addresses."""
    return re.sub(r"\bdb[123]\b", lambda name: addresses[name[0]], text)
