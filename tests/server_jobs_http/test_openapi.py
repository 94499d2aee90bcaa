"""The OpenAPI document describes the routes, and their answers match it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from server_jobs import JobOptions, create_job_registry, define_job
from server_jobs_http.app import PREFIX
from server_jobs_http.openapi import document
from server_jobs_http.routes.table import ROUTES

from tests.server_jobs_http.caller import Caller, Kept, Note, keep, keep_job, new_backend

REQUESTS = Path(__file__).with_name("openapi_requests.py")


@pytest.mark.slow
def test_every_answer_is_one_that_the_document_knows() -> None:
    plugins = ["-p", "schemathesis", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command = [sys.executable, "-m", "pytest", "-q", *plugins, str(REQUESTS)]
    finished = subprocess.run(command, cwd=REQUESTS.parents[2], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout


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
