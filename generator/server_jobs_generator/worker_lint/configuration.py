"""What the files beside the Worker have to say, though they are yours: wrangler.jsonc, pyproject.toml, package.json."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from itertools import chain

from pydantic import JsonValue
from server_jobs.budgets import TICK_BUDGET
from server_jobs.databases.url import D1_BINDING, TURSO_URL
from server_jobs.project import Project

from ..problems import shown
from .engine_files import engine_files
from .exclusions import EXCLUDE, generated_exclusions, read_exclusions
from .finding import CodeFinding
from .packages import extras_of, is_requirement_of, needed_modules
from .rules import (
    EXCLUDED_ENGINE,
    EXCLUDED_PART,
    WORKER_PACKAGE,
    WORKER_WRANGLER,
    WRANGLER_BUILD,
    WRANGLER_CPU,
    WRANGLER_CRON,
    WRANGLER_DATABASE,
    WRANGLER_DATE,
    WRANGLER_FLAG,
    WRANGLER_LOGS,
    WRANGLER_MAIN,
    WRANGLER_MIGRATIONS,
)
from .settings import Settings, read_settings
from .upload import Upload

EVERY_MINUTE: JsonValue = ["* * * * *"]
_FIRST_DATE = "2026-09-08"
_DATE_FLAG = "python_workers_314"
_PACKAGE = "server-jobs"
_ROUTES = {"http", "serve"}
_DEPENDENCIES = re.compile(r"^\s*dependencies\s*=", re.MULTILINE)


def check_configuration(project: Project, upload: Upload) -> Iterator[CodeFinding]:
    """What the generated Worker needs and these files do not have. A file that is not there says nothing."""
    yield from upload.settings.findings
    if upload.settings.document is not None:
        yield from chain(_upload(upload.settings), _runtime(upload.settings), _database(upload.settings))
        yield from chain(_excluded(upload), _excluded_of_the_engine(upload))
    package = read_settings(project, f"{upload.worker}/package.json")
    yield from chain(package.findings, _npm(package), _python(project, upload))


def jobs_database(wrangler: Settings) -> int | None:
    """Which of the D1 databases in wrangler.jsonc is that of the jobs; None if none is."""
    databases = wrangler.at("d1_databases")
    count = len(databases) if isinstance(databases, list) else 0
    return next((each for each in range(count) if wrangler.at("d1_databases", each, "binding") == D1_BINDING), None)


def is_on_turso(wrangler: Settings) -> bool:
    """Whether wrangler.jsonc says that the jobs are in a Turso database."""
    return TURSO_URL in [*wrangler.names_at("vars"), *wrangler.names_at("secrets", "required")]


def _upload(wrangler: Settings) -> Iterator[CodeFinding]:
    main, command = wrangler.at("main"), wrangler.at("build", "command")
    if not (isinstance(main, str) and main.removeprefix("./").startswith("build/") and main.endswith(".py")):
        yield wrangler.finding(WRANGLER_MAIN, "main")
    if not (isinstance(command, str) and "bundle.py" in command):
        yield wrangler.finding(WRANGLER_BUILD, "build", "command")


def _runtime(wrangler: Settings) -> Iterator[CodeFinding]:
    flags, date = wrangler.names_at("compatibility_flags"), wrangler.at("compatibility_date")
    if not (isinstance(date, str) and (date >= _FIRST_DATE or _DATE_FLAG in flags)):
        yield wrangler.finding(WRANGLER_DATE, "compatibility_date")
    if "python_workers" not in flags:
        yield wrangler.finding(WRANGLER_FLAG, "compatibility_flags")
    if wrangler.at("triggers", "crons") != EVERY_MINUTE:
        yield wrangler.finding(WRANGLER_CRON, "triggers", "crons")
    if wrangler.at("observability", "enabled") is not True:
        yield wrangler.finding(WRANGLER_LOGS, "observability", "enabled")
    computing = wrangler.at("limits", "cpu_ms")
    if isinstance(computing, int | float) and computing < TICK_BUDGET / timedelta(milliseconds=1):
        yield wrangler.finding(WRANGLER_CPU, "limits", "cpu_ms")


def _database(wrangler: Settings) -> Iterator[CodeFinding]:
    number = jobs_database(wrangler)
    if number is None:
        if not is_on_turso(wrangler):
            subject = "d1_databases has none with the binding DB" if wrangler.at("d1_databases") else None
            yield wrangler.finding(WRANGLER_DATABASE, "d1_databases", subject=subject)
        return
    folder = wrangler.at("d1_databases", number, "migrations_dir")
    if not (isinstance(folder, str) and folder.removeprefix("./").rstrip("/") == "migrations"):
        yield wrangler.finding(WRANGLER_MIGRATIONS, "d1_databases", number, "migrations_dir")


def _excluded(upload: Upload) -> Iterator[CodeFinding]:
    """What is left out of packages that come with a dependency of the user's; the generated patterns are for ours."""
    exclusions = read_exclusions(upload.settings)
    for dependency in upload.dependencies or ():
        if is_requirement_of(dependency, _PACKAGE):
            continue
        for module in needed_modules(dependency):
            number = next(iter(exclusions.patterns_within(module)), None)
            if number is not None:
                subject = f"{shown(exclusions.patterns[number])} is excluded, and {dependency} needs {module}"
                yield upload.settings.finding(EXCLUDED_PART, *EXCLUDE, number, subject=subject)


def _excluded_of_the_engine(upload: Upload) -> Iterator[CodeFinding]:
    """What the user's patterns leave out of the Worker itself, beyond the generated ones."""
    exclusions, known = read_exclusions(upload.settings), generated_exclusions()
    if set(exclusions.patterns) <= set(known.patterns):
        return
    files = sorted({file for file in engine_files() if not known.taking(file)})
    for number, taken in sorted(exclusions.taking_any(files).items()):
        others = f" and {len(taken) - 1} more" if len(taken) > 1 else ""
        subject = f"{shown(exclusions.patterns[number])} leaves out {taken[0]}{others}"
        yield upload.settings.finding(EXCLUDED_ENGINE, *EXCLUDE, number, subject=subject)


def _npm(package: Settings) -> Iterator[CodeFinding]:
    groups = ("devDependencies", "dependencies")
    if package.document is not None and not any("wrangler" in package.names_at(group) for group in groups):
        yield package.finding(WORKER_WRANGLER, "devDependencies", subject="devDependencies have no wrangler")


def _python(project: Project, upload: Upload) -> Iterator[CodeFinding]:
    if upload.dependencies is None or any(extras_of(one, _PACKAGE) & _ROUTES for one in upload.dependencies):
        return
    listed = _DEPENDENCIES.search((project.root / upload.pyproject).read_text(encoding="utf-8"))
    line = listed.string.count("\n", 0, listed.end()) + 1 if listed else 1
    message = f"dependencies have no {_PACKAGE}[http]: {WORKER_PACKAGE.why}"
    yield CodeFinding(
        upload.pyproject, line, 1, WORKER_PACKAGE.verdict, WORKER_PACKAGE.name, message, WORKER_PACKAGE.advice
    )
