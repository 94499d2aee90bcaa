"""What the files beside the Worker have to say, though they are yours: wrangler.jsonc, pyproject.toml, package.json."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from typing import TypeGuard

from pydantic import JsonValue
from server_jobs.budgets import TICK_BUDGET
from server_jobs.databases.url import D1_BINDING
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
    WRANGLER_DATE_AHEAD,
    WRANGLER_FILE,
    WRANGLER_FLAG,
    WRANGLER_LOGS,
    WRANGLER_MAIN,
    WRANGLER_MIGRATIONS,
    WRANGLER_TYPE,
)
from .settings import Settings, generated_wrangler, read_settings
from .upload import Upload
from .variables import check_variables, is_on_turso

EVERY_MINUTE: JsonValue = ["* * * * *"]
_MAIN = "main.py"
_BUNDLE_ALONE = re.compile(r"\s*python3? bundle\.py[^;&|]*")
_READ_FIRST = "wrangler.json"
_OTHER_NAMES = (_READ_FIRST, "wrangler.toml")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_FIRST_DATE = date(2026, 9, 8)
_DATE_FLAG = "python_workers_314"
_PACKAGE = "server-jobs"
_ROUTES = {"http", "serve"}
_DEPENDENCIES = re.compile(r"^\s*dependencies\s*=", re.MULTILINE)


def _is_text(value: JsonValue) -> bool:
    return isinstance(value, str)


def _is_number(value: JsonValue) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_object(value: JsonValue) -> bool:
    return isinstance(value, dict)


def _is_list_of_texts(value: JsonValue) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


_TYPES: Mapping[tuple[str, ...], tuple[str, Callable[[JsonValue], bool]]] = {
    ("name",): ("text", _is_text),
    ("vars",): ("object", _is_object),
    ("limits",): ("object", _is_object),
    ("limits", "cpu_ms"): ("number", _is_number),
    ("python_modules",): ("object", _is_object),
    EXCLUDE: ("list of texts", _is_list_of_texts),
    ("secrets", "required"): ("list of texts", _is_list_of_texts),
}
"""What wrangler takes for what no other rule looks at."""


def check_configuration(project: Project, upload: Upload) -> Iterator[CodeFinding]:
    """What the generated Worker needs and these files do not have. A file that is not there says nothing."""
    yield from upload.settings.findings
    if upload.settings.document is not None:
        yield from chain(_read_instead(project, upload), _types(upload.settings), _upload(project, upload))
        yield from chain(_runtime(upload.settings), _database(upload.settings), check_variables(upload.settings))
        yield from chain(_excluded(upload), _excluded_of_the_engine(upload))
    package = read_settings(project, f"{upload.worker}/package.json")
    yield from chain(package.findings, _npm(package), _python(project, upload))


def jobs_database(wrangler: Settings) -> int | None:
    """Which of the D1 databases in wrangler.jsonc is that of the jobs; None if none is."""
    databases = wrangler.at("d1_databases")
    count = len(databases) if isinstance(databases, list) else 0
    return next((each for each in range(count) if wrangler.at("d1_databases", each, "binding") == D1_BINDING), None)


def missing_configuration(project: Project, upload: Upload) -> Iterator[CodeFinding]:
    """That wrangler.jsonc is not there, for a project where everything else has been generated."""
    if not (project.root / upload.wrangler).exists():
        others = [name for name in _OTHER_NAMES if (project.root / upload.worker / name).exists()]
        said = f"is missing, and {others[0]} in its place has not been looked at" if others else "is missing"
        rule = WRANGLER_FILE
        yield CodeFinding(upload.wrangler, 1, 1, rule.verdict, rule.name, f"{said}: {rule.why}", rule.advice)


def _read_instead(project: Project, upload: Upload) -> Iterator[CodeFinding]:
    """A file that wrangler looks for first."""
    path = f"{upload.worker}/{_READ_FIRST}"
    if (project.root / path).exists():
        rule = WRANGLER_FILE
        said = f"is read by wrangler instead of {upload.wrangler}, and has not been looked at: {rule.why}"
        yield CodeFinding(path, 1, 1, rule.verdict, rule.name, said, rule.advice)


def _types(wrangler: Settings) -> Iterator[CodeFinding]:
    for pointer, (kind, fits) in _TYPES.items():
        value = wrangler.at(*pointer)
        if value is not None and not fits(value):
            subject = f"{'.'.join(pointer)} is {shown(value)} and no {kind}"
            yield wrangler.finding(WRANGLER_TYPE, *pointer, subject=subject)


def _upload(project: Project, upload: Upload) -> Iterator[CodeFinding]:
    wrangler = upload.settings
    main, command = wrangler.at("main"), wrangler.at("build", "command")
    if not _is_built(project, upload, main, command):
        yield wrangler.finding(WRANGLER_MAIN, "main")
    if not (isinstance(command, str) and "bundle.py" in command):
        yield wrangler.finding(WRANGLER_BUILD, "build", "command")


def _is_built(project: Project, upload: Upload, main: JsonValue, command: JsonValue) -> bool:
    """Whether there will be such a file in build/."""
    folder, _, path = main.removeprefix("./").partition("/") if isinstance(main, str) else ("", "", "")
    if folder != "build" or not path.endswith(".py"):
        return False
    makes_more = not isinstance(command, str) or not _BUNDLE_ALONE.fullmatch(command)
    source = f"{upload.source}{path}"
    return path == _MAIN or makes_more or ((project.root / source).is_file() and upload.has(source))


def _runtime(wrangler: Settings) -> Iterator[CodeFinding]:
    flags = wrangler.names_at("compatibility_flags")
    yield from _date(wrangler, flags)
    if "python_workers" not in flags:
        yield wrangler.finding(WRANGLER_FLAG, "compatibility_flags")
    if wrangler.at("triggers", "crons") != EVERY_MINUTE:
        yield wrangler.finding(WRANGLER_CRON, "triggers", "crons")
    if wrangler.at("observability", "enabled") is not True:
        yield wrangler.finding(WRANGLER_LOGS, "observability", "enabled")
    computing = wrangler.at("limits", "cpu_ms")
    if _is_number(computing) and computing < TICK_BUDGET / timedelta(milliseconds=1):
        yield wrangler.finding(WRANGLER_CPU, "limits", "cpu_ms")


def _date(wrangler: Settings, flags: list[str]) -> Iterator[CodeFinding]:
    text = wrangler.at("compatibility_date")
    date = _date_in(text)
    latest = max(datetime.now(UTC).date(), _date_in(generated_wrangler().at("compatibility_date")) or _FIRST_DATE)
    if date is None and text is not None:
        subject = f"compatibility_date is {shown(text)} and no date such as {shown(str(_FIRST_DATE))}"
        yield wrangler.finding(WRANGLER_DATE, "compatibility_date", subject=subject)
    elif date is None or (date < _FIRST_DATE and _DATE_FLAG not in flags):
        yield wrangler.finding(WRANGLER_DATE, "compatibility_date")
    elif date > latest:
        yield wrangler.finding(WRANGLER_DATE_AHEAD, "compatibility_date")


def _date_in(text: JsonValue) -> date | None:
    if not isinstance(text, str) or not _DATE.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


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
