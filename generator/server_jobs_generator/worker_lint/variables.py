"""What wrangler.jsonc gives the Worker under `vars`: anyone who sees the repository or the dashboard reads it there."""

from __future__ import annotations

from collections.abc import Iterator

from server_jobs.databases.turso.url import TOKEN_VARIABLE as TURSO_TOKEN
from server_jobs.databases.turso.url import endpoint_of
from server_jobs.databases.url import TURSO_URL
from server_jobs.domain.worker_limits import QUERIES_VARIABLE, queries_in
from server_jobs.errors import InvalidOptionError
from server_jobs.security.variables import PREVIOUS_TOKEN_VARIABLE, TOKEN_VARIABLE

from .finding import CodeFinding
from .rules import WRANGLER_QUERIES, WRANGLER_SECRET, WRANGLER_TURSO
from .settings import Settings

_SECRETS = (TOKEN_VARIABLE, PREVIOUS_TOKEN_VARIABLE, TURSO_TOKEN)
_TOKEN_IN_URL = "authtoken="  # noqa: S105  how it begins


def check_variables(wrangler: Settings) -> Iterator[CodeFinding]:
    """Those that the engine reads, in each environment of the file."""
    environments = wrangler.at("env")
    names = environments if isinstance(environments, dict) else {}
    for pointer in (("vars",), *(("env", name, "vars") for name in names)):
        yield from _check(wrangler, pointer)


def is_on_turso(wrangler: Settings) -> bool:
    """Whether wrangler.jsonc says that the jobs are in a Turso database."""
    url = wrangler.at("vars", TURSO_URL)
    return (isinstance(url, str) and bool(url.strip())) or TURSO_URL in wrangler.names_at("secrets", "required")


def _check(wrangler: Settings, pointer: tuple[str, ...]) -> Iterator[CodeFinding]:
    variables = wrangler.names_at(*pointer)
    for name in _SECRETS:
        if name in variables:
            yield wrangler.finding(WRANGLER_SECRET, *pointer, name, subject=f"{name} is a secret")
    if TURSO_URL in variables:
        yield from _check_url(wrangler, (*pointer, TURSO_URL))
    try:
        queries_in(wrangler.at(*pointer, QUERIES_VARIABLE))
    except InvalidOptionError as error:
        yield wrangler.finding(WRANGLER_QUERIES, *pointer, QUERIES_VARIABLE, subject=str(error))


def _check_url(wrangler: Settings, pointer: tuple[str, ...]) -> Iterator[CodeFinding]:
    url = wrangler.at(*pointer)
    if not isinstance(url, str):
        yield wrangler.finding(WRANGLER_TURSO, *pointer)
        return
    if not url.strip():
        return
    try:
        endpoint_of(url.strip(), auth_token="none")  # noqa: S106  not that of this machine
    except InvalidOptionError as error:
        yield wrangler.finding(WRANGLER_TURSO, *pointer, subject=str(error))
    if _TOKEN_IN_URL in url.lower():
        yield wrangler.finding(WRANGLER_SECRET, *pointer, subject=f"{TURSO_URL} has a token in it, which is a secret")
