"""A self-managing PostgreSQL cluster: Patroni with etcd, and HAProxy in front."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bench.servers.postgres_server import free_port, programs_for, user_for
from tests.postgres_cluster import Node

Start = Callable[..., "subprocess.Popen[bytes]"]

PROGRAMS = ("etcd", "patroni", "haproxy")
_HELP = "these tests need Patroni, etcd and HAProxy: apt-get install -y patroni python3-etcd etcd-server haproxy"

# The shortest times that Patroni accepts: a leader that is silent for `ttl` is replaced.
_TIMES: dict[str, object] = {"ttl": 20, "loop_wait": 1, "retry_timeout": 3}


@dataclass
class Member:
    """One server with its Patroni."""

    node: Node
    api_port: int
    process: subprocess.Popen[bytes]

    def is_primary(self) -> bool:
        """Return whether its Patroni reports it as the primary."""
        return self._answers("primary")

    def is_synchronous(self) -> bool:
        """Return whether it is a standby with every acknowledged commit."""
        return self._answers("synchronous")

    def send(self, number: signal.Signals) -> None:
        """Send a signal to Patroni and to the server."""
        self.process.send_signal(number)
        self.node.send(number)

    def switch_over(self) -> None:
        """Ask the leader to hand over to another member."""
        body = json.dumps({"leader": f"node-{self.node.port}"}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.api_port}/switchover", data=body, method="POST")
        urllib.request.urlopen(request, timeout=30).close()

    def _answers(self, role: str) -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.api_port}/{role}", timeout=1).close()
        except OSError:
            return False
        return True


@dataclass
class PatroniCluster:
    """Members, and HAProxy's port for their primary."""

    members: list[Member] = field(default_factory=list)
    haproxy_port: int = 0

    @property
    def proxied_url(self) -> str:
        """Return the URL through HAProxy."""
        return f"postgresql://postgres@127.0.0.1:{self.haproxy_port}/postgres"

    @property
    def direct_url(self) -> str:
        """Return the URL that names every member."""
        return f"postgresql://postgres@{','.join(member.node.host for member in self.members)}/postgres"

    def primary(self, *, other_than: Member | None = None, seconds: float = 90) -> Member:
        """Return the primary, once there is one."""
        deadline = time.monotonic() + seconds
        while True:
            for member in self.members:
                if member is not other_than and member.is_primary():
                    return member
            assert time.monotonic() < deadline, "there is no primary"
            time.sleep(0.05)


@contextmanager
def patroni_cluster(members: int = 3) -> Iterator[PatroniCluster]:
    """Yield a running cluster with a synchronous standby, removed at the end. Fails if a program is missing."""
    if not all(map(shutil.which, PROGRAMS)):
        pytest.fail(_HELP, pytrace=False)
    folder = Path(tempfile.mkdtemp(prefix="server-jobs-patroni-"))
    folder.chmod(0o755)
    started: list[subprocess.Popen[bytes]] = []
    programs, user = (programs_for(folder) / "initdb").resolve().parent, user_for(folder)
    cluster = PatroniCluster()

    def start(name: str, *command: str) -> subprocess.Popen[bytes]:
        with (folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(command, user=user, cwd=folder, stdout=log, stderr=log)
        started.append(process)
        return process

    try:
        etcd = _start_etcd(folder, start)
        for _ in range(members):
            node, api = Node(folder, programs, user, free_port()), free_port()
            config = folder / f"{node.port}.json"
            config.write_text(json.dumps(_patroni_config(node, api, etcd)))
            cluster.members.append(Member(node, api, start(f"patroni-{node.port}", "patroni", str(config))))
        cluster.haproxy_port = free_port()
        (folder / "haproxy.cfg").write_text(_haproxy_config(cluster))
        start("haproxy", "haproxy", "-db", "-f", str(folder / "haproxy.cfg"))
        cluster.primary()
        _wait_for_standby(cluster)
        yield cluster
    finally:
        for process in started:
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()
        for member in cluster.members:
            member.node.end()
        shutil.rmtree(folder, ignore_errors=True)


def _start_etcd(folder: Path, start: Start) -> int:
    port, peers = free_port(), free_port()
    url, peer_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peers}"
    start(
        "etcd",
        *("etcd", "--data-dir", str(folder / "etcd"), "--listen-client-urls", url, "--advertise-client-urls", url),
        *("--listen-peer-urls", peer_url, "--initial-advertise-peer-urls", peer_url),
        *("--initial-cluster", f"default={peer_url}"),
    )
    return port


def _patroni_config(node: Node, api_port: int, etcd_port: int) -> dict[str, object]:
    parameters = {"fsync": "off", "shared_buffers": "16MB", "unix_socket_directories": str(node.folder)}
    users = {name: {"username": "postgres", "password": "unused"} for name in ("superuser", "replication")}
    settings: dict[str, object] = {**_TIMES, "synchronous_mode": True, "postgresql": {"use_pg_rewind": True}}
    return {
        "scope": "jobs",
        "name": f"node-{node.port}",
        "restapi": {"listen": f"127.0.0.1:{api_port}", "connect_address": f"127.0.0.1:{api_port}"},
        "etcd3": {"host": f"127.0.0.1:{etcd_port}"},
        "bootstrap": {
            "dcs": settings,
            "initdb": [{"encoding": "UTF8"}, {"locale": "C"}],
        },
        "postgresql": {
            "listen": node.host,
            "connect_address": node.host,
            "data_dir": str(node.data),
            "bin_dir": str(node.programs),
            "authentication": users,
            "parameters": parameters,
            "pgpass": str(node.folder / f"pgpass-{node.port}"),
            "pg_hba": ["local all all trust", "host all all all trust", "host replication all all trust"],
        },
    }


def _haproxy_config(cluster: PatroniCluster) -> str:
    servers = "\n".join(
        f"  server n{member.node.port} {member.node.host} check port {member.api_port}" for member in cluster.members
    )
    return f"""
defaults
  mode tcp
  timeout connect 2s
  timeout client 30m
  timeout server 30m
  timeout check 1s
listen primary
  bind 127.0.0.1:{cluster.haproxy_port}
  option httpchk OPTIONS /primary
  http-check expect status 200
  default-server inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
{servers}
"""


def _wait_for_standby(cluster: PatroniCluster) -> None:
    deadline = time.monotonic() + 90
    while not any(member.is_synchronous() for member in cluster.members):
        assert time.monotonic() < deadline, "there is no synchronous standby"
        time.sleep(0.2)
