"""What a Cloudflare Worker has not: the rules of `check --target cloudflare`, told like those of specs."""

from __future__ import annotations

from server_jobs import __version__

from ..problems.rule import Rule
from ..worker_lint import rules as worker
from .explanation import Example, Explanation

HANDLER = "in a handler"
WRANGLER = "in generated/worker/wrangler.jsonc"
PYPROJECT = "in generated/worker/pyproject.toml"
SHELL = "in a shell, in the project's folder"
PACKAGE = "in generated/worker/package.json"
SPEC = "in x-job of a spec"


def _of_code(rule: worker.Rule, summary: str, wrong: str, right: str) -> Explanation:
    return Explanation(
        Rule(rule.name, summary), f"Such code {_told(rule)}", Example(HANDLER, wrong, right, language="python")
    )


def _of_settings(rule: worker.Rule, summary: str, wrong: str, right: str, place: str = WRANGLER) -> Explanation:
    language = {PYPROJECT: "toml", SHELL: "sh"}.get(place, "json")
    why = _told(rule)
    return Explanation(Rule(rule.name, summary), why[:1].upper() + why[1:], Example(place, wrong, right, language))


def _told(rule: worker.Rule) -> str:
    """Why, and what to do, as sentences."""
    advice = rule.advice.format(pyproject="the Worker's pyproject.toml", wrangler="wrangler.jsonc")
    since = f" From compatibility_date {rule.since} on it is a warning." if rule.since else ""
    return f"{rule.why}. {advice[:1].upper()}{advice[1:]}.{since}"


EXPLANATIONS = (
    _of_code(
        worker.THREADS,
        "a handler for a Worker uses threads",
        "import threading\n\nthreading.Thread(target=print).start()",
        "import asyncio\n\n\nasync def handle(params, context):\n    await asyncio.sleep(1)",
    ),
    _of_code(
        worker.PROCESSES,
        "a handler for a Worker starts a process",
        'import subprocess\n\n\nasync def handle(params, context):\n    subprocess.run(["sort", params.file])',
        "async def handle(params, context):\n    return sorted(params.lines)",
    ),
    _of_code(
        worker.SERVERS,
        "a handler for a Worker takes connections",
        "import asyncio\n\n\nasync def handle(params, context):\n    await asyncio.start_server(print)",
        "from http import HTTPStatus\n\n\nasync def handle(params, context):\n    return HTTPStatus.OK",
    ),
    _of_code(
        worker.SOCKETS,
        "a handler for a Worker opens a socket",
        "import smtplib",
        "from workers import fetch\n\n\nasync def handle(params, context):\n    await fetch(params.url)",
    ),
    _of_code(
        worker.DATABASES,
        "a handler for a Worker imports the driver of a database",
        "import psycopg",
        "from server_jobs.databases import d1",
    ),
    _of_code(
        worker.NOT_BUILT,
        "a handler for a Worker imports a package without a build for WebAssembly",
        "import gevent",
        "import asyncio",
    ),
    _of_code(
        worker.LOCAL_DATABASE,
        "a handler for a Worker opens a database file",
        'import sqlite3\n\n\nasync def handle(params, context):\n    sqlite3.connect("seen.db")',
        'import sqlite3\n\n\nasync def handle(params, context):\n    sqlite3.connect(":memory:")',
    ),
    _of_code(
        worker.FILES,
        "a handler for a Worker uses a file",
        "async def handle(params, context):\n    open(params.path)",
        "async def handle(params, context):\n    return params.text",
    ),
    _of_code(
        worker.BLOCKING,
        "a handler for a Worker holds its only thread",
        "import time\n\n\nasync def handle(params, context):\n    time.sleep(1)",
        "import asyncio\n\n\nasync def handle(params, context):\n    await asyncio.sleep(1)",
    ),
    _of_code(
        worker.TERMINAL,
        "a handler for a Worker reads from a terminal",
        'async def handle(params, context):\n    return input("Name? ")',
        "async def handle(params, context):\n    return params.name",
    ),
    _of_code(
        worker.SYNC_CALLS,
        "a handler for a Worker enqueues without await",
        "async def handle(params, context):\n    params.SendEmail.later_sync({})",
        "async def handle(params, context):\n    await params.SendEmail.later({})",
    ),
    _of_code(
        worker.ENTROPY,
        "a module of a Worker draws random numbers while it is imported",
        "import uuid\n\nRUN = uuid.uuid4()",
        "import uuid\n\n\ndef run():\n    return uuid.uuid4()",
    ),
    _of_code(
        worker.CLOCK,
        "a module of a Worker reads the clock while it is imported",
        "from datetime import date\n\nTODAY = date.today()",
        "from datetime import date\n\n\ndef today():\n    return date.today()",
    ),
    _of_code(
        worker.IO,
        "a module of a Worker reads or writes while it is imported",
        'TEXT = open("greeting.txt").name',
        'TEXT = "Dear "',
    ),
    _of_code(
        worker.LOOP,
        "a module of a Worker needs an event loop while it is imported",
        "import asyncio\n\nasyncio.run(print())",
        "import asyncio\n\n\nasync def handle(params, context):\n    asyncio.create_task(context.ping())",
    ),
    _of_code(
        worker.PLAIN_HANDLER,
        "a handler for a Worker is a plain function",
        "def handle(params, context): ...",
        "async def handle(params, context): ...",
    ),
    Explanation(
        Rule(worker.PROCESS_HANDLER.name, "a job of a Worker asks for a process of its own"),
        f"A spec that says so {_told(worker.PROCESS_HANDLER)}",
        Example(SPEC, '{"runIn": "process"}', '{"runIn": "worker"}'),
    ),
    _of_code(
        worker.MISSING_MODULE,
        "a handler for a Worker imports what is not there",
        "import telnetlib",
        "try:\n    import telnetlib\nexcept ImportError:\n    telnetlib = None",
    ),
    _of_code(
        worker.MISSING_PACKAGE,
        "a handler for a Worker imports a package that it does not depend on",
        "import jinja2",
        "import string",
    ),
    _of_code(
        worker.NOT_INSTALLED,
        "a handler for a Worker imports what is not installed where it is checked",
        "import exceptiongroup",
        "try:\n    import exceptiongroup\nexcept ImportError:\n    exceptiongroup = None",
    ),
    _of_code(
        worker.NOT_UPLOADED,
        "a handler for a Worker imports a module that is not uploaded",
        "import shared.words",
        "from . import other",
    ),
    _of_code(
        worker.EXCLUDED,
        "a handler for a Worker imports what is not uploaded of a package",
        "from dateutil import parser",
        "from dateutil import relativedelta",
    ),
    _of_settings(
        worker.EXCLUDED_PART,
        "wrangler.jsonc leaves out part of a package that a dependency needs",
        f'dependencies = ["server-jobs[http]=={__version__}", "requests"]',
        f'dependencies = ["server-jobs[http]=={__version__}"]',
        PYPROJECT,
    ),
    _of_settings(
        worker.EXCLUDED_ENGINE,
        "wrangler.jsonc leaves out part of the Worker itself",
        '"python_modules": { "exclude": ["starlette/**"] }',
        '"python_modules": { "exclude": ["starlette/testclient.py"] }',
    ),
    _of_settings(
        worker.WRANGLER_FILE,
        "wrangler.jsonc is not what wrangler reads",
        "mv generated/worker/wrangler.jsonc generated/worker/wrangler.json",
        "mv generated/worker/wrangler.json generated/worker/wrangler.jsonc",
        SHELL,
    ),
    _of_settings(
        worker.WRANGLER_TYPE,
        "wrangler.jsonc has a value of a kind that wrangler refuses",
        '"limits": { "cpu_ms": "300000" }',
        '"limits": { "cpu_ms": 300000 }',
    ),
    _of_settings(
        worker.WRANGLER_DATE_AHEAD,
        "wrangler.jsonc asks for a date that has not come yet",
        '"compatibility_date": "9999-12-31"',
        '"compatibility_date": "2026-09-15"',
    ),
    _of_settings(
        worker.WRANGLER_SECRET,
        "wrangler.jsonc shows a secret",
        '"name": "jobs", "vars": { "JOBS_TOKEN": "Zq3-aN7vR0yKx5mWb1TfJ8pLc2HsUd9eGoIt4nQiXYk" }',
        '"name": "jobs", "secrets": { "required": ["JOBS_TOKEN"] }',
    ),
    _of_settings(
        worker.WRANGLER_TURSO,
        "wrangler.jsonc names a Turso database by what is no URL of one",
        '"name": "jobs", "vars": { "TURSO_DATABASE_URL": "postgres://example.com/jobs" }',
        '"name": "jobs", "vars": { "TURSO_DATABASE_URL": "libsql://jobs-ada.turso.io" }',
    ),
    _of_settings(
        worker.WRANGLER_QUERIES,
        "wrangler.jsonc allows a number of queries that makes no sense",
        '"name": "jobs", "vars": { "JOBS_MAX_QUERIES": "many" }',
        '"name": "jobs", "vars": { "JOBS_MAX_QUERIES": "50" }',
    ),
    _of_settings(
        worker.WRANGLER_MAIN,
        "wrangler.jsonc does not start what bundle.py writes",
        '"main": "entry.py"',
        '"main": "build/main.py"',
    ),
    _of_settings(
        worker.WRANGLER_BUILD,
        "wrangler.jsonc does not run bundle.py",
        '"build": { "command": "make" }',
        '"build": { "command": "python3 bundle.py" }',
    ),
    _of_settings(
        worker.WRANGLER_DATE,
        "wrangler.jsonc asks for a Python that is too old",
        '"compatibility_date": "2026-09-07"',
        '"compatibility_date": "2026-09-15"',
    ),
    _of_settings(
        worker.WRANGLER_FLAG,
        "wrangler.jsonc does not ask for Python",
        '"compatibility_flags": []',
        '"compatibility_flags": ["python_workers"]',
    ),
    _of_settings(
        worker.WRANGLER_CRON,
        "wrangler.jsonc does not wake the Worker each minute",
        '"triggers": { "crons": ["0 9 * * *"] }',
        '"triggers": { "crons": ["* * * * *"] }',
    ),
    _of_settings(
        worker.WRANGLER_DATABASE,
        "wrangler.jsonc binds no database for the jobs",
        '"d1_databases": []',
        '"d1_databases": [{ "binding": "DB", "database_name": "jobs", "migrations_dir": "migrations" }]',
    ),
    _of_settings(
        worker.WRANGLER_MIGRATIONS,
        "wrangler.jsonc looks for the tables elsewhere",
        '"d1_databases": [{ "binding": "DB", "database_name": "jobs" }]',
        '"d1_databases": [{ "binding": "DB", "database_name": "jobs", "migrations_dir": "migrations" }]',
    ),
    _of_settings(
        worker.WRANGLER_LOGS,
        "wrangler.jsonc keeps no logs",
        '"observability": { "enabled": false }',
        '"observability": { "enabled": true }',
    ),
    _of_settings(
        worker.WRANGLER_CPU,
        "wrangler.jsonc allows less computing than a tick may take",
        '"limits": { "cpu_ms": 10000 }',
        '"limits": { "cpu_ms": 30000 }',
    ),
    _of_settings(
        worker.WORKER_PACKAGE,
        "the Worker does not depend on server-jobs with its routes",
        'dependencies = ["server-jobs"]',
        f'dependencies = ["server-jobs[http]=={__version__}"]',
        PYPROJECT,
    ),
    _of_settings(
        worker.WORKER_PIN,
        "the Worker does not say which server-jobs it is made for",
        'dependencies = ["server-jobs[http]>=0.1"]',
        f'dependencies = ["server-jobs[http]=={__version__}"]',
        PYPROJECT,
    ),
    _of_settings(
        worker.WORKER_WRANGLER,
        "package.json does not bring wrangler",
        '"devDependencies": {}',
        '"devDependencies": { "wrangler": "^4.164.0" }',
        PACKAGE,
    ),
    Explanation(
        Rule(worker.SYNTAX.name, "a file of a Worker is not Python"),
        "Nothing in the file could be looked at, so it may hold anything. Mend it first.",
        Example(HANDLER, "async def handle(params, context)", "async def handle(params, context): ...", "python"),
    ),
    Explanation(
        Rule(worker.UNREADABLE.name, "a file of a Worker cannot be read"),
        "Nothing in the file could be looked at, so it may hold anything: save it as UTF-8, or mend the JSON in it.",
        Example(HANDLER, "# coding: klingon", "# coding: utf-8", "python"),
    ),
    Explanation(
        Rule(worker.NO_REASON.name, "an excuse states no reason"),
        "A comment excuses its line from these rules. Whoever reads it later must know why, so it names the reason.",
        Example(HANDLER, "x = 1  # cloudflare: ok", "x = 1  # cloudflare: ok -- only our tests read it", "python"),
    ),
)
