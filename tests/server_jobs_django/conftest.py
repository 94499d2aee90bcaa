"""The project: generated once for all processes of a test run, copied for each test."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from filelock import FileLock
from sqlalchemy import make_url

from tests.generator.databases import postgres_database
from tests.prepared import prepared_program, prepared_python
from tests.slow import slow

FOLDER = Path(__file__).parent
SOURCE = FOLDER / "project"
Settings = dict[str, object]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder for `make test-lowest`, which runs them all."""
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker("django")


@dataclass(frozen=True, slots=True)
class Shop:
    """A copy of the project, with settings in environment variables."""

    folder: Path
    database: Settings
    variables: dict[str, str] = field(default_factory=dict)

    def manage(self, *arguments: str, status: int | None = 0, **variables: str) -> str:
        """Run `manage.py` and return its output. Fails if its status differs; None allows every status."""
        return self.runs(prepared_python(), "manage.py", *arguments, status=status, **variables)

    def runs(self, *command: str, status: int | None = 0, **variables: str) -> str:
        """Run a program in the folder of the project."""
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("SERVER_JOBS_", "DJANGO_"))},
            "SHOP_DATABASES": json.dumps({"default": self.database}),
            **self.variables,
            **variables,
        }
        done = subprocess.run(
            command, cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert status is None or done.returncode == status, f"{' '.join(command)}\n{done.stdout}"
        return done.stdout

    def script(self, text: str, status: int = 0, **variables: str) -> str:
        """Run a script with Django set up."""
        program = f"import django\ndjango.setup()\n{text}"
        settings = {"DJANGO_SETTINGS_MODULE": "shop.settings"}
        return self.runs(prepared_python(), "-c", program, status=status, **settings, **variables)

    def generate(self) -> None:
        """Generate the code of the specs."""
        self.runs(prepared_program(), "generate")


def sqlite(path: Path) -> Settings:
    """Return the settings of a SQLite file."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        "OPTIONS": {"transaction_mode": "IMMEDIATE"},
    }


def postgresql(url: str) -> Settings:
    """Return the settings of a PostgreSQL database."""
    place = make_url(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": place.database,
        "USER": place.username or "",
        "PASSWORD": place.password or "",
        "HOST": place.host or place.query.get("host", ""),
        "PORT": str(place.port or ""),
    }


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Return the project with its generated code. Do not change it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "shop"
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            made = folder.with_suffix(".new")
            shutil.copytree(SOURCE, made, ignore=shutil.ignore_patterns("__pycache__"))
            Shop(made, {}).generate()
            made.rename(folder)
    return folder


@pytest.fixture
def project(generated: Path, tmp_path: Path) -> Path:
    """Return a copy of the project."""
    return Path(shutil.copytree(generated, tmp_path / "shop"))


@pytest.fixture(params=["sqlite", slow("postgresql")])
def shop(request: pytest.FixtureRequest, project: Path) -> Iterator[Shop]:
    """Yield the project on each kind of database, without tables."""
    if request.param == "sqlite":
        yield Shop(project, sqlite(project / "development.sqlite3"))
        return
    with postgres_database() as url:
        yield Shop(project, postgresql(url))


@pytest.fixture
def sqlite_shop(project: Path) -> Shop:
    """Return the project on SQLite, without tables."""
    return Shop(project, sqlite(project / "development.sqlite3"))


@pytest.fixture
def postgres_shop(project: Path) -> Iterator[Shop]:
    """Yield the project on PostgreSQL, without tables."""
    with postgres_database() as url:
        yield Shop(project, postgresql(url))
