"""Each rule of the check for Cloudflare: what it finds, what it lets pass, and that the names it looks for exist."""

# ruff: noqa: E501  # a rule and both of its examples stand on one line, like the rows of a table

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from server_jobs import Job, __version__
from server_jobs.handle import JobHandle
from server_jobs.project import Project
from server_jobs_generator.python.template import render
from server_jobs_generator.worker_lint.code_lint import HARMLESS
from server_jobs_generator.worker_lint.names import AT_IMPORT, GONE, METHODS, METHODS_AT_IMPORT, MODULES, NEEDS, USES
from server_jobs_generator.worker_lint.project_lint import check_worker
from server_jobs_generator.worker_lint.rules import RULES

from .test_worker_configuration import LACKS

OF_OTHERS = {
    *("aiomysql", "aiosmtplib", "aiosqlite", "anyio", "asyncpg", "eventlet", "gevent", "greenlet", "httpx", "MySQLdb"),
    *("paramiko", "pg8000", "psycopg", "psycopg2", "pymongo", "pymysql", "pyodbc", "redis", "requests", "uvloop"),
}
SINCE_3_14 = {"uuid.uuid6", "uuid.uuid7", "uuid.uuid8"}
NOT_ON_WINDOWS = {"asyncio.open_unix_connection", "asyncio.start_unix_server", "os.fork", "os.forkpty"}

# A rule, a handler in which it finds one thing, and one with which nothing is wrong.
EXAMPLES = [
    ("threads", "import threading\n\nLOCK = threading.Lock()\nthreading.Thread(target=print)", "import threading\n\nLOCK = threading.Lock()"),
    ("threads", "from concurrent.futures import ThreadPoolExecutor as Pool\n\npool = Pool(2)", "from concurrent.futures import Future\n\nx = Future()"),
    ("threads", "import aiosqlite", "import sqlite3\n\nERROR = sqlite3.Error"),
    ("processes", "from multiprocessing.pool import Pool", "multiprocessing = 1"),
    ("processes", "import subprocess\n\n\nasync def handle(p, c):\n    subprocess.run(p)", "import subprocess\n\nERROR = subprocess.CalledProcessError"),
    ("processes", "import os\n\n\nasync def handle(p, c):\n    os.execvp(p, p)", "import os\n\n\nasync def handle(p, c):\n    os.getenv('A')"),
    ("servers", "from http import server", "from http import HTTPStatus"),
    ("servers", "import asyncio\n\n\nasync def handle(p, c):\n    await asyncio.start_server(print)", "import asyncio\n\n\nasync def handle(p, c):\n    await asyncio.sleep(1)"),
    ("sockets", "import smtplib", "import email.policy"),
    ("sockets", "from urllib.request import urlopen as get\n\n\nasync def handle(p, c):\n    get(p)", "from urllib.parse import quote\n\n\nasync def handle(p, c):\n    quote(p)"),
    ("sockets", "import socket\n\n\nasync def handle(p, c):\n    socket.socket()", "import socket\n\nERROR = socket.gaierror"),
    ("database-drivers", "def later():\n    import asyncpg.pool", "def later():\n    import server_jobs.databases.d1.database"),
    ("not-built", "import gevent.monkey", "import asyncio"),
    ("local-database", "import sqlite3\n\n\nasync def handle(p, c):\n    sqlite3.connect('x')", "import sqlite3\n\n\nasync def handle(p, c):\n    sqlite3.connect(':memory:')"),
    ("files", "async def handle(p, c):\n    open(p)", "async def handle(p, c):\n    p.open()"),
    ("files", "from pathlib import Path\n\n\nasync def handle(p, c):\n    Path(p).write_bytes(b'')", "from pathlib import Path\n\n\nasync def handle(p, c):\n    Path(p).name"),
    ("files", "from pathlib import Path as P\n\nROOT: P = P.cwd()\n\n\nasync def handle(p, c):\n    (ROOT / p).parent.resolve().open()", "async def handle(p, c):\n    p.folder.write_text('')\n    (p / 'a').open()\n    p.mkdir()"),
    ("files", "import pathlib\n\n\ndef save(p: pathlib.Path | None):\n    p and p.write_text('')", "class Path:\n    def write_text(self, text): ...\n\n\nasync def handle(p: Path, c):\n    Path().write_text('')\n    p.write_text('')"),
    ("files", "from .other import FOLDER\n\n\nasync def handle(p, c):\n    file = FOLDER / p\n    file.read_text()", "from pathlib import Path\n\n\nasync def handle(p, c):\n    file = Path(p)\n    file = p.file\n    file.read_text()"),
    ("files", "from importlib.resources import files\n\n\nasync def handle(p, c):\n    files(__package__).joinpath('a').read_text()", "from pathlib import PurePath\n\n\nasync def handle(p, c):\n    file = PurePath(p)\n    file.with_suffix('.b').name.write_text()"),
    ("blocking", "import time\n\n\nasync def handle(p, c):\n    time.sleep(1)", "import time\n\n\nasync def handle(p, c):\n    time.time()"),
    ("blocking", "async def handle(p, c):\n    await c.loop.run_in_executor(None, print)", "async def handle(p, c):\n    await c.loop.run_in_executor"),
    ("terminal", "async def handle(p, c):\n    input('?')", "async def handle(input, c):\n    input('?')"),
    ("sync-calls", "async def handle(p, c):\n    p.Job.later_sync({})", "async def handle(p, c):\n    await p.Job.later({})"),
    ("entropy-at-import", "import uuid\n\nID = uuid.uuid4()", "import uuid\n\nID = uuid.uuid5(uuid.NAMESPACE_URL, 'x')"),
    ("entropy-at-import", "import random\n\nDICE = random.Random()", "import random\n\nDICE = random.Random(5)\nDICE.random()"),
    ("entropy-at-import", "import secrets\n\n\nclass A:\n    key: str = secrets.token_hex()", "import secrets\n\n\nclass A:\n    key = secrets.token_hex"),
    ("entropy-at-import", "import os\n\n\ndef f(key=os.urandom(8)): ...", "import os\n\n\ndef f(key=lambda: os.urandom(8)): ..."),
    ("entropy-at-import", "import random\n\n\n@print(random.random())\ndef f(): ...", "import random\n\n\n@print\ndef f():\n    random.random()"),
    ("entropy-at-import", "import random\n\nALL = {n: random.random() for n in 'ab'}", "import random\n\nALL = {n: random.random for n in 'ab'}"),
    ("entropy-at-import", "from uuid import uuid4\n\n\ndef key():\n    return uuid4()\n\n\nKEY = key()", "from uuid import uuid4\n\n\ndef key():\n    return uuid4\n\n\nKEY = key()"),
    ("entropy-at-import", "from uuid import uuid4\n\n\nclass A:\n    def __init__(self):\n        self.id = uuid4()\n\n\nKEY = A()", "from uuid import uuid4\n\n\nclass A:\n    def make(self):\n        self.id = uuid4()\n\n\nKEY = A()"),
    ("clock-at-import", "from datetime import date\n\nDAY = date.today()", "from datetime import date\n\nDAY = date(2026, 1, 1)"),
    ("clock-at-import", "import time\n\nYEAR = time.localtime().tm_year", "import time\n\nYEAR = time.localtime(0).tm_year"),
    ("clock-at-import", "import time\nfrom dataclasses import dataclass, field\n\n\n@dataclass\nclass A:\n    at: float = time.time()", "import time\nfrom dataclasses import dataclass, field\n\n\n@dataclass\nclass A:\n    at: float = field(default_factory=time.time)"),
    ("io-at-import", "TEXT = open('x').name", "def text():\n    return None"),
    ("io-at-import", "import requests\n\nTEXT = requests.get('x')", "import requests\n\n\nasync def handle(p, c):\n    requests.get('x')"),
    ("io-at-import", "from pathlib import Path\n\nTEXT = Path(__file__).parent.joinpath('a').read_text()", "from pathlib import Path\n\nTEXT = Path(__file__).parent.joinpath('a')"),
    ("loop-at-import", "import asyncio\n\nasyncio.run(print())", "import asyncio\n\n\nasync def handle(p, c):\n    asyncio.create_task(c.x())"),
    ("plain-handler", "def handle(p, c): ...", "async def handle(p, c): ..."),
    ("missing-module", "import telnetlib", "import tomllib"),
    ("missing-module", "from .absent import x", "from . import job"),
    ("missing-module", "import handlers.absent", "import handlers.job"),
    ("missing-module", "from .... import x", "from . import x"),
    ("missing-package", "import jinja2.sandbox", "import pydantic.fields"),
    ("not-installed", "import exceptiongroup", "try:\n    import exceptiongroup\nexcept ImportError:\n    exceptiongroup = None"),
    ("missing-package", "from click import echo", "from workers import fetch\nfrom js import Object\nfrom pyodide.ffi import to_js"),
    ("missing-package", "if sys.platform == 'win32' or c:\n    import click", "import sys\n\nif sys.platform == 'win32' and c:\n    import click"),
    ("missing-package", "import sys\n\nif sys.version_info < (3, 15):\n    import click", "import sys\n\nif sys.version_info >= (3, 11):\n    import tomllib\nelse:\n    import tomli as tomllib"),
    ("missing-package", "try:\n    import dbm\nexcept ImportError:\n    import click", "try:\n    import tomllib\nexcept ImportError:\n    import tomli as tomllib"),
    ("missing-package", "import os\n\nif os.name != 'nt':\n    import click", "import os, sys\n\nif os.name == 'nt' or not sys.platform.startswith('em'):\n    import click"),
    ("excluded", "from dateutil import parser", "from dateutil import relativedelta"),
    ("excluded", "import server_jobs.stores.memory", "import server_jobs.stores.sql\n\ntry:\n    import dateutil.rrule\nexcept ImportError:\n    dateutil = None"),
    ("excluded", "from server_jobs import Worker, tick", "from server_jobs import connect, tick"),
    ("excluded", "from anyio import sleep", "import starlette.responses"),
    ("excluded", "from starlette.responses import FileResponse", "from starlette.responses import Response"),
    ("not-uploaded", "import shared.words", "from . import other"),
    ("syntax", "def handle(", "def handle_no_job(): ..."),
    ("unreadable", "# coding: klingon", "# coding: utf-8"),
    ("no-reason", "x = 1  # cloudflare: ok", "x = 1  # cloudflare: ok -- it is one"),
]  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Project:
    files = {
        "specs/job.json": "{}",
        "handlers/__init__.py": "",
        "handlers/other.py": "from pathlib import Path\n\nFOLDER = Path('a')\n",
        "shared/words.py": "",
        "generated/worker/pyproject.toml": f'[project]\ndependencies = ["server-jobs[http]=={__version__}", "requests", "asyncpg"]\n',
        # requests needs idna, which is another matter.
        "generated/worker/wrangler.jsonc": render("wrangler.jsonc.jinja").replace('"idna/**",', ""),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return Project(root=tmp_path)


def rules_broken(project: Project, text: str) -> list[str]:
    (project.root / "handlers/job.py").write_text(f"{text}\n", encoding="utf-8")
    return [finding.rule for finding in check_worker(project)]


@pytest.mark.parametrize(("rule", "bad", "good"), EXAMPLES)
def test_a_rule_finds_what_it_is_for_and_nothing_else(project: Project, rule: str, bad: str, good: str) -> None:
    assert rules_broken(project, bad) == [rule]
    assert rules_broken(project, good) == []


@pytest.mark.parametrize(("run_in", "expected"), [("process", ["process-handler"]), ("worker", [])])
def test_a_handler_that_asks_for_a_process_is_found_in_its_spec(
    project: Project, run_in: str, expected: list[str]
) -> None:
    (project.root / "specs/job.json").write_text(f'{{\n  "x-job": {{"runIn": "{run_in}"}}\n}}', encoding="utf-8")
    assert rules_broken(project, "") == expected


@pytest.mark.parametrize(
    "text", ["import anyio", "import anyio.abc", "from starlette.responses import StreamingResponse"]
)
def test_what_imports_the_rest_of_a_package_late_needs_all_of_it(project: Project, text: str) -> None:
    path = project.root / "generated/worker/wrangler.jsonc"
    lines = path.read_text(encoding="utf-8").splitlines()
    of_anyio = [line for line in lines if line.strip().startswith('"anyio/')]
    path.write_text("\n".join(line for line in lines if line not in of_anyio[:-1]), encoding="utf-8")
    assert rules_broken(project, text) == ["excluded"]
    path.write_text("\n".join(line for line in lines if line not in of_anyio), encoding="utf-8")
    assert rules_broken(project, text) == []


def test_each_rule_has_an_example() -> None:
    of_code = {rule for rule, _, _ in EXAMPLES} | {"process-handler", "wrangler-file"}
    assert of_code | {rule for _, _, _, rule, _ in LACKS} == set(RULES)


@pytest.mark.parametrize("table", [USES, AT_IMPORT], ids=["wherever it is used", "while something is imported"])
def test_every_name_that_is_looked_for_is_found_where_it_stands(project: Project, table: Iterable[str]) -> None:
    names = sorted(name for name in table if not name.startswith("builtins."))
    imports = "".join(f"import {name.partition('.')[0]}, {_module_of(name)}\n" for name in names)
    calls = "".join(f"{name}()\n" for name in names)
    (project.root / "handlers/job.py").write_text(f"{imports}{calls}", encoding="utf-8")
    lines = {finding.line for finding in check_worker(project)}
    assert set(range(len(names) + 1, 2 * len(names) + 1)) <= lines


@pytest.mark.parametrize("name", sorted({*USES, *AT_IMPORT, *HARMLESS, *NEEDS} - {"anyio"}))
def test_every_function_of_the_rules_exists(name: str) -> None:
    if name.partition(".")[0] in OF_OTHERS or (name in SINCE_3_14 and sys.version_info < (3, 14)):
        return
    if name in NOT_ON_WINDOWS and sys.platform == "win32":
        return
    value: object = importlib.import_module(_module_of(name))
    for part in name.removeprefix(f"{_module_of(name)}.").split("."):
        value = getattr(value, part.removesuffix("()"))
    assert callable(value)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_every_module_of_the_rules_exists(name: str) -> None:
    if name.partition(".")[0] not in OF_OTHERS:
        assert importlib.util.find_spec(name) is not None


def test_packages_of_others_are_spelt_the_same_in_the_rules_and_here() -> None:
    named = {name.partition(".")[0] for name in (*MODULES, *USES, *AT_IMPORT)}
    assert named - sys.stdlib_module_names - {"builtins"} == OF_OTHERS


@pytest.mark.parametrize("name", sorted(GONE))
def test_every_module_that_is_gone_was_there_once(name: str) -> None:
    since = GONE[name].partition("no more since 3.")[2]
    is_gone_here = bool(since) and sys.version_info >= (3, int(since))
    assert (name in sys.stdlib_module_names) is not is_gone_here


def test_every_method_of_the_rules_exists() -> None:
    known = (asyncio.AbstractEventLoop, Job, JobHandle)
    for name in (*METHODS, *METHODS_AT_IMPORT):
        assert any(callable(getattr(owner, name, None)) for owner in known), name


def _module_of(name: str) -> str:
    """The longest part of a name that can be imported."""
    parts = name.split(".")
    for length in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:length])
        if parts[0] in OF_OTHERS or importlib.util.find_spec(parts[0]) is None:
            return module
        try:
            importlib.import_module(module)
        except ImportError:
            continue
        return module
    return parts[0]
