"""`django.tasks` on stored jobs, with Django 6: a project of its own, and Django's own tests of task backends."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.postgres import postgres_url
from tests.server_jobs_django.conftest import Settings, postgresql, sqlite

from .environments import Environments
from .projects import GENERATOR

INSTALL = '"server-jobs[django,generator,postgres]"'
SOURCE = Path(__file__).parent / "tasks_project"
NOT_THERE = Path("/no/such/folder/development.sqlite3")
NOT_APPLICABLE = {
    "DummyBackendTestCase.test_get_missing_result": "calls a blocking method in an event loop",
    "DummyBackendTestCase.test_refresh_result": "changes a result in the memory of the other backend",
    "DummyBackendTestCase.test_refresh_result_async": "changes a result in the memory of the other backend",
    "ImmediateBackendTestCase.test_cannot_get_result": "expects that results cannot be read",
    "ImmediateBackendTestCase.test_cannot_pass_run_after": "expects that run_after is refused",
    "ImmediateBackendTestCase.test_cannot_refresh_result": "expects that results cannot be read",
    "ImmediateBackendTestCase.test_using_correct_backend": "expects no OPTIONS, and `eager` is one",
    "TaskTestCase.test_get_missing_result": "calls a blocking method in an event loop",
    "TaskTestCase.test_refresh_result": "calls a blocking method in an event loop",
}
"""Tests of Django that fail with every backend that keeps results in a database."""

ENQUEUE = """
from shop.tasks import describe, gone, note, note_async, send_email, ship
slow = note.using(queue_name="slow")
for task in (note.enqueue("plain"), note_async.enqueue("async"), describe.enqueue(), gone.enqueue(), slow.enqueue("s"),
             send_email.enqueue("ada@example.com", subject="Hello"), ship.enqueue()):
    print(task.id)
"""
SHOW = """
import sys
from django.tasks import default_task_backend
for result in map(default_task_backend.get_result, sys.argv[1:]):
    print(json.dumps([result.task.name, result.status, len(result.worker_ids[0]), result.return_value]))
"""


@dataclass(frozen=True, slots=True)
class Shop:
    """A copy of the project, and an environment with Django 6."""

    folder: Path
    programs: Path
    database: Settings

    def runs(self, program: str, *arguments: str, status: int = 0, **variables: str) -> str:
        """Run a program of the environment, and return its output. Fails if its status differs."""
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("SERVER_JOBS_", "DJANGO_"))},
            "DJANGO_SETTINGS_MODULE": "shop.settings",
            "SHOP_DATABASE": json.dumps(self.database),
            **variables,
        }
        done = subprocess.run(
            [str(self.programs / program), *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == status, f"{program} {' '.join(arguments)}\n{done.stdout}"
        return done.stdout

    def manage(self, *arguments: str, status: int = 0, **variables: str) -> str:
        """Run `manage.py`."""
        return self.runs("python", "manage.py", *arguments, status=status, **variables)

    def script(self, text: str, *arguments: str) -> str:
        """Run a script with Django set up."""
        return self.runs("python", "-c", f"import json, django\ndjango.setup()\n{text}", *arguments)


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory, newer_environments: Environments) -> Shop:
    """Return the project with its generated code. Do not change it."""
    folder = Path(shutil.copytree(SOURCE, tmp_path_factory.mktemp("tasks") / "shop"))
    shop = Shop(folder, newer_environments.programs(GENERATOR, INSTALL), {})
    shop.runs("server-jobs", "generate", DJANGO_SETTINGS_MODULE="")
    return shop


def copy_of(generated: Shop, folder: Path, database: Settings) -> Shop:
    """Return a copy of the project with this database."""
    return Shop(Path(shutil.copytree(generated.folder, folder / "shop")), generated.programs, database)


@pytest.fixture
def shop(generated: Shop, tmp_path: Path) -> Shop:
    """Return the project on SQLite, without tables."""
    return copy_of(generated, tmp_path, sqlite(tmp_path / "development.sqlite3"))


@pytest.fixture(params=["sqlite", "postgresql"])
def tested(request: pytest.FixtureRequest, generated: Shop, tmp_path: Path) -> Iterator[Shop]:
    """Yield the project with a development database that does not exist: whatever reaches it fails."""
    if request.param == "sqlite":
        yield copy_of(generated, tmp_path, sqlite(NOT_THERE))
        return
    name = f"server_jobs_{uuid.uuid4().hex[:12]}"
    url = make_url(postgres_url()).set(database=name).render_as_string(hide_password=False)
    yield copy_of(generated, tmp_path, postgresql(url))


def test_tasks_take_part_in_the_tests_of_a_project(tested: Shop) -> None:
    told = tested.manage("test", "--noinput")

    (count,) = re.findall(r"Ran (\d+) tests", told)
    assert int(count) >= 36, told


def test_tasks_that_leave_the_test_are_noticed(generated: Shop, tmp_path: Path) -> None:
    """The sabotage: with a backend of their own, tasks try to reach the development database."""
    shop = copy_of(generated, tmp_path, sqlite(NOT_THERE))

    told = shop.manage(
        "test", "--noinput", "shop.tests.InATransaction", status=1, SHOP_SABOTAGE=f"sqlite:///{NOT_THERE}"
    )
    assert f"there is no SQLite database {NOT_THERE}" in told


def test_a_worker_runs_tasks_and_a_renamed_one_waits(shop: Shop) -> None:
    shop.manage("migrate", "--verbosity", "0")
    plain, awaited, described, gone, slow, sent, shipped = shop.script(ENQUEUE).split()
    code = shop.folder / "shop/tasks.py"
    code.write_text(code.read_text().replace("def gone", "def renamed"))

    told = shop.manage("jobs", "worker", "--until-empty")
    assert "6 completed, 0 failed attempts" in told
    shown = shop.script(SHOW, plain, awaited, described, slow, sent, shipped).splitlines()
    *results, (name, status, id_length, ship) = [json.loads(line) for line in shown]
    assert results == [
        ["note", "SUCCESSFUL", id_length, {"value": "plain", "in_main_thread": False}],
        ["note_async", "SUCCESSFUL", id_length, {"value": "async", "in_main_thread": True}],
        ["describe", "SUCCESSFUL", id_length, [described, 1, "RUNNING"]],
        ["note", "SUCCESSFUL", id_length, {"value": "s", "in_main_thread": False}],
        ["send_email", "SUCCESSFUL", id_length, {"sent": ["ada@example.com"]}],
    ]
    assert (name, status, type(ship["process"])) == ("ship", "SUCCESSFUL", int)
    assert id_length > 0
    assert "no such job is registered here" in shop.manage("jobs", "why", gone)
    assert "1 unfinished job is called 'shop.tasks.gone'" in shop.manage("jobs", "doctor")
    listed = shop.manage("jobs", "list", "--job", "shop.tasks.note", "--json")
    assert {one["id"] for one in json.loads(listed)} == {plain, slow}


def test_the_command_line_runs_tasks(shop: Shop) -> None:
    shop.manage("migrate", "--verbosity", "0")
    shop.script('from shop.tasks import note\nnote.using(queue_name="slow").enqueue(1)')

    assert "0 completed" in shop.runs("server-jobs", "worker", "--until-empty", "--queues", "default")
    assert "1 completed" in shop.runs("server-jobs", "worker", "--until-empty", "--queues", "slow")


def test_mistakes_in_the_settings_are_reported(shop: Shop) -> None:
    assert "no issues" in shop.manage("check")
    told = shop.manage("check", status=1, SHOP_TASKS='{"eagre": true}')
    assert "E009" in told
    assert "did you mean 'eager'?" in told
    assert "E009" in shop.manage("check", status=1, SHOP_TASKS='{"max_attempts": 0}')
    assert "E010" in shop.manage("check", "--deploy", "--database", "default", status=1)
    shop.manage("migrate", "--verbosity", "0")
    shop.manage("check", "--deploy", "--database", "default")
    settings = shop.folder / "shop/settings.py"
    settings.write_text(settings.read_text().replace('"server_jobs_django", ', ""))
    assert "E008" in shop.manage("check", status=1)


def test_djangos_own_tests_of_task_backends_pass(
    shop: Shop, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    tests = shop.folder / "tasks"
    shutil.copytree(django_tests(shop, pytestconfig), tests)
    (tests / "test_custom_backend.py").unlink()  # tests backends of its own
    for path in tests.glob("*.py"):
        path.write_text(adapted(path.read_text()))

    told = shop.manage("test", "--noinput", "tasks", status=1)
    (count,) = map(int, re.findall(r"Ran (\d+) tests", told))
    failed = set(re.findall(r"^(?:ERROR|FAIL): \w+ \(tasks\.\w+\.([\w.]+)\)", told, re.MULTILINE))
    assert failed == set(NOT_APPLICABLE), told
    with capsys.disabled():
        print(f"\nDjango's own tests: {count - len(failed)} of {count} apply and pass, {len(failed)} do not apply")
    assert count - len(failed) >= 60


def django_tests(shop: Shop, pytestconfig: pytest.Config) -> Path:
    """Return Django's folder `tests/tasks`, from the source archive of the installed version."""
    version = shop.runs("python", "-m", "django", "--version").strip()
    cache = pytestconfig.cache
    assert cache is not None
    folder = cache.mkdir("django") / version
    if not folder.exists():
        new = folder.with_name(f"{version}.{uuid.uuid4().hex}")
        pip = (sys.executable, "-m", "pip", "--python", str(shop.programs / "python"))
        options = ("--quiet", "--no-deps", "--no-binary", ":all:", "--dest", str(new), f"django=={version}")
        subprocess.run([*pip, "download", *options], check=True)
        (archive,) = new.glob("*.tar.gz")
        with tarfile.open(archive) as opened:
            opened.extractall(new, filter="data")
        new.rename(folder)
    (found,) = folder.glob("*/tests/tasks")
    return found


def adapted(text: str) -> str:
    """Return a test of Django with our backend, and with a database."""
    ours = "shop.listing.ListingBackend"
    immediate = "django.tasks.backends.immediate.ImmediateBackend"
    replaced: Mapping[str, str] = {
        f'"BACKEND": "{immediate}"': f'"BACKEND": "{ours}", "OPTIONS": {{"eager": True}}',
        "django.tasks.backends.dummy.DummyBackend": ours,
        "from django.tasks.backends.dummy import": "from shop.listing import ListingBackend as",
        "from django.tasks.backends.immediate import": "from shop.listing import ListingBackend as",
        "SimpleTestCase": "TestCase",
        "available_apps = []": "available_apps = None",
    }
    for old, new in replaced.items():
        text = text.replace(old, new)
    # The list of results is read from the database, which a coroutine awaits.
    coroutine = re.compile(r"^    async def .*?(?=^    (?:async )?def |^class |\Z)", re.MULTILINE | re.DOTALL)
    awaited = "await default_task_backend.aresults()"
    return coroutine.sub(lambda found: found[0].replace("default_task_backend.results", awaited), text)
