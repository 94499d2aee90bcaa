"""Databases that other packages bring, by the entry points of the group `server_jobs.databases`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from server_jobs.databases.kinds import KINDS
from server_jobs.plug_ins import seam

from tests.conformance.stores import create_sqlite_file
from tests.installed_package import install

KIND = """
from pathlib import Path
from server_jobs.databases.kinds import DatabaseKind
from server_jobs.databases.sqlite.database import SqliteDatabase

def opened(url):
    path = url.partition(":")[2]
    return SqliteDatabase(Path(path)) if path else None

KIND = DatabaseKind(schemes=("box", "sqlite"), example="box:jobs", open=opened, variable="BOX_DATABASE_URL")
"""
PROGRAM = """
import asyncio, sys
from pydantic import BaseModel
from server_jobs import connect, create_job_registry, define_job

class Params(BaseModel):
    pass

async def main():
    job = define_job(name="Job", params=Params, result=Params, handler=print)
    async with connect(create_job_registry().register(job), *sys.argv[1:]) as backend:
        await job.later({})
        print(type(backend.store.database).__name__, *[name for name in sys.modules if name in ("boxes", "crates")])

asyncio.run(main())
"""


def bring(packages: Path, package: str, module: str = KIND, **kinds: str) -> None:
    values = {name: f"{package}:{attribute}" for name, attribute in kinds.items()}
    install(packages, package, module, {"server_jobs.databases": values})


def connects(folder: Path, *url: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Enqueue a job in the database of this URL, where the packages in this folder are installed."""
    environment = {**os.environ, "PYTHONPATH": str(folder), **variables}
    environment.pop("SERVER_JOBS_DATABASE_URL", None)
    command = [sys.executable, "-c", PROGRAM, *url]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_a_package_brings_a_kind_of_database_for_a_scheme_and_a_variable(tmp_path: Path) -> None:
    bring(tmp_path, "boxes", box="KIND")
    create_sqlite_file(tmp_path / "jobs.sqlite3")

    url = f"box:{tmp_path}/jobs.sqlite3"
    assert connects(tmp_path, url).stdout == "SqliteDatabase boxes\n"
    assert connects(tmp_path, BOX_DATABASE_URL=url).stdout == "SqliteDatabase boxes\n"


def test_a_package_cannot_replace_a_kind_of_database(tmp_path: Path) -> None:
    bring(tmp_path, "boxes", box="KIND")
    create_sqlite_file(tmp_path / "server-jobs.sqlite3")

    assert connects(tmp_path, f"sqlite:///{tmp_path}/server-jobs.sqlite3").stdout == "SqliteDatabase\n"
    assert connects(tmp_path).stdout == "SqliteDatabase\n"


def test_a_url_that_no_plug_in_or_two_of_them_open_is_refused(tmp_path: Path) -> None:
    bring(tmp_path, "boxes", box="KIND")
    assert "'crate:jobs' is not supported; give one such as 'sqlite:///" in connects(tmp_path, "crate:jobs").stderr
    nothing = connects(tmp_path, "box:").stderr
    assert "the database URL 'box:' is not supported" in nothing
    assert "or 'box:jobs'" in nothing

    bring(tmp_path, "crates", crate="KIND")
    assert "two plug-ins open the database URL 'box:jobs': " in connects(tmp_path, "box:jobs").stderr


def test_a_value_of_another_type_is_refused(tmp_path: Path) -> None:
    bring(tmp_path, "boxes", box="opened")
    refused = connects(tmp_path, "box:jobs").stderr
    assert "the plug-in 'box' of boxes must be a `DatabaseKind`, and boxes:opened is of type function" in refused


def test_a_worker_of_cloudflare_searches_no_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "turso" in KINDS.names()
    monkeypatch.setattr(seam, "HAS_PACKAGES", False)
    assert KINDS.names() == []
    assert KINDS.find("turso") is None
