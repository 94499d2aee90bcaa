"""Each rule of the check for Cloudflare finds exactly its mistake, and the names in its tables exist."""

# ruff: noqa: E501  # a rule and both of its examples stand on one line, like the rows of a table

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

import pytest
from server_jobs import __version__
from server_jobs.project import Project
from server_jobs_outputs.cloudflare import rules
from server_jobs_outputs.cloudflare.project_lint import HARMLESS, MODULES, check_worker
from server_jobs_outputs.templating import plain_template

from tests.server_jobs_outputs.cloudflare.test_worker_configuration import LACKS

OF_OTHERS = {
    *("aiomysql", "aiosmtplib", "aiosqlite", "asyncpg", "eventlet", "gevent", "greenlet", "MySQLdb", "paramiko"),
    *("pg8000", "psycopg", "psycopg2", "pymongo", "pymysql", "pyodbc", "redis", "uvloop"),
}

GONE_SINCE_3_11 = {
    *("aifc", "asynchat", "asyncore", "audioop", "cgi", "cgitb", "chunk", "crypt", "distutils", "imghdr", "imp"),
    *("lib2to3", "mailcap", "msilib", "nis", "nntplib", "ossaudiodev", "pipes", "smtpd", "sndhdr", "spwd", "sunau"),
    *("telnetlib", "uu", "xdrlib"),
}

# A rule, a handler with one finding, and a handler without any.
EXAMPLES = [
    ("threads", "import threading", "from threading import Lock, local"),
    ("threads", "from threading import Lock, Thread", "import queue"),
    ("threads", "from concurrent.futures import ThreadPoolExecutor as Pool", "from concurrent.futures import Future"),
    ("threads", "import _thread", "import asyncio.threads"),
    ("threads", "import aiosqlite", "import sched"),
    ("processes", "from multiprocessing.pool import Pool", "multiprocessing = 1"),
    ("processes", "import subprocess", "from subprocess import CalledProcessError"),
    ("sockets", "from http import server", "from http import HTTPStatus"),
    ("sockets", "import smtplib", "import email.policy"),
    ("sockets", "from urllib.request import urlopen as get", "from urllib.parse import quote"),
    ("sockets", "from socket import *", "from socket import gaierror"),
    ("database-drivers", "def later():\n    import asyncpg.pool", "def later():\n    import server_jobs_cloudflare.databases.d1"),
    ("not-built", "import gevent.monkey", "import asyncio"),
    ("local-database", "import sqlite3", "from sqlite3 import Row"),
    ("missing-module", "import telnetlib", "import tomllib"),
    ("missing-module", "from .absent import x", "from . import job"),
    ("missing-module", "import handlers.absent", "import handlers.job"),
    ("missing-module", "from .... import x", "from . import x"),
    ("missing-package", "import alembic.config", "import pydantic.fields"),
    ("not-installed", "import exceptiongroup", "try:\n    import exceptiongroup\nexcept ImportError:\n    exceptiongroup = None"),
    ("missing-package", "from click import echo", "from workers import fetch\nfrom js import Object\nfrom pyodide.ffi import to_js"),
    ("missing-package", "if c:\n    import click", "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    import click"),
    ("missing-package", "try:\n    import json\nexcept OSError:\n    import click", "try:\n    import tomllib\nexcept ImportError:\n    import tomli as tomllib"),
    ("excluded", "from dateutil import parser", "from dateutil import relativedelta"),
    ("excluded", "import server_jobs.stores.memory", "import server_jobs.stores.sql\n\ntry:\n    import dateutil.rrule\nexcept ImportError:\n    dateutil = None"),
    ("excluded", "from server_jobs import Worker, tick", "from server_jobs import connect, tick"),
    ("excluded", "from anyio import sleep", "import starlette.responses"),
    ("not-uploaded", "import shared.words", "from . import other"),
    ("syntax", "def handle(", "def handle(): ..."),
    ("unreadable", "# coding: klingon", "# coding: utf-8"),
]  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Project:
    files = {
        "specs/job.json": "{}",
        "handlers/__init__.py": "",
        "handlers/other.py": "from pathlib import Path\n\nFOLDER = Path('a')\n",
        "shared/words.py": "",
        "generated/worker/pyproject.toml": f'[project]\ndependencies = ["server-jobs[dashboard]=={__version__}", "requests", "asyncpg"]\n',
        # requests needs idna, which another test covers.
        "generated/worker/wrangler.jsonc": plain_template("wrangler.jsonc").replace('"idna/**",', ""),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return Project(root=tmp_path)


def rules_broken(project: Project, text: str) -> list[str]:
    (project.root / "handlers/job.py").write_text(f"{text}\n", encoding="utf-8")
    return [finding.rule for finding in check_worker(project)]


@pytest.mark.parametrize(("rule", "bad", "good"), EXAMPLES)
def test_a_rule_finds_exactly_its_mistake(project: Project, rule: str, bad: str, good: str) -> None:
    assert rules_broken(project, bad) == [rule]
    assert rules_broken(project, good) == []


@pytest.mark.parametrize("text", ["import anyio", "import anyio.abc", "from anyio import sleep"])
def test_a_package_with_late_imports_needs_all_its_files(project: Project, text: str) -> None:
    path = project.root / "generated/worker/wrangler.jsonc"
    lines = path.read_text(encoding="utf-8").splitlines()
    of_anyio = [line for line in lines if line.strip().startswith('"anyio/')]
    path.write_text("\n".join(line for line in lines if line not in of_anyio[:-1]), encoding="utf-8")
    assert rules_broken(project, text) == ["excluded"]
    path.write_text("\n".join(line for line in lines if line not in of_anyio), encoding="utf-8")
    assert rules_broken(project, text) == []


def test_each_rule_has_an_example() -> None:
    names = {rule.name for rule in vars(rules).values() if isinstance(rule, rules.Rule)}
    assert {rule for rule, _, _ in EXAMPLES} | {rule for _, _, _, rule, _ in LACKS} == names


@pytest.mark.parametrize("name", sorted(MODULES))
def test_every_module_of_the_rules_exists_or_was_there_once(name: str) -> None:
    if MODULES[name] == rules.MISSING_MODULE:
        assert name in sys.stdlib_module_names or name in GONE_SINCE_3_11
    elif name.partition(".")[0] not in OF_OTHERS:
        assert importlib.util.find_spec(name) is not None


def test_packages_of_others_are_spelt_the_same_in_the_rules_and_here() -> None:
    named = {name.partition(".")[0] for name in MODULES if MODULES[name] != rules.MISSING_MODULE}
    assert named - sys.stdlib_module_names == OF_OTHERS


@pytest.mark.parametrize("name", sorted(HARMLESS))
def test_every_harmless_name_exists_in_a_module_of_the_rules(name: str) -> None:
    module, _, inner = name.rpartition(".")
    assert module in MODULES
    assert hasattr(importlib.import_module(module), inner)
