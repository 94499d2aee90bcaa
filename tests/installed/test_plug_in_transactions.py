"""The plug-in for transactions and settings of the documentation, in a wheel of its own beside the installed one."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from tests.docs.pages import ROOT, block
from tests.once import made_once

from .environments import Environments
from .projects import User

PAGE = ROOT / "docs/how-to/write-a-plug-in.md"
FILES = (("toml", "pyproject.toml"), ("python", "peewee_jobs.py"), ("python", "peewee_check.py"))


def wheel_of_the_page(folder: Path) -> Path:
    """Build the package of the page."""
    for language, path in FILES:
        (folder / path).write_text(block(PAGE, language, f"plug-ins/peewee/{path}"), encoding="utf-8")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "."]
    subprocess.run(build, cwd=folder, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def subjects(user: User) -> list[str]:
    """Return the subjects of the stored jobs."""
    with closing(sqlite3.connect(user.folder / "server-jobs.sqlite3")) as connection:
        return [subject for (subject,) in connection.execute("SELECT params ->> 'subject' FROM jobs ORDER BY id")]


def test_a_plug_in_written_from_the_page_joins_transactions_and_has_settings(
    environments: Environments, project: Path, shared: Path, tmp_path: Path
) -> None:
    programs = environments.programs("server-jobs[worker]", str(made_once(shared / "peewee", wheel_of_the_page)))
    user = User(Path(shutil.copytree(project, tmp_path / "project")), programs)
    (user.folder / "models.py").write_text(block(PAGE, "python", "plug-ins/project/models.py"), encoding="utf-8")
    settings = user.folder / "pyproject.toml"
    stated = settings.read_text(encoding="utf-8") + "\n" + block(PAGE, "toml", "plug-ins/project/pyproject.toml")
    settings.write_text(stated, encoding="utf-8")
    install, *commands = block(PAGE, "sh", "plug-in peewee").splitlines()
    assert install == "pip install ./peewee"

    printed = [user.types(command) for command in commands]

    assert "SendEmail" in printed[1]
    assert "models:db is the database of the jobs" in printed[2]
    assert subjects(user) == ["Order 17"]
    fails = "import models\nwith models.db.atomic() as block:\n    models.place('18')\n    block.rollback()"
    user.types(f'python -c "{fails}"')
    assert subjects(user) == ["Order 17"]

    elsewhere = user.types("server-jobs doctor --database sqlite:///other.sqlite3", status=1)
    assert "models:db is the database server-jobs.sqlite3, not the one of the jobs" in elsewhere
    for right, wrong, message in (
        ("jobs.peewee]", "jobs.pewee]", "[tool.server-jobs] has no key 'pewee'; did you mean 'peewee'?"),
        ("\ndatabase =", "\ndatabse =", "[tool.server-jobs.peewee] has no key 'databse'; did you mean 'database'?"),
        ('"models:db"', '"models.db"', "database must be a path such as 'models:db', not 'models.db'"),
    ):
        settings.write_text(stated.replace(right, wrong), encoding="utf-8")
        assert message in user.types("server-jobs list", status=3)


def test_the_plug_in_of_the_page_is_short() -> None:
    modules = [block(PAGE, language, f"plug-ins/peewee/{path}") for language, path in FILES if language == "python"]
    assert sum(len(module.splitlines()) for module in modules) < 60
