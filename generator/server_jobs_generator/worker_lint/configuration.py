"""The check of wrangler.jsonc and pyproject.toml beside the Worker, which are generated once and then yours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from pydantic import JsonValue
from server_jobs import __version__
from server_jobs.databases.turso.url import TOKEN_VARIABLE as TURSO_TOKEN
from server_jobs.databases.url import D1_BINDING, TURSO_URL
from server_jobs.security.variables import PREVIOUS_TOKEN_VARIABLE, TOKEN_VARIABLE

from ..problems.problem import shown
from . import rules
from .exclusions import check_exclusions
from .packages import ENGINE, parsed
from .rules import CodeFinding
from .settings import Settings, names_in

_DATE = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])")
_FIRST_DATE, _DATE_FLAG = "2026-09-08", "python_workers_314"
_SECRETS = (TOKEN_VARIABLE, PREVIOUS_TOKEN_VARIABLE, TURSO_TOKEN)
_PINNED = re.compile(rf"@|==\s*{re.escape(__version__)}\s*(;|$)")


def check_configuration(settings: Settings) -> Iterator[CodeFinding]:
    """Find everything that the generated Worker needs and these files lack. A file that is missing tells nothing."""
    yield from settings.findings
    if settings.wrangler is not None:
        yield from (*_options(settings), *_secrets(settings), *check_exclusions(settings))
    if settings.dependencies is not None:
        yield from _packages(settings, [one for one in settings.dependencies if parsed(one)[0] == ENGINE])


def jobs_database(settings: Settings) -> Mapping[str, JsonValue] | None:
    """Return the D1 database of the jobs in wrangler.jsonc; None if there is none."""
    listed = settings.at("d1_databases")
    databases = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return next((one for one in databases if one.get("binding") == D1_BINDING), None)


def is_on_turso(settings: Settings) -> bool:
    """Return whether wrangler.jsonc says that the jobs are in a Turso database."""
    url = settings.at("vars", TURSO_URL)
    return (isinstance(url, str) and bool(url.strip())) or TURSO_URL in names_in(settings.at("secrets", "required"))


def _packages(settings: Settings, listed: Sequence[str]) -> Iterator[CodeFinding]:
    """Check the requirements of the engine."""
    path, package, pin = f"{settings.worker}/pyproject.toml", rules.WORKER_PACKAGE, rules.WORKER_PIN
    if not any(parsed(one)[1] & {"http", "serve"} for one in listed):
        yield package.found(path, f"dependencies have no {ENGINE}[http]: {package.why}")
    elif not (all(map(_PINNED.search, listed)) or any(parsed(one)[0] == ENGINE for one in settings.sources)):
        yield pin.found(path, f"dependencies do not say which {ENGINE} is meant: {pin.why}")


def _options(settings: Settings) -> Iterator[CodeFinding]:
    flags, date = names_in(settings.at("compatibility_flags")), str(settings.at("compatibility_date"))
    is_recent = bool(_DATE.fullmatch(date)) and (date >= _FIRST_DATE or _DATE_FLAG in flags)
    needs: Sequence[tuple[rules.Rule, tuple[str, ...], bool]] = (
        (rules.WRANGLER_MAIN, ("main",), bool(re.fullmatch(r"(\./)?build/.+\.py", str(settings.at("main"))))),
        (rules.WRANGLER_BUILD, ("build", "command"), "bundle.py" in str(settings.at("build", "command"))),
        (rules.WRANGLER_DATE, ("compatibility_date",), is_recent),
        (rules.WRANGLER_FLAG, ("compatibility_flags",), "python_workers" in flags),
        (rules.WRANGLER_CRON, ("triggers", "crons"), settings.at("triggers", "crons") == ["* * * * *"]),
        (rules.WRANGLER_DATABASE, ("d1_databases",), jobs_database(settings) is not None or is_on_turso(settings)),
    )
    for rule, keys, is_met in needs:
        if not is_met:
            value = settings.at(*keys)
            yield settings.finding(rule, keys, f"{'.'.join(keys)} is {'missing' if value is None else shown(value)}")


def _secrets(settings: Settings) -> Iterator[CodeFinding]:
    for keys in (("vars",), *(("env", name, "vars") for name in names_in(settings.at("env")))):
        for name in names_in(settings.at(*keys)):
            has_token = name == TURSO_URL and "authtoken=" in str(settings.at(*keys, name)).lower()
            if name in _SECRETS or has_token:
                said = f"{name} {'has a token in it' if has_token else 'is a secret'}"
                yield settings.finding(rules.WRANGLER_SECRET, (*keys, name), said)
