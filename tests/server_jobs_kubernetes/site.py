"""A project with jobs in pods, its database, its workers, and the cluster that runs the pods."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from server_jobs import JobRecord, JobStatus
from server_jobs.databases.postgres.database import PostgresDatabase
from server_jobs.domain.history import AttemptRecord
from server_jobs.stores.sql.store import SqlStore

from tests.cli.started import Started
from tests.conformance.postgres_databases import empty_database
from tests.generator.projects import leave_out_the_worker, make_project
from tests.prepared import prepared_program

from .cluster import WORKER, EmulatedCluster

T = TypeVar("T")

PATIENCE = 120.0

_HANDLER = """\
import os
import time
from pathlib import Path

from generated.models.{spec} import {name}Params, {name}Result
from server_jobs import JobContext


def handle(params: {name}Params, context: JobContext) -> {name}Result:
    with Path(os.environ["SHOP_JOURNAL"]).open("a") as journal:
        journal.write(f"{{context.job_id}} {{context.attempt}} {{os.environ['SHOP_MODE']}}\\n")
    context.log.info("at work")
    context.update_progress(40, "drawing")
    todo, _, rest = params.text.partition(" ")
    if todo == "hold":
        while not Path(rest).exists() and not context.cancelled:
            time.sleep(0.02)
    if todo == "sleep":
        time.sleep(float(rest))
    if todo == "fail":
        raise ValueError(rest)
    if todo == "fill":
        memory = b"x" * 400 * 1024**2
        time.sleep(60)
    return {name}Result(text=f"{{params.text}} in attempt {{context.attempt}}")
"""


def _spec(title: str, **options: object) -> dict[str, object]:
    text = {"type": "object", "additionalProperties": False, "required": ["text"]}
    text["properties"] = {"text": {"type": "string"}}
    retry = {"backoff": "fixed", "initial": "PT0.1S", "max": "PT0.1S"}
    return {
        "title": title,
        "x-job": {"runIn": "kubernetes", "maxAttempts": 2, "retry": retry, **options},
        "type": "object",
        "required": ["params", "result"],
        "properties": {"params": text, "result": text},
    }


SPECS = {
    "render": _spec("Render", resources={"requests": {"cpu": "1"}, "limits": {"memory": "300Mi"}}),
    "limited": _spec("Limited", concurrency={"limit": 2}),
    "timed": _spec("Timed", timeout="PT1S", maxAttempts=1),
    "strange": _spec("Strange", image="registry.example.com/nothing:1", maxAttempts=1),
    "huge": _spec("Huge", resources={"requests": {"cpu": "1000"}}, maxAttempts=1),
    "note": _spec("Note", runIn="worker"),
}


def make_site_project(root: Path) -> Path:
    """Generate the project, and write its handlers."""
    project = make_project(root, SPECS)
    leave_out_the_worker(project)
    project.generate()
    for spec, document in SPECS.items():
        text = _HANDLER.format(spec=spec, name=document["title"])
        project.path(f"handlers/{spec}.py").write_text(text, encoding="utf-8")
    return root


@dataclass
class Site:
    """The project in a cluster of its own. `options` are those of every worker."""

    project: Path
    folder: Path
    url: str
    cluster: EmulatedCluster
    options: Sequence[str] = ("--lease", "2s", "--poll-interval", "100ms", "--drain-timeout", "1s")
    _workers: list[Started] = field(default_factory=list[Started])

    def server_jobs(self, *arguments: str) -> str:
        """Run a command on the project and its database, and return what it prints."""
        command = [prepared_program(), *arguments]
        environment = _environment(self.folder) | {"SERVER_JOBS_DATABASE_URL": self.url}
        done = subprocess.run(command, cwd=self.project, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start_worker(
        self, *options: str, port: int | None = None, variables: Mapping[str, str] | None = None
    ) -> Started:
        """Start a worker. `port` is that of a proxy to the API server."""
        environment = _environment(self.folder) | {
            "SERVER_JOBS_DATABASE_URL": self.url,
            "KUBECONFIG": str(self.cluster.kubeconfig(port)),
            "JOBS_POD": WORKER,
            **(variables or {}),
        }
        command = ["server-jobs", "worker", *self.options, *options]
        process = subprocess.Popen(
            command, cwd=self.project, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        worker = Started(process)
        self._workers.append(worker)
        return worker

    def enqueue(self, job: str, text: str) -> str:
        """Enqueue a job, and return its id."""
        return self.server_jobs("enqueue", job, "--params", json.dumps({"text": text})).strip()

    def read(self, job_id: str) -> JobRecord:
        """Return a job."""
        record = self._with_store(lambda store: store.get(job_id))
        assert isinstance(record, JobRecord)
        return record

    def attempts(self, job_id: str) -> list[AttemptRecord]:
        """Return the attempts of a job that did not complete."""
        return list(self._with_store(lambda store: store.attempts(job_id)))

    def wait_for(self, job_id: str, *statuses: JobStatus) -> JobRecord:
        """Wait until the job is finished, or has one of these statuses."""
        deadline = time.monotonic() + PATIENCE
        while True:
            record = self.read(job_id)
            if record.status in statuses or (not statuses and record.status.is_finished):
                return record
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
        log = "".join(worker.text for worker in self._workers)
        raise AssertionError(f"{record.job_name} is {record.status}: {record.error}\n{log}")

    def wait_for_start(self, job_id: str, runs: int = 1) -> None:
        """Wait until its handler has been called that many times."""
        self.cluster.wait_until(lambda: len(self.runs(job_id)) >= runs, PATIENCE)

    def runs(self, job_id: str) -> list[str]:
        """Return a line for each call of the handler: the attempt, and the mode in the environment of the worker."""
        journal = self.folder / "journal"
        lines = journal.read_text().splitlines() if journal.exists() else []
        return [line.removeprefix(f"{job_id} ") for line in lines if line.startswith(job_id)]

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            worker.kill()

    def _with_store(self, read: Callable[[SqlStore], Coroutine[object, object, T]]) -> T:
        async def on_open_store() -> T:
            store = SqlStore(PostgresDatabase(self.url))
            await store.open()
            try:
                return await read(store)
            finally:
                await store.close()

        return asyncio.run(on_open_store())


def _environment(folder: Path) -> dict[str, str]:
    """Return the environment of the image: programs and Python, and no database."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "SHOP_JOURNAL": str(folder / "journal"), "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}


@contextmanager
def open_site(project: Path, folder: Path) -> Iterator[Site]:
    """Open a site on an empty database."""
    with empty_database() as url:
        secret = {"SERVER_JOBS_DATABASE_URL": url}
        with EmulatedCluster(folder, project, _environment(folder), secret) as cluster:
            site = Site(project, folder, url, cluster)
            try:
                yield site
            finally:
                site.close()
