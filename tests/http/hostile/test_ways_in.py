"""The page of the ways in names each route, form and port of the program, and tests that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

from server_jobs import create_job_registry
from server_jobs.cloudflare.pipeline import PIPELINE
from server_jobs.cloudflare.tenant_routes import tenant_routes
from server_jobs.http import HttpOptions, Tokens
from server_jobs.http.app import ROUTES
from server_jobs.http.dashboard import pages
from server_jobs.http.dashboard.guard import Settings
from server_jobs.http.dashboard.mounting import PLACE
from server_jobs.http.places import Places
from server_jobs_cli.worker import metrics_server
from starlette.routing import BaseRoute, Mount, Route

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/explanation/threats.md").read_text(encoding="utf-8")
LISTENS = re.compile(r"create_server\(|start_server\(|uvicorn\.Config\(|TCPServer\(")


def routes_of(routes: Sequence[BaseRoute], prefix: str = "") -> Iterator[str]:
    """Yield each method and path. A route for any path refuses what no other route answers."""
    for route in routes:
        if isinstance(route, Mount):
            yield from routes_of(route.routes, prefix)
        elif isinstance(route, Route) and ":path}" not in route.path:
            yield from (f"{method} {prefix}{route.path}" for method in (route.methods or ()) if method != "HEAD")


def ways_in() -> set[str]:
    """Return every route of the program."""
    options, no_tokens = HttpOptions(), Tokens()
    tenants = tenant_routes(create_job_registry(), "1", options, lambda _scope: no_tokens)
    settings = Settings(nullcontext, lambda _scope: no_tokens, options, Places(options), None, follows_changes=True)  # type: ignore[arg-type]
    dashboard = pages.routes_of(settings)
    ports = {f"GET {path}" for path in (metrics_server.METRICS, metrics_server.LIVE, metrics_server.READY)}
    routes = [*ROUTES, *tenants.routes, PIPELINE]
    return {*routes_of(routes), *routes_of(dashboard, PLACE), *ports}


def test_each_route_and_form_is_on_the_page_and_no_other() -> None:
    listed = set(re.findall(r"`((?:GET|POST|DELETE) /[^`]*)`", PAGE))

    assert ways_in() - listed == set()
    assert listed - ways_in() == set()


def test_each_module_that_listens_is_on_the_page() -> None:
    files = [file for file in (ROOT / "runtime").rglob("*.py") if LISTENS.search(file.read_text(encoding="utf-8"))]
    listening = {file.relative_to(ROOT).as_posix() for file in files}

    assert listening == set(re.findall(r"\{source\}`(runtime/[^`#]+\.py)`", PAGE))


def test_each_row_names_tests_that_exist() -> None:
    texts = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    defined = set(re.findall(r"def (test_\w+)\(", texts))
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| Way in")]

    assert rows
    for row in rows:
        named = set(re.findall(r"\{test\}`(\w+)`", row))
        assert named, row
        assert named <= defined, row
