"""The page of the ways in names each way in and out that the program knows, and tests that exist."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import server_jobs_integrations
from server_jobs import create_job_registry
from server_jobs.memory import InMemoryBackend
from server_jobs.schema import metadata
from server_jobs_cli.command_plug_ins import command_names
from server_jobs_cli.worker import metrics_server
from server_jobs_cloudflare.pipeline import PIPELINE
from server_jobs_cloudflare.tenant_routes import tenant_routes
from server_jobs_generator.outputs import output_names
from server_jobs_http import HttpOptions, Tokens
from server_jobs_http.dashboard import pages
from server_jobs_http.dashboard.guard import Settings
from server_jobs_http.dashboard.mounting import PLACE
from server_jobs_http.places import Places
from server_jobs_http.routes.table import ROUTES
from server_jobs_importers.importer import IMPORTERS
from server_jobs_mcp.reading_tools import reading_tools
from server_jobs_mcp.writing_tools import writing_tools
from starlette.routing import BaseRoute, Mount, Route

from tests.conformance.new_columns import NEW_COLUMNS

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

    assert listening == named_after("Modules that listen")


def named_after(start: str) -> set[str]:
    """Return the source files in the paragraph of the page that starts with these words."""
    (paragraph,) = re.findall(rf"^{start}.*?(?=\n\n|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"\{source\}`([^`#]+\.py)`", paragraph))


def modules_with(*calls: str) -> set[str]:
    """Return the modules of the runtime and the generator that make one of these calls."""
    pattern = re.compile("|".join(calls))
    files = [file for part in ("runtime", "generator") for file in (ROOT / part).rglob("*.py")]
    return {
        file.relative_to(ROOT).as_posix()
        for file in files
        if pattern.search(file.read_text(encoding="utf-8")) and "/testing/" not in file.as_posix()
    }


def test_each_module_that_connects_is_on_the_page() -> None:
    calls = (r"build_opener\(", r"urlopen\(", r"HTTPS?Connection\(", r"asyncpg\.connect\(", r"\bAsyncClient\(")
    found = modules_with(*calls, r"js\.fetch\(", r"(?<!def )create_connection\(")

    assert found == named_after("Modules that connect")


def test_each_module_that_starts_processes_or_runs_files_is_on_the_page() -> None:
    calls = (
        r"subprocess\.(run|Popen|call|check_\w+)\(",
        r"create_subprocess_\w+\(",
        r"runpy\.run_",
        r"os\.(exec|spawn)",
    )
    found = modules_with(*calls, r"os\.(system|popen)\(", r"\bexec\(compile", r"exec_module\(", r"(?<![.\w])eval\(")

    assert found == named_after("Modules that start processes")


def words_of(section: str) -> set[str]:
    """Return each text in code style in a section of the page."""
    part = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"`([^`]+)`", re.sub(r"\{\w+\}`[^`]*`", "", part)))


def test_each_column_that_an_enqueuer_writes_is_on_the_page_and_no_other() -> None:
    columns = {word for word in words_of("Rows") if word.startswith("jobs.")}

    assert columns == {f"jobs.{name}" for name in NEW_COLUMNS.split(", ")}


def test_each_role_of_the_documentation_is_on_the_page() -> None:
    text = (ROOT / "docs/how-to/postgresql.md").read_text(encoding="utf-8")

    assert set(re.findall(r"CREATE ROLE (\w+)", text)) == {
        word for word in words_of("Rows") if re.match(r"jobs_\w+$", word)
    }


def test_each_source_of_an_import_is_on_the_page() -> None:
    kinds = {word.removeprefix("import ") for word in words_of("Specs and modules") if word.startswith("import ")}

    assert kinds == {*IMPORTERS.names()}


def test_each_tool_of_an_agent_is_on_the_page() -> None:
    backend = InMemoryBackend(job_registry=create_job_registry())
    tools = (*reading_tools(backend.store, backend.registry), *writing_tools(backend.store, backend.registry))

    assert {tool.name for tool in tools} <= words_of("Other programs and machines")


def test_each_way_out_is_on_the_page() -> None:
    integrations = {module.name for module in pkgutil.iter_modules(server_jobs_integrations.__path__)}
    words = words_of("Ways out")

    assert {*metadata.tables, *command_names(), *integrations, *output_names()} == words


def test_the_client_in_typescript_sends_its_token_to_no_target_of_a_redirect() -> None:
    text = (ROOT / "generated/contracts/jobs.ts").read_text(encoding="utf-8")
    requests = re.findall(r"RequestInit = (\{.*\});", text)
    with_headers = [request for request in requests if "headers" in request]

    assert with_headers
    assert text.count("Bearer ${") == len(with_headers)
    assert all('redirect: "error"' in request for request in with_headers)


def test_each_row_names_tests_that_exist() -> None:
    texts = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    defined = set(re.findall(r"def (test_\w+)\(", texts))
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| Way ")]

    assert rows
    for row in rows:
        named = set(re.findall(r"\{test\}`(\w+)`", row))
        files = set(re.findall(r"\{source\}`(tests/[\w/]+\.py)`", row))  # of tests in classes, which have no link
        assert named | files, row
        assert named <= defined, row
        assert all((ROOT / file).is_file() for file in files), row
