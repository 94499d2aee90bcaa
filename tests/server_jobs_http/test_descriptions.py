"""Each route has a description, which names everything that its handler reads."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
import server_jobs_http
from server_jobs_http import create_app
from server_jobs_http.described_route import DescribedRoute
from server_jobs_http.openapi import document
from server_jobs_http.routes.table import DESCRIBED, ROUTES
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tests.server_jobs_http.caller import new_backend

FOLDER = Path(server_jobs_http.__file__).parent
SOURCES = {path.relative_to(FOLDER).as_posix(): path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.py")}
OF_ROUTES = {name: text for name, text in SOURCES.items() if not name.startswith("dashboard/")}
READERS = {"query_of": 1, "read_body": 0}
"""The functions that read a query or a body, with the position of the model among their arguments."""
READS_QUERIES = {"reading.py", "links.py"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def undescribed(routes: Sequence[BaseRoute]) -> set[tuple[str, str]]:
    """Return the methods and paths without a description."""
    known = {(one.description.method, one.description.path) for one in DESCRIBED}
    served = {(method, route.path) for route in routes if isinstance(route, Route) for method in (route.methods or ())}
    return {one for one in served if one[0] != "HEAD"} - known


async def anything(request: Request) -> Response:
    return Response()


def test_each_route_of_the_application_has_a_description() -> None:
    routes = create_app(new_backend()).routes
    assert len(routes) == len(ROUTES)
    assert undescribed(routes) == set()


def test_a_route_without_a_description_is_found() -> None:
    plain = Route("/jobs/{id}", anything, methods=["GET", "POST", "PUT"])
    assert undescribed([*ROUTES, plain]) == {("PUT", "/jobs/{id}")}


def test_each_name_is_used_once_and_each_part_of_a_path_has_a_meaning() -> None:
    found = [one.description for one in DESCRIBED]
    assert len({one.name for one in found}) == len({(one.method, one.path) for one in found}) == len(found)
    for one in found:
        assert set(re.findall(r"\{(\w+)\}", one.path)) == ({"id"} if one.per_job else set(one.path_parameters))
        assert ("{name}" in one.name) == ("{name}" in one.summary) == one.per_job


# --- what handlers read ----------------------------------------------------------------------------------------------


def functions(text: str) -> Iterator[Function]:
    yield from (node for node in ast.parse(text).body if isinstance(node, Function))


def models_read(function: ast.AST) -> set[tuple[str, str]]:
    """Return the readers that a function calls, with the name of the model."""
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    return {
        (call.func.id, ast.unparse(call.args[READERS[call.func.id]]))
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id in READERS
    }


def touches_a_query(text: str) -> bool:
    """Whether a module reads queries itself."""
    names = {node.attr for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)}
    names |= {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    return bool(names & {"query_params", "QueryParams", "url"}) or "query_string" in text


def handler_of(route: DescribedRoute) -> Callable[..., object]:
    return route.handler.func if isinstance(route.handler, partial) else route.handler


def described_reads(routes: Sequence[DescribedRoute]) -> dict[str, set[tuple[str, str]]]:
    """Return, for each handler, the readers that its description asks for."""
    found: dict[str, set[tuple[str, str]]] = {}
    for route in routes:
        handler, description = handler_of(route), route.description
        reads = found.setdefault(f"{handler.__module__}.{handler.__qualname__}", set())
        reads |= {("query_of", description.query.__name__)} if description.query else set()
        reads |= {("read_body", description.body.__name__)} if description.body else set()
    return found


def code_reads(sources: dict[str, str]) -> dict[str, set[tuple[str, str]]]:
    """Return the functions that call a reader."""
    found: dict[str, set[tuple[str, str]]] = {}
    for path, text in sources.items():
        module = f"server_jobs_http.{path.removesuffix('.py').replace('/', '.')}"
        for function in functions(text):
            if reads := models_read(function):
                found[f"{module}.{function.name}"] = reads
    return found


def test_each_handler_reads_the_query_and_the_body_of_its_description() -> None:
    described = {handler: reads for handler, reads in described_reads(DESCRIBED).items() if reads}
    assert len(described) > 5
    assert code_reads(OF_ROUTES) == described


def test_only_one_function_reads_queries_for_handlers() -> None:
    assert {name for name, text in OF_ROUTES.items() if touches_a_query(text)} == READS_QUERIES


def test_the_parameters_of_a_signed_link_are_described() -> None:
    read = set(re.findall(r'query(?:\.get\(|\[)"(\w+)"', SOURCES["links.py"]))
    found = document(new_backend().registry, server="/")
    link = found["components"]["securitySchemes"]["link"]
    streams = [one for one in DESCRIBED if one.description.by_link]
    assert read == {"expires", "signature"}
    for one in streams:
        parameters = found["paths"][one.description.path]["get"]["parameters"]
        assert read == {part["name"] for part in parameters if part["in"] == "query"} | {link["name"]}


@pytest.mark.parametrize(
    "line", ['request.query_params.get("page")', 'QueryParams(request.scope["query_string"])', "request.url.query"]
)
def test_a_handler_that_reads_a_query_by_itself_is_found(line: str) -> None:
    assert touches_a_query(f"async def show(request):\n    return {line}\n")


def test_a_model_that_the_description_lacks_is_found() -> None:
    changed = OF_ROUTES["routes/jobs.py"].replace("query_of(request, ListParameters)", "query_of(request, MoreFields)")
    assert code_reads({**OF_ROUTES, "routes/jobs.py": changed}) != code_reads(OF_ROUTES)
    also = OF_ROUTES["routes/metrics.py"] + "\nasync def show(request):\n    return query_of(request, MoreFields)\n"
    assert "server_jobs_http.routes.metrics.show" in code_reads({"routes/metrics.py": also})
