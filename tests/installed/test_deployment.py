"""The commands of `examples/deployment` as real processes: probes, SIGTERM while a job runs, and the next worker.

As root, a container's command is process 1 of its own process namespace and runs as a user who cannot write, as in
Docker.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import pytest
import yaml

from bench.servers.postgres_server import free_port
from tests.cli.started import Started
from tests.docs.deployment import FOLDER, Command, commands, copy_files, instructions
from tests.docs.pages import ROOT, installs
from tests.generator.databases import postgres_database

from .environments import Environments
from .projects import PARAMS

_SECONDS = 10
"""Docker kills a container that long after SIGTERM."""
_BUSY = """\
import asyncio
import os
import time

if seconds := os.environ.get("SECONDS_TO_IMPORT"):
    print("importing", flush=True)
    time.sleep(float(seconds))


async def handle(params, context):
    print("busy")
    await asyncio.sleep(60)
"""
# The user may read everything, like the world-readable files of an image. Without the secure bit, access(2) denies it.
_AS_NOBODY = (
    "setpriv --reuid=65534 --regid=65534 --clear-groups --securebits=+no_setuid_fixup "
    "--bounding-set=-all,+dac_read_search "
    "--inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search"
)
_AS_PROCESS_1 = "unshare --pid --fork --mount-proc"
_DOCKERFILE = (FOLDER / "Dockerfile").read_text(encoding="utf-8")


class Container:
    """A running command of the image."""

    def __init__(self, host: Host, command: Command, variables: dict[str, str] | None = None) -> None:
        is_root = os.geteuid() == 0
        prefix = [*shlex.split(_AS_PROCESS_1), *shlex.split(_AS_NOBODY)] if is_root else []
        self.started = host.start([*prefix, *host.words(command)], command.variables | (variables or {}))
        self._is_namespace = is_root

    def signal(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Send a signal to the command, and return the time."""
        pid = self.started.process.pid
        if self._is_namespace:
            pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text())
        os.kill(pid, number)
        return time.monotonic()


class Host:
    """A machine with a project and a database, as the Dockerfile and the units find them."""

    def __init__(self, folder: Path, programs: Path, database: str) -> None:
        self._folder = folder
        self._programs = programs
        self._database = database
        self.port = free_port()
        self.processes: list[Started] = []

    def words(self, command: Command) -> list[str]:
        """Return the words of a command, with a program and a port of this machine."""
        return [str(self._programs / "server-jobs"), *(self._local(word) for word in command.words[1:])]

    def run(self, *arguments: str) -> str:
        """Run a command of ours to its end, and return its output."""
        return self._run(str(self._programs / "server-jobs"), *arguments)

    def enqueue(self) -> None:
        """Enqueue a job that runs for a minute."""
        self.run("enqueue", "SendEmail", "--params", PARAMS)

    def is_healthy(self) -> bool:
        """Return whether the health check of the image and both probes of Kubernetes succeed."""
        (check,) = [argument for name, argument in instructions(_DOCKERFILE) if name == "HEALTHCHECK"]
        words = json.loads(check[check.index("[") :])
        self._run(*(self._local(word) for word in words))
        return {urlopen(f"http://127.0.0.1:{self.port}{path}").status for path in _probes()} == {200}

    def start(self, words: list[str], variables: dict[str, str]) -> Started:
        """Start a program. Its stdout and stderr are one stream."""
        process = subprocess.Popen(
            ["bash", "-c", 'exec "$@" >&2', "bash", *words],
            cwd=self._folder,
            env=self._environment(variables),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(Started(process))
        return self.processes[-1]

    def _run(self, *words: str) -> str:
        done = subprocess.run(
            words, cwd=self._folder, env=self._environment({}), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
        return done.stdout

    def _environment(self, variables: dict[str, str]) -> dict[str, str]:
        image = dict(argument.split("=") for name, argument in instructions(_DOCKERFILE) if name == "ENV")
        path = os.pathsep.join([str(self._programs), os.environ["PATH"]])
        return {"PATH": path, **image, **variables, "SERVER_JOBS_DATABASE_URL": self._database}

    def _local(self, word: str) -> str:
        return word.replace("9464", str(self.port))


def _probes() -> list[str]:
    objects = yaml.safe_load_all((ROOT / "generated/kubernetes/workers.yaml").read_text(encoding="utf-8"))
    (deployment,) = [one for one in objects if one["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return [container[name]["httpGet"]["path"] for name in ("readinessProbe", "livenessProbe")]


def _only(name: str, word: str) -> Command:
    (found,) = [command for command in commands(FOLDER / name) if word in command.words]
    return found


WORKER = _only("compose.yaml", "worker")
UNIT = _only("systemd/mailer-worker.service", "worker")


def _kill(started: Started) -> None:
    """Kill a process, and its children first: `unshare` would leave process 1 of a namespace behind."""
    pid = started.process.pid
    with suppress(FileNotFoundError, ProcessLookupError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
    started.kill()


@pytest.fixture
def host(tmp_path: Path, project: Path, environments: Environments) -> Iterator[Host]:
    """Yield a machine after all steps of the Dockerfile and the migration."""
    (install,) = [line for name, line in instructions(_DOCKERFILE) if name == "RUN"]
    (packages,) = installs(install.replace("--no-cache-dir ", ""))
    folder = tmp_path / "srv"
    folder.mkdir()
    copy_files(_DOCKERFILE, project, folder)
    (folder / "handlers/send_email.py").write_text(_BUSY, encoding="utf-8")
    with postgres_database() as database:
        host = Host(folder, environments.programs(packages), database)
        try:
            migration = Container(host, _only("compose.yaml", "migrate")).started
            assert migration.wait() == 0, migration.text
            yield host
        finally:
            for process in host.processes:
                _kill(process)


def assert_next_worker_runs_the_job_at_once(host: Host) -> None:
    began = time.monotonic()
    worker = Container(host, WORKER)
    worker.started.wait_for("busy")
    # A lease has more than 30 of its 60 seconds left. A busy machine needs ten seconds to start a worker.
    assert time.monotonic() - began < 20, "it waited for the lease"
    assert '"attempt_count":1' in host.run("list", "--json").replace(" ", "")
    worker.signal()
    worker.started.wait_for("stopping")
    worker.signal()
    assert worker.started.wait() == 0


def test_a_container_stops_before_docker_kills_it(host: Host) -> None:
    host.enqueue()
    worker = Container(host, WORKER)
    worker.started.wait_for("busy")
    assert host.is_healthy()

    sent = worker.signal()

    assert worker.started.wait() == 0, worker.started.text
    print("seconds to stop:", round(time.monotonic() - sent, 1))
    assert time.monotonic() - sent < _SECONDS
    assert_next_worker_runs_the_job_at_once(host)


def test_several_processes_of_a_unit_stop_before_docker_would_kill_them(host: Host) -> None:
    host.run(*_only("systemd/mailer-tick.service", "tick").words[1:])
    host.enqueue()
    unit = host.start(host.words(UNIT), {"SERVER_JOBS_METRICS_PORT": str(host.port)})
    unit.wait_for("busy")

    sent = unit.signal()

    assert unit.wait() == 0, unit.text
    assert time.monotonic() - sent < _SECONDS
    assert_next_worker_runs_the_job_at_once(host)


@pytest.mark.slow
def test_sabotage_a_drain_timeout_above_dockers_time_leaves_the_job_to_its_lease(host: Host) -> None:
    host.enqueue()
    worker = Container(host, WORKER, {"SERVER_JOBS_DRAIN_TIMEOUT": "30s"})
    worker.started.wait_for("busy")
    worker.signal()
    with pytest.raises(subprocess.TimeoutExpired):
        worker.started.process.wait(_SECONDS)
    worker.signal(signal.SIGKILL)
    worker.started.wait()

    assert "running" in host.run("list", "--json")


def test_sigterm_ends_process_1_while_it_imports_handlers(host: Host) -> None:
    worker = Container(host, WORKER, {"SECONDS_TO_IMPORT": "30"})
    worker.started.wait_for("importing")
    sent = worker.signal()

    assert worker.started.wait() in (128 + signal.SIGTERM, -signal.SIGTERM)
    assert time.monotonic() - sent < _SECONDS / 2
