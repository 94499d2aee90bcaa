"""Connections of other libraries for `later_in`, by the entry points of the group `server_jobs.transactions`."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from server_jobs.errors import InvalidOptionError
from server_jobs.transactions import joining

from tests.conformance.stores import create_sqlite_file
from tests.installed_package import install
from tests.runtime.example_jobs import text_job

LIBRARY = """
import sqlite3

class Account:
    def __init__(self):
        self.file, self.undone = sqlite3.connect("jobs.sqlite3"), []

    def ask(self, sql, values):
        return self.file.execute(sql, values).fetchall()

    def commit(self):
        self.file.commit()

    def rollback(self):
        self.file.rollback()
        for undo in self.undone:
            undo()

class Savings(Account):
    pass

ACCOUNTS = {"main": Account()}
"""
PLUG_IN = """
from server_jobs.transactions.kinds import TransactionKind
import ledger

def insert(account, storing):
    return storing.run("sqlite", "named", account.ask)

KIND = TransactionKind(
    insert=insert,
    named=lambda name: ledger.ACCOUNTS[name],
    on_rollback=lambda account, undo: account.undone.append(undo),
)
"""
PROGRAM = """
import sys, sqlite3
from pydantic import BaseModel
from server_jobs import define_job
from server_jobs.testing import FakeJob

class Params(BaseModel):
    number: int

job = define_job(name="Job", params=Params, result=Params, handler=lambda params: params)
"""


def bring(packages: Path, package: str = "ledger_jobs", name: str = "ledger") -> None:
    (packages / "ledger.py").write_text(LIBRARY, encoding="utf-8")
    install(packages, package, PLUG_IN, {"server_jobs.transactions": {name: f"{package}:KIND"}})
    create_sqlite_file(packages / "jobs.sqlite3")


def run(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    """Run a program where the packages in this folder are installed."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", PROGRAM + program]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


def stored(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "jobs.sqlite3")) as connection:
        return [params for (params,) in connection.execute("SELECT params FROM jobs ORDER BY id")]


def test_a_package_brings_the_connections_of_a_library_and_their_names(tmp_path: Path) -> None:
    bring(tmp_path)

    done = run(
        tmp_path,
        """
import ledger
class Own(ledger.Savings): pass
for account in ledger.Account(), Own():
    job.later_in(account, {"number": 1})
    account.commit()
    job.later_in(account, {"number": 2})
    account.rollback()
job.later_in("main", {"number": 3})
ledger.ACCOUNTS["main"].commit()
""",
    )

    assert done.returncode == 0, done.stderr
    assert stored(tmp_path) == ['{"number":1}', '{"number":1}', '{"number":3}']


def test_a_fake_withdraws_the_call_if_the_library_reports_the_rollback(tmp_path: Path) -> None:
    bring(tmp_path)

    done = run(
        tmp_path,
        """
import ledger
account = ledger.Account()
with FakeJob(job, result=Params(number=9)) as calls:
    job.later_in(account, {"number": 1})
    print(len(calls))
    account.rollback()
    print(len(calls))
""",
    )

    assert (done.stdout, stored(tmp_path)) == ("1\n0\n", []), done.stderr


def test_a_text_names_no_connection_of_a_library_that_is_not_imported(tmp_path: Path) -> None:
    bring(tmp_path)

    refused = run(tmp_path, 'job.later_in("main", {"number": 3})')

    assert (
        "or a connection of django, ledger, psycopg, asyncpg, sqlite3 or aiosqlite, not builtins.str" in refused.stderr
    )


def test_a_package_cannot_replace_a_library_of_the_core(tmp_path: Path) -> None:
    bring(tmp_path, name="sqlite3")

    done = run(
        tmp_path,
        """
with sqlite3.connect("jobs.sqlite3") as connection:
    job.later_in(connection, {"number": 4})
print("ledger" in sys.modules)
""",
    )

    assert (done.stdout, stored(tmp_path)) == ("False\n", ['{"number":4}']), done.stderr


def test_two_packages_for_one_library_and_a_value_of_another_type_are_refused(tmp_path: Path) -> None:
    bring(tmp_path)
    install(tmp_path, "other_jobs", "KIND = 1", {"server_jobs.transactions": {"ledger": "other_jobs:KIND"}})
    program = 'import ledger; job.later_in(ledger.Account(), {"number": 5})'
    assert "ledger_jobs and other_jobs both bring a plug-in 'ledger'" in run(tmp_path, program).stderr

    (tmp_path / "ledger_jobs-1.0.dist-info/entry_points.txt").unlink()
    refused = run(tmp_path, program).stderr
    assert (
        "the plug-in 'ledger' of other_jobs must be a `TransactionKind`, and other_jobs:KIND is of type int" in refused
    )


def test_no_package_is_searched_for_a_connection_that_the_core_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_sqlite_file(tmp_path / "jobs.sqlite3")
    job = text_job(lambda params, _: params)
    searches: list[str] = []

    def search() -> list[str]:
        searches.append("search")
        return []

    monkeypatch.setattr(joining, "_plug_ins", search)
    joining._kind_of.cache_clear()

    with closing(sqlite3.connect(tmp_path / "jobs.sqlite3")) as connection:
        assert job.later_in(connection, {"text": "hello"}).created
        assert searches == []
        with pytest.raises(InvalidOptionError, match="not pathlib"):
            job.later_in(tmp_path, {"text": "hello"})  # type: ignore[call-overload]  # on purpose
    assert searches == ["search"]  # for the message
