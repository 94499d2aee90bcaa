"""Jobs that only one call in Python enqueues: no route does, whatever the token. Stored ones can be managed."""

from __future__ import annotations

import re

import pytest
from server_jobs import JobOptions, create_job_registry
from server_jobs.domain.record import JobQuery, NewJob
from server_jobs.memory import InMemoryBackend
from server_jobs_http import Tokens, create_app
from server_jobs_http.app import under_prefix
from server_jobs_http.openapi import document

from tests.server_jobs_http.caller import TOKEN, Caller, keep_job
from tests.server_jobs_http.dashboard.site import PLACE, Client
from tests.server_jobs_http.test_scopes import caller_with

ID = "00000000-0000-7000-8000-000000000001"
NAME = "shop.tasks.pay"
NEW = {"cron": "0 7 * * *", "params": {"text": "x"}}


def backend(enqueued_by: str | None = "pay.enqueue(...)") -> InMemoryBackend:
    """Return a backend with the job Keep, and with a job that only its own call enqueues."""
    keep = keep_job()
    own = {"job_name": NAME, "spec_name": NAME, "enqueued_by": enqueued_by}
    pay = type(NAME, (keep,), {**own, "options": JobOptions(queue="payments")})
    return InMemoryBackend(job_registry=create_job_registry().register(keep).register(pay))


ROUTES = pytest.mark.parametrize(
    ("method", "place", "body"),
    [
        ("POST", f"/jobs/{NAME}", {"params": {"text": "x"}}),
        ("POST", f"/batches/{NAME}", {"params": [{"text": "x"}]}),
        ("POST", "/batches/Keep", {"params": [{"text": "x"}], "then": {"job_name": NAME, "params": {"text": "x"}}}),
        ("POST", f"/schedules/{NAME}/daily", NEW),
    ],
    ids=["job", "batch", "completion", "schedule"],
)


@ROUTES
async def test_no_route_enqueues_it(method: str, place: str, body: object) -> None:
    call = Caller(backend())
    reply = await call(method, place, body)

    assert reply.status_code == 422
    assert f"{NAME} can only be enqueued in Python, with pay.enqueue(...)" in reply.text
    assert await call.stored() == 0
    assert (await call("GET", "/schedules")).json() == {"schedules": []}
    for scopes in (["enqueue:default", "admin:default"], ["read"]):
        reply = await caller_with(scopes, backend())(method, place, body)
        assert reply.status_code == 403


@ROUTES
async def test_sabotage_without_the_attribute_each_route_enqueues_it(method: str, place: str, body: object) -> None:
    assert (await Caller(backend(enqueued_by=None))(method, place, body)).status_code == 201


def hidden(page: str) -> dict[str, str]:
    """Return the hidden fields of a form."""
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))


async def test_no_form_enqueues_or_repairs_it() -> None:
    made = backend()
    await made.initialize()
    unreadable = NewJob(ID, '{"text": 1}', job_name=NAME, queue="payments", max_attempts=1)
    await made.store.insert([unreadable])
    for claim in (await made.poll_and_claim(1)).claimed_jobs:
        await made.execute(claim)
    client = Client(under_prefix(create_app(made, Tokens(TOKEN))))
    await client.signs_in()

    chosen = (await client("GET", f"{PLACE}/enqueue")).text
    assert f"{PLACE}/enqueue/Keep" in chosen
    assert NAME not in chosen
    form = {"p.text": "x", **hidden((await client("GET", f"{PLACE}/enqueue/Keep")).text)}
    for method in ("GET", "POST"):
        page = await client(method, f"{PLACE}/enqueue/{NAME}", form if method == "POST" else None)
        assert (page.status_code, "can only be enqueued in Python" in page.text) == (422, True)
    assert "/repair" not in (await client("GET", f"{PLACE}/jobs/{ID}")).text
    place = f"{PLACE}/jobs/{ID}/repair"
    repaired = await client("POST", place, {"p.text": "x", **hidden((await client("GET", place)).text)})
    assert (repaired.status_code, "can only be enqueued in Python" in repaired.text) == (422, True)
    (stored,) = await made.store.list_jobs(JobQuery())
    assert (stored.is_parked, stored.params) == (True, '{"text": 1}')


async def test_the_document_does_not_describe_it() -> None:
    found = document(backend().registry, server="/")

    assert "/jobs/Keep" in found["paths"]
    assert NAME not in str(found)


async def test_a_stored_one_is_listed_and_managed_by_the_scopes_of_its_queue() -> None:
    payments = caller_with(["read:payments", "admin:payments"], backend())
    await payments.backend.initialize()
    await payments.backend.store.insert([NewJob(ID, '{"text": "x"}', job_name=NAME, queue="payments")])

    (listed,) = (await payments("GET", f"/jobs?job_name={NAME}&queue=payments")).json()["jobs"]
    assert (listed["job_name"], listed["queue"]) == (NAME, "payments")
    assert (await payments("GET", f"/jobs/{ID}")).json()["params"]["text"] == "x"
    for action in ("cancel", "retry", "cancel"):
        assert (await payments("POST", f"/jobs/{ID}/{action}")).status_code == 200
    others = caller_with(["read:default", "admin:default", "enqueue:default"], payments.backend)
    assert (await others("GET", f"/jobs/{ID}")).status_code == 404
    assert (await others("POST", f"/jobs/{ID}/retry")).status_code == 404
