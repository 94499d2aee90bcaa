"""One host of the cluster of `examples/postgres-ha`, with its programs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from tests.postgres_cluster import send_to_server
from tests.routed_hosts import Host

_WITHOUT_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Member:
    """One host with etcd, Patroni, its PostgreSQL server, and PgBouncer."""

    host: Host
    folder: Path
    """It stands for `/`."""
    programs: Path
    user: str | None
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Return its address, which also is its name."""
        return self.host.address

    @property
    def config(self) -> Path:
        """Return the file of Patroni."""
        return self.folder / "patroni.yml"

    def start(self) -> None:
        """Start its programs, as after a boot."""
        self._start("etcd", "etcd", variables="etcd")
        self._start("patroni", "patroni", str(self.config))
        self._start("pgbouncer", "pgbouncer", str(self.folder / "pgbouncer.ini"))

    def kill(self) -> None:
        """Kill all of its programs at once, as a power cut does."""
        self.send_to_server(signal.SIGKILL)
        for process in self.processes.values():
            with suppress(ProcessLookupError):
                process.kill()
        for process in self.processes.values():
            process.wait()

    def send_to_server(self, number: signal.Signals) -> None:
        """Send a signal to every process of PostgreSQL."""
        send_to_server(self.folder / "var/lib/postgresql/jobs", number)

    def is_primary(self) -> bool:
        """Return whether its Patroni reports it as the primary."""
        try:
            self._ask("primary")
        except OSError:
            return False
        return True

    def standbys(self) -> list[str]:
        """Return the roles of the standbys that follow it."""
        members = cast("list[dict[str, str]]", json.loads(self._ask("cluster"))["members"])
        return [one["role"] for one in members if one["state"] == "streaming"]

    def switch_over(self) -> None:
        """Begin to hand over from this primary to a standby."""
        self._start(
            "patronictl", "patronictl", "-c", str(self.config), "switchover", "--leader", self.address, "--force"
        )

    def end_switchover(self) -> None:
        """Wait until the command of `switch_over` has succeeded."""
        assert self.processes.pop("patronictl").wait(60) == 0, self.log("patronictl")

    def change_config(self, setting: str, instead: str) -> None:
        """Replace a setting in the file of Patroni."""
        text = self.config.read_text(encoding="utf-8")
        assert setting in text
        self.config.write_text(text.replace(setting, instead), encoding="utf-8")

    def check_files(self) -> None:
        """Let Patroni and HAProxy check their files. Raises `CalledProcessError`, with the output, for a fault."""
        self.run("patroni", "--validate-config", "--ignore-listen-port", str(self.config))
        self.run("haproxy", "-c", "-f", str(self.folder / "haproxy.cfg"))

    def psql(self, *statements: str) -> None:
        """Execute statements there as the superuser, each in its own transaction."""
        commands = [argument for statement in statements for argument in ("-c", statement)]
        self.run(
            str(self.programs / "psql"), "-h", str(self.folder / "var/run/postgresql"), "-U", "postgres", *commands
        )

    def run(self, *command: str) -> None:
        """Run a program there to its end. Raises `CalledProcessError` if it fails."""
        subprocess.run(
            [*self.host.into(self.user), *command],
            env=self._environment("patroni_env.conf"),
            check=True,
            capture_output=True,
            cwd=self.folder,
            text=True,
        )

    def log(self, program: str) -> str:
        """Return the last output of a program."""
        return (self.folder / f"{program}.log").read_text(encoding="utf-8", errors="replace")[-4000:]

    def _start(self, name: str, *command: str, variables: str = "patroni_env.conf") -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [*self.host.into(self.user), *command],
                env=self._environment(variables),
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )

    def _environment(self, file: str) -> dict[str, str]:
        """Return the variables of a file, read as systemd does."""
        lines = (self.folder / file).read_text(encoding="utf-8").splitlines()
        variables = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
        return {**os.environ, "HOME": str(self.folder / "var/lib/postgresql"), **variables}

    def _ask(self, path: str) -> str:
        with _WITHOUT_PROXY.open(f"http://{self.address}:8008/{path}", timeout=1) as answer:
            return str(answer.read().decode())
