"""Callers who take the place of the jobs of others, or try values of redacted unique keys."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from server_jobs import Job, JobOptions, OnConflict, create_job_registry, define_job
from server_jobs.domain.record.audit import AuditQuery
from server_jobs.memory import InMemoryBackend
from server_jobs.security.tokens import Scope
from server_jobs_http import NamedToken, Tokens, create_app

from tests.server_jobs_http.caller import OTHER_TOKEN, TOKEN, Caller, Kept, Note, keep

KEY_SECRET = "pK2_dW8mY5sA7xQzB1vFhU4cRjEoTg3nLiN6tGyHk9S"
OTHER = {"authorization": f"Bearer {OTHER_TOKEN}"}


def caller_with(*scopes: Scope, redact: tuple[str, ...] = ()) -> Caller:
    """Return a caller of an application with a job that is unique by its password, and another token."""
    options = JobOptions(unique_by=("/password",), on_conflict=OnConflict.REPLACE, redact=redact)
    job: type[Job[Note, Kept, Mapping[str, object]]] = define_job(
        name="Keep", params=Note, result=Kept, handler=keep, options=options
    )
    backend = InMemoryBackend(job_registry=create_job_registry().register(job))
    tokens = Tokens(TOKEN, named=[NamedToken.of("other", dict.fromkeys(scopes, frozenset({"default"})), OTHER_TOKEN)])
    return Caller(backend, app=create_app(backend, tokens))


async def test_a_caller_who_replaces_a_job_is_in_the_audit_log() -> None:
    call = caller_with(Scope.ENQUEUE)
    first = await call("POST", "/jobs/Keep", {"params": {"text": "mine"}})
    second = await call("POST", "/jobs/Keep", {"params": {"text": "theirs"}, "priority": 9}, headers=OTHER)
    assert (second.status_code, second.json()["id"]) == (200, first.json()["id"])
    (entry,) = await call.backend.store.audit_log(AuditQuery())
    assert (entry.actor, str(entry.action), entry.target) == ("token:other", "replace", first.json()["id"])
    assert entry.detail == "new params, priority 9"
    assert "theirs" not in str(entry)


@pytest.mark.parametrize("path", ["/jobs/Keep", "/batches/Keep"])
@pytest.mark.parametrize("is_known", [True, False])
async def test_who_may_not_read_a_queue_learns_nothing_of_redacted_keys(
    path: str, is_known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBS_KEY_SECRET", KEY_SECRET)
    call = caller_with(Scope.ENQUEUE, redact=("/password",))
    if is_known:
        await call("POST", "/jobs/Keep", {"params": {"text": "mine", "password": "guess"}})
    params = {"text": "x", "password": "guess"}
    answer = await call("POST", path, {"params": [params] if "batches" in path else params}, headers=OTHER)
    assert answer.status_code == 403
    assert "lacks the scope read for the queue 'default', which jobs with a redacted unique key need too" in answer.text


async def test_who_may_read_the_queue_may_enqueue_jobs_with_redacted_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBS_KEY_SECRET", KEY_SECRET)
    call = caller_with(Scope.ENQUEUE, Scope.READ, redact=("/password",))
    answer = await call("POST", "/jobs/Keep", {"params": {"text": "x", "password": "guess"}}, headers=OTHER)
    assert answer.status_code == 201
