"""What stands in wrangler.jsonc, and what the Worker needs of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from typing import TypeGuard

from pydantic import JsonValue
from server_jobs.databases.url import D1_BINDING
from server_jobs.domain.worker_limits import TICK_BUDGET
from server_jobs.project import Project

from ..problems.problem import shown
from .exclusions import EXCLUDE
from .finding import CodeFinding
from .rules import (
    WRANGLER_BUILD,
    WRANGLER_CPU,
    WRANGLER_CRON,
    WRANGLER_DATABASE,
    WRANGLER_DATE,
    WRANGLER_DATE_AHEAD,
    WRANGLER_FLAG,
    WRANGLER_LOGS,
    WRANGLER_MAIN,
    WRANGLER_MIGRATIONS,
    WRANGLER_TYPE,
)
from .settings import Settings, generated_wrangler
from .upload import Upload
from .variables import check_variables, is_on_turso

EVERY_MINUTE: JsonValue = ["* * * * *"]
_MAIN = "main.py"
_BUNDLE_ALONE = re.compile(r"\s*python3? bundle\.py[^;&|]*")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_FIRST_DATE = date(2026, 9, 8)
_DATE_FLAG = "python_workers_314"


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


def check_wrangler(project: Project, upload: Upload) -> Iterator[CodeFinding]:
    """What the Worker needs and the file does not have, or has otherwise."""
    wrangler = upload.settings
    yield from chain(_types(wrangler), _upload(project, upload), _runtime(wrangler))
    yield from chain(_database(wrangler), check_variables(wrangler))


def jobs_database(wrangler: Settings) -> int | None:
    """Which of the D1 databases in wrangler.jsonc is that of the jobs; None if none is."""
    databases = wrangler.at("d1_databases")
    count = len(databases) if isinstance(databases, list) else 0
    return next((each for each in range(count) if wrangler.at("d1_databases", each, "binding") == D1_BINDING), None)


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
