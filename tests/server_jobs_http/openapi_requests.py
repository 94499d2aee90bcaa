"""Requests made from the OpenAPI document, and their answers. `test_openapi` runs these tests in one process.

Schemathesis makes the requests while pytest collects: seconds of work that each process of the suite would repeat.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, settings
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import allow_header_conformance, ignored_auth, positive_data_acceptance
from server_jobs_http.app import PREFIX, under_prefix
from server_jobs_http.openapi import document

from tests.server_jobs_http.caller import TOKEN, Caller, new_backend

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
        config = uvicorn.Config(under_prefix(self.call.app), port=0, log_config=None, lifespan="off")
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


class _Bearer:
    """Adds the token to calls."""

    def get(self, case: Case, context: object) -> str:
        return TOKEN

    def set(self, case: Case, data: str, context: object) -> None:
        case.headers["authorization"] = f"Bearer {data}"


def a_schema(*, has_edge_cases: bool) -> BaseSchema:
    """Return the document. With edge cases, each operation also gets those of every parameter."""
    schema = schemathesis.openapi.from_dict(document(new_backend().registry, server=PREFIX))
    # No store keeps NUL characters; `test_jobs` tests them.
    schema.config.generation.update(allow_x00=False)
    schema.config.phases.coverage.enabled = has_edge_cases
    schema.auth()(_Bearer)
    return schema


answers = a_schema(has_edge_cases=True)
# The token is checked before the parameters.
refusals = a_schema(has_edge_cases=LONG)


@answers.parametrize()
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


@refusals.parametrize()
@FEW
def test_without_a_token_every_request_is_refused(case: Case, base_url: str) -> None:
    case.headers.pop("authorization", None)

    response = case.call(base_url=base_url)

    # A path with a line break leads to a route only if the break is at its end.
    path = unquote(urlsplit(str(response.request.url)).path)
    refused = 403 if path.endswith("/events") and "signature" in case.query else 401
    assert response.status_code == refused or ("\n" in path and response.status_code == 404)
    assert TOKEN not in response.text
