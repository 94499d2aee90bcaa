"""The commands on four SQLite files and on four PostgreSQL schemas and databases, as a user runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result
from server_jobs_cli.program import program

from tests.cli.started import Started
from tests.conformance.postgres_databases import new_database
from tests.conformance.stores import create_sqlite_file
from tests.generator.projects import generated_project, job_spec

from .letters import SHARDS, TENANTS

ROOT = Path(__file__).parents[2]
REGISTRY = "tests.shards.letters:registry"


@dataclass(frozen=True)
class Fleet:
    """Four databases, and the commands on them."""

    urls: Mapping[str, str]

    @property
    def environment(self) -> dict[str, str]:
        shards = ",".join(f"{shard}=URL_{shard}" for shard in self.urls)
        urls = {f"URL_{shard}": url for shard, url in self.urls.items()}
        return {**os.environ, **urls, "SERVER_JOBS_DATABASE_URL": f"shards:{shards}"}

    def run(self, *arguments: str, registry: str = REGISTRY, status: int = 0) -> Result:
        """Run a command in this process. It must end with this status."""
        registered = [*arguments, "--registry", registry] if registry else [*arguments]
        done = CliRunner(env=self.environment).invoke(program, registered, catch_exceptions=False)
        assert done.exit_code == status, done.output
        return done

    def enqueue(self, shard: str, text: str = "hello") -> str:
        """Enqueue a letter for the tenant of a shard, and return its id."""
        params = json.dumps({"tenant": TENANTS[shard], "text": text})
        return self.run("enqueue", "Letter", "--params", params).stdout.strip()

    def ids(self, *arguments: str) -> set[str]:
        """Return the ids of letters that `list` prints. A schedule makes other jobs each minute."""
        return {job["id"] for job in json.loads(self.run("list", "--json", "--job", "Letter", *arguments).stdout)}


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """Four SQLite files."""
    urls = {shard: f"sqlite:///{tmp_path / shard}.sqlite3" for shard in SHARDS}
    for shard in SHARDS:
        create_sqlite_file(tmp_path / f"{shard}.sqlite3")
    return Fleet(urls)


@pytest.fixture
def postgres() -> Iterator[Fleet]:
    """Two databases and two schemas of a third one."""
    with ExitStack() as databases:
        first, second, third = (databases.enter_context(new_database()) for _ in range(3))
        with psycopg.connect(third, autocommit=True) as connection:
            for schema in ("sa", "us"):
                connection.execute(f"CREATE SCHEMA {schema}".encode())
                connection.execute(
                    "; ".join(
                        f"CREATE TABLE {schema}.{table} (LIKE public.{table} INCLUDING ALL)" for table in _tables(third)
                    ).encode()
                )
        schemas = {shard: f"{third}?options=-csearch_path%3D{shard}" for shard in ("sa", "us")}
        yield Fleet({"asia": first, "eu": second, **schemas})


def _tables(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return [str(name) for (name,) in found]


def works_as_one(fleet: Fleet) -> None:
    ids = {shard: fleet.enqueue(shard) for shard in SHARDS}
    assert fleet.ids() == {*ids.values()}
    assert {shard: fleet.ids("--shard", shard) for shard in SHARDS} == {shard: {ids[shard]} for shard in SHARDS}
    assert {job["shard"] for job in json.loads(fleet.run("list", "--json").stdout)} == {*SHARDS}
    assert f"{ids['us']}  us " in fleet.run("list").stdout
    assert "shard        us" in fleet.run("show", ids["us"]).stdout
    why = fleet.run("why", ids["sa"]).stdout
    assert f"Letter {ids['sa']} is pending in the shard sa:" in why
    assert "no worker" in why
    fleet.run("cancel", ids["eu"])
    fleet.run("worker", "--until-empty", "--shard", "us")
    assert fleet.ids("--status", "completed") == {ids["us"]}
    fleet.run("worker", "--until-empty")
    assert fleet.ids("--status", "completed") == {*ids.values()} - {ids["eu"]}
    fleet.run("retry", ids["eu"])
    fleet.run("tick")
    assert fleet.ids("--status", "completed") == {*ids.values()}
    assert "everywhere" in fleet.run("schedules").stdout


def test_the_commands_work_on_four_files_as_on_one(fleet: Fleet) -> None:
    works_as_one(fleet)


@pytest.mark.slow
def test_the_commands_work_on_databases_and_schemas_of_postgresql(postgres: Fleet) -> None:
    works_as_one(postgres)


def test_a_shard_that_is_missing_is_named_and_its_jobs_are_not_lost(fleet: Fleet, tmp_path: Path) -> None:
    elsewhere = Fleet({**fleet.urls, "us": "postgresql://127.0.0.1:1/nowhere"})
    there, away = elsewhere.enqueue("eu"), fleet.enqueue("us")
    listed = elsewhere.run("list", "--json")
    assert [job["id"] for job in json.loads(listed.stdout)] == [there]
    assert "the jobs of the shard us are missing: " in listed.stderr
    assert there in elsewhere.run("show", there).stdout
    assert "a shard does not answer: us: " in elsewhere.run("show", away, status=3).stderr
    assert "a shard does not answer: us: " in elsewhere.run("cancel", away, status=3).stderr
    checked = elsewhere.run("doctor", status=1).stdout
    assert "fail  shard us: " in checked
    assert "its jobs cannot be enqueued or run until then" in checked


def test_wrong_settings_are_named(fleet: Fleet) -> None:
    assert "no shard is called 'ue'; the shards are" in fleet.run("list", "--shard", "ue", status=2).stderr
    refused = fleet.run("enqueue", "Letter", "--params", '{"tenant":"acme"}', "--shard", "eu", status=2).stderr
    assert "here the params of a job choose its shard" in refused
    unset = Fleet({**fleet.urls, "us": ""})
    assert "URL_us is not set; it must have the URL of the shard 'us'" in unset.run("list", status=2).stderr
    one = fleet.run("list", "--database", fleet.urls["eu"], "--shard", "eu", status=2)
    assert "--shard needs a database URL with shards" in one.stderr


def test_a_worker_of_several_databases_refuses_jobs_in_pods(fleet: Fleet) -> None:
    refused = fleet.run("worker", "--until-empty", registry="tests.shards.letters:in_pods", status=2).stderr
    assert '"runIn": "kubernetes" of InPod does not work with several databases; use another runIn, or' in refused


def test_migrate_and_doctor_go_through_all_shards(tmp_path: Path) -> None:
    project = generated_project(tmp_path / "project", {"send_email": job_spec("SendEmail", queue="mail")})
    fleet = Fleet({shard: f"sqlite:///{tmp_path / shard}.sqlite3" for shard in ("eu", "us")})
    folder = ("--project", str(project.root))
    migrated = fleet.run("migrate", *folder, registry="")
    assert [line.split(",")[0] for line in migrated.stdout.splitlines() if line.startswith("migrating")] == [
        "migrating shard eu",
        "migrating shard us",
    ]
    again = json.loads(fleet.run("migrate", "--json", *folder, registry="").stdout)
    assert [(one["shard"], one["ran"]) for one in again["shards"]] == [("eu", []), ("us", [])]
    # A process of its own, because this one may have imported the registry of another project.
    doctor = [sys.executable, "-m", "server_jobs_cli", "doctor", *folder]
    checked = subprocess.run(doctor, env=fleet.environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    assert [f"the database shard {shard}, sqlite" in checked for shard in ("eu", "us")] == [True, True]


def test_a_worker_says_which_shard_is_away_and_works_on_the_others(fleet: Fleet) -> None:
    elsewhere = Fleet({**fleet.urls, "us": "postgresql://127.0.0.1:1/nowhere"})
    job_id = elsewhere.enqueue("eu")
    command = [sys.executable, "-m", "server_jobs_cli", "worker", "--registry", REGISTRY]
    worker = Started(subprocess.Popen(command, cwd=ROOT, env=elsewhere.environment, stderr=subprocess.PIPE, text=True))
    try:
        worker.wait_for_all("shard us cannot be used, trying again", f"{job_id}.* completed")
        worker.signal()
        assert worker.wait() == 0
    finally:
        worker.kill()
