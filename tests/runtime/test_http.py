"""The two HTTP routes: closed by default, and silent about what jobs hold."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from pydantic import BaseModel
from server_jobs import JobContext, JobRegistry, create_job_registry, define_job
from server_jobs.http import STATUS, TRIGGER, Answer, answer
from server_jobs.memory import InMemoryBackend

TOKEN = "a-token-of-more-than-thirty-two-characters"
BEARER = {"authorization": f"Bearer {TOKEN}"}


class Note(BaseModel):
    text: str


async def _keep(params: Note, context: JobContext) -> Note:
    if params.text == "bad":
        raise ValueError(f"cannot keep {params.text}")
    return params


def _registry() -> JobRegistry:
    return create_job_registry().register(define_job(name="Keep", params=Note, result=Note, handler=_keep))


@pytest.fixture
def backend() -> InMemoryBackend:
    return InMemoryBackend(job_registry=_registry())


async def _ask(
    backend: InMemoryBackend,
    method: str,
    path: str,
    *,
    token: str | None = TOKEN,
    headers: dict[str, str] | None = None,
) -> Answer:
    return await answer(backend, method=method, path=path, headers=BEARER if headers is None else headers, token=token)


@pytest.mark.parametrize("path", [TRIGGER, STATUS])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("token", [None, "", "short"])
async def test_without_a_long_token_no_route_exists(
    backend: InMemoryBackend, method: str, path: str, token: str | None
) -> None:
    backend.add_job(job_name="Keep", params={"text": "x"})

    reply = await _ask(backend, method, path, token=token, headers={"authorization": f"Bearer {token or ''}"})

    assert reply.status == 404
    assert await backend.store.count_due(backend.request(limit=1)) == 1


@pytest.mark.parametrize("path", [TRIGGER, STATUS])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": TOKEN},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": f"Bearer {TOKEN[:-1]}"},
        {"authorization": "Bearer "},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_wrong_token_does_nothing(
    backend: InMemoryBackend, method: str, path: str, headers: dict[str, str]
) -> None:
    backend.add_job(job_name="Keep", params={"text": "x"})

    assert (await _ask(backend, method, path, headers=headers)).status == 401
    assert await backend.store.count_due(backend.request(limit=1)) == 1


@pytest.mark.parametrize("name", ["Authorization", "AUTHORIZATION"])
async def test_the_name_of_the_header_may_be_in_any_case(backend: InMemoryBackend, name: str) -> None:
    assert (await _ask(backend, "GET", STATUS, headers={name: f"Bearer {TOKEN}"})).status == 200


@pytest.mark.parametrize("given", ["\ud800", "\udcff\0", "\xe9"])
async def test_a_header_with_odd_characters_is_a_wrong_token(backend: InMemoryBackend, given: str) -> None:
    assert (await _ask(backend, "GET", STATUS, headers={"authorization": f"Bearer {given}"})).status == 401


async def test_a_trigger_keeps_within_its_budget(backend: InMemoryBackend) -> None:
    backend.add_job(job_name="Keep", params={"text": "x"})

    reply = await answer(backend, method="POST", path=TRIGGER, headers=BEARER, token=TOKEN, budget=timedelta(0))

    assert json.loads(reply.body)["completed"] == 0


async def test_a_trigger_runs_what_is_due(backend: InMemoryBackend) -> None:
    backend.add_job(job_name="Keep", params={"text": "x"})
    backend.add_job(job_name="Keep", params={"text": "bad"}, max_attempts=1)

    reply = await _ask(backend, "POST", TRIGGER)

    assert (reply.status, json.loads(reply.body)) == (
        200,
        {"status": "triggered", "expired": 0, "scheduled": 0, "completed": 1, "failed": 1},
    )


async def test_reading_the_status_changes_nothing_and_shows_no_params_results_or_errors(
    backend: InMemoryBackend,
) -> None:
    backend.add_job(job_name="Keep", params={"text": "secret-text"})
    backend.add_job(job_name="Keep", params={"text": "bad"}, max_attempts=1)
    await _ask(backend, "POST", TRIGGER)
    waiting = backend.add_job(job_name="Keep", params={"text": "secret-text"})

    reply = await _ask(backend, "GET", STATUS)

    found = json.loads(reply.body)
    assert {(count["status"], count["count"]) for count in found["counts"]} == {
        ("completed", 1),
        ("failed", 1),
        ("pending", 1),
    }
    assert found["jobs"][0]["id"] == waiting
    assert len(found["jobs"]) == 3
    assert "secret-text" not in reply.body
    assert "cannot keep" not in reply.body
    assert TOKEN not in reply.body


@pytest.mark.parametrize(("method", "path"), [("GET", TRIGGER), ("POST", STATUS), ("DELETE", TRIGGER)])
async def test_other_methods_are_refused(backend: InMemoryBackend, method: str, path: str) -> None:
    backend.add_job(job_name="Keep", params={"text": "x"})

    assert (await _ask(backend, method, path)).status == 405
    assert await backend.store.count_due(backend.request(limit=1)) == 1


@pytest.mark.parametrize("path", ["/", "/_jobs", "/_jobs/", "/_jobs/trigger/", "/_JOBS/STATUS", "/_jobs/status/x"])
async def test_other_paths_are_not_found(backend: InMemoryBackend, path: str) -> None:
    assert (await _ask(backend, "GET", path)).status == 404
