"""The commands of the containers as processes, started and stopped as Kubernetes and KEDA would."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import psycopg
import pytest

from bench.servers.postgres_server import free_port
from tests.cli.started import Started
from tests.generator.databases import postgres_database
from tests.generator.projects import TemporaryProject, job_spec

from .test_manifests import project_with
from .validation import containers, documents

HANDLER = """\
import asyncio

from generated.models.nap import NapResult


async def handle(params, context):
    print("busy", flush=True)
    await asyncio.sleep(1.5)
    return NapResult()
"""


class Cluster:
    """One node: it runs the commands of containers in the folder of the project."""

    def __init__(self, project: TemporaryProject, database: str) -> None:
        self._project = project
        self._database = database
        self._port = free_port()
        self._containers = {str(one["name"]): one for one, _ in containers(project.path("generated/kubernetes"))}

    def run(self, *arguments: str) -> None:
        """Run a command of ours to its end."""
        done = self._popen(["server-jobs", *arguments])
        _, text = done.communicate()
        assert done.returncode == 0, text

    def migrate(self) -> None:
        """Run the container of the migration."""
        self.run(*self._containers["migrate"]["command"][1:])

    @contextmanager
    def worker(self) -> Iterator[Started]:
        """Run the container of a worker until the block ends."""
        command = [word.replace("9464", str(self._port)) for word in self._containers["worker"]["command"]]
        worker = Started(self._popen(command))
        try:
            yield worker
        finally:
            worker.kill()

    def probes(self) -> set[int]:
        """Return the statuses of the probes of the worker."""
        worker = self._containers["worker"]
        paths = [worker[probe]["httpGet"]["path"] for probe in ("readinessProbe", "livenessProbe")]
        return {urlopen(f"http://127.0.0.1:{self._port}{path}").status for path in paths}

    def demand(self) -> float:
        """Return the value that KEDA gets."""
        _, scaled = documents(self._project.path("generated/kubernetes/keda/scaling.yaml"))
        (trigger,) = scaled["spec"]["triggers"]
        with psycopg.connect(self._database) as connection:
            (row,) = connection.execute(str(trigger["metadata"]["query"]).encode())
        return float(row[0])

    def _popen(self, command: list[str]) -> subprocess.Popen[str]:
        program, *arguments = command
        assert program == "server-jobs"
        return subprocess.Popen(
            ["bash", "-c", 'exec "$@" >&2', "bash", sys.executable, "-m", "server_jobs_cli", *arguments],
            cwd=self._project.root,
            env={**os.environ, "SERVER_JOBS_DATABASE_URL": self._database},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    project = project_with(tmp_path, 'outputs = ["kubernetes"]', {"nap": job_spec("Nap")})
    project.generate()
    project.path("handlers/nap.py").write_text(HANDLER, encoding="utf-8")
    with postgres_database() as database:
        yield Cluster(project, database)


@pytest.mark.slow
def test_a_job_starts_a_worker_and_the_worker_may_go_once_it_has_ended(cluster: Cluster) -> None:
    cluster.migrate()
    assert cluster.demand() == 0

    cluster.run("enqueue", "Nap", "--params", "{}")
    assert cluster.demand() == 1

    with cluster.worker() as worker:
        worker.wait_for("busy")
        assert cluster.demand() == 1
        assert cluster.probes() == {200}

        # Its pod stops, and the job has time to finish.
        worker.signal()
        assert worker.wait() == 0, worker.text
    assert "completed" in worker.text
    assert cluster.demand() == 0
