"""The command line on the jobs of `shop_jobs` and a new SQLite file."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from click.testing import CliRunner, Result
from server_jobs import JobQuery, JobRecord
from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.domain.ids import new_job_id
from server_jobs.domain.interfaces import Statement, Value
from server_jobs.domain.record import NewJob
from server_jobs.stores.sql.store import SqlStore
from server_jobs_cli.program import program

T = TypeVar("T")

REGISTRY = "tests.cli.shop_jobs:registry"
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Shop:
    """A database, and the commands on it."""

    path: Path

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    def run(self, *arguments: str, stdin: str | None = None) -> Result:
        """Run a command in this process."""
        return run(*self._complete(arguments), stdin=stdin)

    def json(self, *arguments: str) -> object:
        """Return the JSON of a command with `--json`, which must succeed."""
        result = self.run(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command as a process."""
        command = [sys.executable, "-m", "server_jobs_cli", *self._complete(arguments)]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def enqueue(self, job: str, *arguments: str, text: str = "hello", **params: object) -> str:
        """Enqueue a job, and return its id."""
        result = self.run("enqueue", job, "--params", json.dumps({"text": text, **params}), *arguments)
        assert result.exit_code == 0, result.output
        return result.stdout.strip()

    def enqueue_many(self, job: str, number: int) -> None:
        """Enqueue that many jobs at once."""

        async def write(store: SqlStore) -> None:
            await store.insert(
                [NewJob(id=new_job_id(), params='{"text":"hello"}', job_name=job) for _ in range(number)]
            )

        self._with_store(write)

    def record(self, job_id: str) -> JobRecord:
        """Return a stored job."""
        return next(record for record in self.records() if record.id == job_id)

    def records(self) -> list[JobRecord]:
        """Return every stored job, newest first."""

        async def read(store: SqlStore) -> list[JobRecord]:
            return list(await store.list_jobs(JobQuery()))

        return self._with_store(read)

    def execute(self, sql: str, **parameters: Value) -> None:
        """Change rows directly in the database."""

        async def write(store: SqlStore) -> None:
            await store.database.run((Statement(sql, writes=True), parameters))

        self._with_store(write)

    def _with_store(self, work: Callable[[SqlStore], Coroutine[object, object, T]]) -> T:
        async def opened() -> T:
            store = SqlStore(SqliteDatabase(self.path))
            await store.open()
            try:
                return await work(store)
            finally:
                await store.close()

        return asyncio.run(opened())

    def _complete(self, arguments: tuple[str, ...]) -> list[str]:
        command, *rest = arguments
        return [command, "--project", str(self.path.parent), "--registry", REGISTRY, "--database", self.url, *rest]


def run(*arguments: str, stdin: str | None = None) -> Result:
    """Run any command in this process. A traceback fails the test."""
    result = CliRunner().invoke(program, arguments, prog_name="server-jobs", input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result
