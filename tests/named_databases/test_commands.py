"""The commands in a project with the databases `eu` and `us`: each serves one, by its name."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from server_jobs_cli.program import program

from tests.generator.projects import TemporaryProject, generated_project, job_spec, leave_out_the_worker
from tests.prepared import prepared_program

from .letters import NAMES, TENANTS, VARIABLES

REGISTRY = "tests.named_databases.shop:registry"
CHOOSE = "the project has the databases eu, us; choose one with --database NAME"


@dataclass(frozen=True)
class Fleet:
    """Two databases, and the commands on them."""

    urls: Mapping[str, str]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, **{VARIABLES[name]: url for name, url in self.urls.items()}}

    def run(self, *arguments: str, registry: str = REGISTRY, status: int = 0) -> Result:
        """Run a command in this process. It must end with this status."""
        registered = [*arguments, "--registry", registry] if registry else [*arguments]
        done = CliRunner(env=self.environment).invoke(program, registered, catch_exceptions=False)
        assert done.exit_code == status, done.output
        return done

    def enqueue(self, name: str, text: str = "hello") -> str:
        """Enqueue a letter of the tenant of a database, and return its id."""
        params = json.dumps({"tenant": TENANTS[name], "text": text})
        return self.run("enqueue", "Letter", "--params", params).stdout.strip()

    def ids(self, *arguments: str) -> set[str]:
        """Return the ids of the letters that `list` prints."""
        return {job["id"] for job in json.loads(self.run("list", "--json", "--job", "Letter", *arguments).stdout)}


@pytest.fixture
def fleet(urls: Mapping[str, str]) -> Fleet:
    return Fleet(urls)


def test_params_choose_the_database_of_an_enqueue_and_of_a_run(fleet: Fleet) -> None:
    ids = {name: fleet.enqueue(name) for name in NAMES}
    assert {name: fleet.ids("--database", name) for name in NAMES} == {name: {ids[name]} for name in NAMES}
    fleet.run("now", "Letter", "--params", json.dumps({"tenant": TENANTS["us"], "copies": [TENANTS["eu"]]}))
    assert len(fleet.ids("--database", "us", "--status", "completed")) == 1
    assert len(fleet.ids("--database", "eu")) == 2, "its handler enqueues into the other database"


def test_a_run_that_stores_nothing_still_finds_the_databases_of_its_copies(fleet: Fleet) -> None:
    params = json.dumps({"tenant": TENANTS["us"], "copies": [TENANTS["eu"]]})
    fleet.run("now", "Letter", "--no-persist", "--params", params)
    assert (len(fleet.ids("--database", "eu")), fleet.ids("--database", "us")) == (1, set())


def test_params_of_another_database_than_the_chosen_one_are_refused(fleet: Fleet) -> None:
    params = json.dumps({"tenant": TENANTS["us"]})
    refused = fleet.run("enqueue", "Letter", "--params", params, "--database", "eu", status=2)
    assert "this Letter belongs to the database 'us', not to 'eu'; enqueue it there" in refused.stderr
    assert fleet.ids("--database", "us") == set()


@pytest.mark.parametrize(
    "command",
    [
        ["list"],
        ["show", "0199d2a4-77a0-7cc1-a1f3-52a9b6a1c0de"],
        ["cancel", "0199d2a4-77a0-7cc1-a1f3-52a9b6a1c0de"],
        ["why", "0199d2a4-77a0-7cc1-a1f3-52a9b6a1c0de"],
        ["workers"],
        ["schedules"],
        ["pause", "default"],
        ["tick"],
        ["mcp"],
    ],
    ids=lambda command: command[0],
)
def test_a_command_about_one_database_names_them_if_none_is_chosen(fleet: Fleet, command: list[str]) -> None:
    assert CHOOSE in fleet.run(*command, status=2).stderr


def test_an_unknown_name_and_a_missing_variable_are_named(fleet: Fleet) -> None:
    assert f"no database is called 'ue'; {CHOOSE}" in fleet.run("list", "--database", "ue", status=2).stderr
    unset = Fleet({**fleet.urls, "us": ""})
    assert "US_TEST_DATABASE_URL is not set" in unset.run("list", "--database", "us", status=3).stderr
    assert unset.run("list", "--database", "eu").exit_code == 0


@pytest.mark.parametrize(
    "name",
    [
        "",
        "EU",
        "eu ",
        "../eu",
        "..%2Feu",
        "eu'; DROP TABLE jobs",
        "\N{LATIN SMALL LETTER E WITH MACRON}u",
        "x" * 50_000,
    ],
    ids=["empty", "capitals", "space", "path", "encoded path", "sql", "unicode", "long"],
)
def test_a_text_without_a_colon_is_the_name_of_a_database(
    fleet: Fleet, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (["list"], ["worker", "--until-empty"], ["enqueue", "CleanUp"]):
        refused = fleet.run(*command, "--database", name, status=2).stderr
        assert CHOOSE in refused
        assert "no database is called " in refused
        assert len(refused) < 300
    assert not (tmp_path / "server-jobs.sqlite3").exists(), "the default file"


def test_a_url_chooses_a_database_without_its_name(fleet: Fleet) -> None:
    job_id = fleet.enqueue("eu")
    assert fleet.ids("--database", fleet.urls["eu"]) == {job_id}


@pytest.mark.parametrize("wrong", [{"eu": "us", "us": "eu"}, {"eu": "eu", "us": "eu"}], ids=["swapped", "doubled"])
def test_a_wrong_url_is_refused_by_each_command(fleet: Fleet, wrong: Mapping[str, str]) -> None:
    mixed = Fleet({name: fleet.urls[found] for name, found in wrong.items()})
    message = f"US_TEST_DATABASE_URL leads to the database {wrong['us']!r}, not to 'us'; correct its URL"
    params = json.dumps({"tenant": TENANTS["us"]})
    for command in (
        ["list", "--database", "us"],
        ["enqueue", "Letter", "--params", params],
        ["tick", "--database", "us"],
        ["worker", "--until-empty", "--database", "us"],
    ):
        assert message in mixed.run(*command, status=3).stderr


@pytest.fixture
def project(tmp_path: Path) -> TemporaryProject:
    """A project that names `eu` and `us`."""
    names = "".join(f'{name} = "{variable}"\n' for name, variable in VARIABLES.items())
    made = generated_project(tmp_path / "project", {"send_email": job_spec("SendEmail", queue="mail")})
    shutil.rmtree(made.root / "generated")
    leave_out_the_worker(made)
    settings = made.root / "pyproject.toml"
    text = settings.read_text() if settings.exists() else ""
    settings.write_text(f"{text}\n[tool.server-jobs.databases]\n{names}")
    made.generate()
    return made


def in_project(project: TemporaryProject, fleet: Fleet, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, because this one may have imported another registry."""
    command = [prepared_program(), *arguments, "--project", str(project.root)]
    return subprocess.run(command, env=fleet.environment, capture_output=True, text=True, check=False)


def test_migrate_doctor_and_check_go_through_all_databases(project: TemporaryProject, tmp_path: Path) -> None:
    fleet = Fleet({name: f"sqlite:///{tmp_path / name}.sqlite3" for name in NAMES})
    migrated = in_project(project, fleet, "migrate")
    assert migrated.returncode == 0, migrated.stderr
    assert [line.split(",")[0] for line in migrated.stdout.splitlines() if line.startswith("migrating")] == [
        "migrating eu",
        "migrating us",
    ]
    again = json.loads(in_project(project, fleet, "migrate", "--json").stdout)
    assert [(one["name"], one["ran"]) for one in again["databases"]] == [("eu", []), ("us", [])]
    examined = in_project(project, fleet, "doctor")
    assert [f"the database {name}, sqlite" in examined.stdout for name in NAMES] == [True, True], examined.stdout
    assert "eu, us: 0 unfinished" in in_project(project, fleet, "check", "--database").stdout

    swapped = Fleet({"eu": fleet.urls["us"], "us": fleet.urls["eu"]})
    refused = in_project(project, swapped, "migrate")
    assert refused.returncode == 3
    for name, other in zip(NAMES, reversed(NAMES), strict=True):
        assert f"{VARIABLES[name]} leads to the database {other!r}, not to {name!r}" in refused.stderr
    wrong = in_project(project, swapped, "doctor")
    assert wrong.returncode == 1
    for name, other in zip(NAMES, reversed(NAMES), strict=True):
        assert f"fail  database {name}: " in wrong.stdout
        assert f"leads to the database '{other}', not to '{name}'" in wrong.stdout


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("postgresql://127.0.0.1:1/nowhere", "127.0.0.1"),
        ("", "EU_TEST_DATABASE_URL is not set"),
        ("mysql://localhost/shop", "mysql"),
    ],
    ids=["down", "unset", "unknown kind"],
)
def test_migrate_goes_on_after_a_database_that_fails_and_names_it_last(
    broken: str, reason: str, project: TemporaryProject, tmp_path: Path
) -> None:
    fleet = Fleet({"eu": broken, "us": f"sqlite:///{tmp_path / 'us'}.sqlite3"})
    done = in_project(project, fleet, "migrate")
    assert done.returncode == 3
    assert "us.sqlite3 is now at " in done.stdout
    *_, error, last = done.stderr.splitlines()
    assert error.startswith("Error: database eu: ")
    assert reason in error
    assert last.startswith("1 of 2 databases failed: eu; us is done. ")
    again = in_project(project, fleet, "migrate", "--json")
    failed, migrated = json.loads(again.stdout)["databases"]
    assert (again.returncode, failed["name"], reason in failed["error"]["message"]) == (3, "eu", True)
    assert (migrated["name"], migrated["ran"]) == ("us", [])


def test_migrate_says_once_that_nothing_is_generated(project: TemporaryProject, tmp_path: Path) -> None:
    fleet = Fleet({name: f"sqlite:///{tmp_path / name}.sqlite3" for name in NAMES})
    shutil.rmtree(project.path("generated/migrations"))
    refused = in_project(project, fleet, "migrate")
    assert (refused.returncode, refused.stdout) == (3, "")
    assert refused.stderr.startswith("Error: there are no migrations yet")
    assert refused.stderr.count("\n") == 1


def test_migrate_changes_no_table_in_a_database_of_another_name(project: TemporaryProject, tmp_path: Path) -> None:
    fleet = Fleet({"eu": f"sqlite:///{tmp_path / 'us'}.sqlite3", "us": "sqlite:///unused.sqlite3"})
    with closing(sqlite3.connect(tmp_path / "us.sqlite3")) as file:
        file.execute("CREATE TABLE server_jobs_database (name text NOT NULL PRIMARY KEY)")
        file.execute("INSERT INTO server_jobs_database VALUES ('us')")
        file.commit()
    refused = in_project(project, fleet, "migrate", "--database", "eu")
    assert (refused.returncode, "leads to the database 'us', not to 'eu'" in refused.stderr) == (3, True)
    with closing(sqlite3.connect(tmp_path / "us.sqlite3")) as file:
        assert file.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall() == [
            ("server_jobs_database",)
        ]


def test_migrate_names_one_database_alone(project: TemporaryProject, tmp_path: Path) -> None:
    fleet = Fleet({"eu": f"sqlite:///{tmp_path / 'eu'}.sqlite3", "us": "postgresql://127.0.0.1:1/nowhere"})
    assert in_project(project, fleet, "migrate", "--database", "eu").returncode == 0
    listed = in_project(project, fleet, "list", "--database", "eu")
    assert (listed.returncode, listed.stdout) == (0, "")
    examined = in_project(project, fleet, "doctor").stdout
    assert "the database eu, sqlite" in examined
    assert "fail  database us: " in examined
