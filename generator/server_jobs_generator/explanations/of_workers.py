"""The rules of `check --target cloudflare`, explained like those of specs."""

from __future__ import annotations

from server_jobs import __version__

from ..problems.rule import Rule
from ..worker_lint import rules as worker
from .explanation import Example, Explanation

HANDLER = "in a handler"
WRANGLER = "in generated/worker/wrangler.jsonc"
PYPROJECT = "in generated/worker/pyproject.toml"


def _of_code(rule: worker.Rule, summary: str, wrong: str, right: str) -> Explanation:
    return Explanation(
        Rule(rule.name, summary), f"Such a module {_told(rule)}", Example(HANDLER, wrong, right, language="python")
    )


def _of_settings(rule: worker.Rule, summary: str, wrong: str, right: str, place: str = WRANGLER) -> Explanation:
    language = {PYPROJECT: "toml"}.get(place, "json")
    why = _told(rule)
    return Explanation(Rule(rule.name, summary), why[:1].upper() + why[1:], Example(place, wrong, right, language))


def _told(rule: worker.Rule) -> str:
    """Return the reason and the advice as sentences."""
    return f"{rule.why}. {rule.advice[:1].upper()}{rule.advice[1:]}."


EXPLANATIONS = (
    _of_code(
        worker.THREADS,
        "a handler for a Worker uses threads",
        "import threading",
        "from threading import Lock",
    ),
    _of_code(
        worker.PROCESSES,
        "a handler for a Worker starts a process",
        "import subprocess",
        "import asyncio",
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
        "a handler for a Worker uses SQLite",
        "import sqlite3",
        "import sqlite3  # cloudflare: ok -- for a table in :memory:",
    ),
    _of_code(
        worker.MISSING_MODULE,
        "a handler for a Worker imports a module that is missing",
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
        "a handler for a Worker imports a package that is not installed here",
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
        "a handler for a Worker imports a part of a package that is not uploaded",
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
        worker.WRANGLER_SECRET,
        "wrangler.jsonc shows a secret",
        '"name": "jobs", "vars": { "JOBS_TOKEN": "Zq3-aN7vR0yKx5mWb1TfJ8pLc2HsUd9eGoIt4nQiXYk" }',
        '"name": "jobs", "secrets": { "required": ["JOBS_TOKEN"] }',
    ),
    _of_settings(
        worker.WRANGLER_MAIN,
        "wrangler.jsonc does not start the Worker that bundle.py writes",
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
    Explanation(
        Rule(worker.SYNTAX.name, "a file of a Worker is not Python"),
        "Nothing in the file has been looked at, so it may hold anything. Mend it first.",
        Example(HANDLER, "async def handle(params, context)", "async def handle(params, context): ...", "python"),
    ),
    Explanation(
        Rule(worker.UNREADABLE.name, "a file of a Worker cannot be read"),
        "Nothing in the file has been looked at, so it may hold anything: save it as UTF-8, or mend the JSON in it.",
        Example(HANDLER, "# coding: klingon", "# coding: utf-8", "python"),
    ),
)
