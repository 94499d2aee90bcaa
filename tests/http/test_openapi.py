"""The OpenAPI document describes the routes, and their answers match it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from threading import Thread
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import allow_header_conformance, ignored_auth, positive_data_acceptance
from server_jobs import JobOptions, create_job_registry, define_job
from server_jobs.http.app import PREFIX, ROUTES, under_prefix
from server_jobs.http.openapi import document

from tests.http.caller import TOKEN, Caller, Kept, Note, keep, keep_job, new_backend

schema = schemathesis.openapi.from_dict(document(new_backend().registry, server=PREFIX))
# No store keeps NUL characters; `test_jobs` tests them.
schema.config.generation.update(allow_x00=False)

Case = schemathesis.Case[Any]
LONG = bool(os.environ.get("SERVER_JOBS_LONG_TESTS"))
FEW = settings(
    max_examples=50 if LONG else 6,
    suppress_health_check=[HealthCheck.filter_too_much],
)


class Server:
    """The application on a local port, in a thread."""

    def __init__(self) -> None:
        self.call = Caller()
        config = uvicorn.Config(under_prefix(self.call.app), port=0, log_config=None, lifespan="off")  # type: ignore[arg-type]
        self._server = uvicorn.Server(config)
        self._thread = Thread(target=self._server.run)

    def __enter__(self) -> str:
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.01)
        return f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    with Server() as url:
        yield url + PREFIX


@schema.auth()
class _Bearer:
    """Adds the token to calls."""

    def get(self, case: Case, context: object) -> str:
        return TOKEN

    def set(self, case: Case, data: str, context: object) -> None:
        case.headers["authorization"] = f"Bearer {data}"


@schema.parametrize()
@FEW
def test_every_answer_is_one_that_the_document_knows(case: Case, base_url: str) -> None:
    # The router has one path for jobs by name and by id, the document several. The next test covers requests without a
    # token: schemathesis sends the given one.
    excluded = [ignored_auth, allow_header_conformance]
    # A schema cannot express that conditions fit the job of `job_name`, that some field chooses the jobs to change, or
    # that a null counts as absent where one field needs another.
    if has_conditions(case) or chooses_no_jobs(case) or replaces_without_key(case):
        excluded.append(positive_data_acceptance)
    case.call_and_validate(base_url=base_url, excluded_checks=excluded)


def chooses_no_jobs(case: Case) -> bool:
    body = case.body if isinstance(case.body, dict) else {}
    return "/bulk/" in case.path and not any(body[name] for name in body.keys() - {"after", "dry_run"})


def replaces_without_key(case: Case) -> bool:
    body = case.body if isinstance(case.body, dict) else {}
    return body.get("on_conflict") is not None and body.get("unique_key") is None


def has_conditions(case: Case) -> bool:
    return any(isinstance(part, Mapping) and "where" in part for part in (case.body, case.query))


@schema.parametrize()
@FEW
def test_without_a_token_every_request_is_refused(case: Case, base_url: str) -> None:
    case.headers.pop("authorization", None)

    response = case.call(base_url=base_url)

    # A path with a line break leads to a route only if the break is at its end.
    path = unquote(urlsplit(str(response.request.url)).path)
    assert response.status_code == 401 or ("\n" in path and response.status_code == 404)
    assert TOKEN not in response.text


def test_every_route_is_in_the_document() -> None:
    backend = new_backend()
    paths = document(backend.registry, server=PREFIX)["paths"]
    described = {
        (path.replace("/Keep", "/{id}"), method.upper()) for path, operations in paths.items() for method in operations
    }
    routes = {(route.path, method) for route in ROUTES for method in cast("set[str]", route.methods) - {"HEAD"}}

    assert described == routes


def test_the_mount_path_is_in_the_document() -> None:
    for path, operations in document(new_backend().registry, server=PREFIX)["paths"].items():
        for method, operation in operations.items():
            refusals = {"401", "503"} | ({"400", "403", "411", "413", "421"} if method == "post" else set())
            assert refusals <= set(operation["responses"]), path


def test_a_retired_job_has_no_route_in_the_document() -> None:
    options = JobOptions(retired=True)
    gone = define_job(name="Gone", params=Note, result=Kept, handler=keep, options=options)
    found = document(create_job_registry().register(keep_job()).register(gone), server=PREFIX)

    assert "/jobs/Keep" in found["paths"]
    assert "Gone" not in str(found)


async def test_the_params_of_a_job_are_described_with_their_definitions() -> None:
    found = (await Caller()("GET", "/openapi.json")).json()

    schemas = found["components"]["schemas"]
    assert schemas["KeepParams"]["properties"]["text"]["maxLength"] == 40
    assert schemas["KeepParams"]["properties"]["addresses"]["items"] == {
        "$ref": "#/components/schemas/KeepParams.Address"
    }
    assert schemas["KeepParams.Address"]["required"] == ["street"]
    body = found["paths"]["/jobs/Keep"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["params"]["$ref"] == "#/components/schemas/KeepParams"
    assert "$defs" not in body
    assert found["openapi"] == "3.1.0"
    assert set(_references(found)) <= {f"#/components/schemas/{name}" for name in schemas}


def _references(value: object) -> Iterator[str]:
    match value:
        case {"$ref": str(reference)}:
            yield reference
        case dict():
            for part in value.values():
                yield from _references(part)
        case list():
            for part in value:
                yield from _references(part)
