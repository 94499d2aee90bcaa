"""Middleware sees the trace of the request that enqueues a job, for every route that enqueues."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlencode

import pytest
from server_jobs import Enqueue, Job, JobContext, Middleware, Schedule, create_job_registry, define_job
from server_jobs.memory import InMemoryBackend
from server_jobs.security.tokens import Caller as Person
from server_jobs.security.tokens import Scope
from server_jobs_http import Tokens, create_app
from server_jobs_http.dashboard.sessions import csrf_token
from server_jobs_http.request_trace import request_trace
from starlette.requests import Request

from tests.server_jobs_http.caller import TOKEN, Caller, Kept, Note

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = {"traceparent": PARENT, "tracestate": "rojo=00f067aa0ba902b7"}
PERSON = Person("ada", dict.fromkeys(Scope))


class Recorder(Middleware):
    """Records the calls, and adds no header."""

    def __init__(self) -> None:
        self.enqueues: list[Enqueue] = []

    @contextmanager
    def around_enqueue(self, enqueue: Enqueue) -> Iterator[None]:
        self.enqueues.append(enqueue)
        yield

    @property
    def traces(self) -> list[dict[str, str]]:
        """The trace of each call."""
        return [dict(one.request_trace) for one in self.enqueues]


def recorded() -> tuple[Caller, Recorder]:
    """Return a caller of the routes and the dashboard, and the recorder of all enqueues.

    The job `Note` has a schedule. Its handler enqueues the job `Child`.
    """
    recorder, child = Recorder(), child_job()

    async def enqueue_child(params: Note, context: JobContext) -> Kept:
        await child.later({"text": params.text})
        return Kept(length=1)

    hourly = Schedule(name="hourly", cron="0 * * * *", params='{"text": "scheduled"}')
    job = define_job(name="Note", params=Note, result=Kept, handler=enqueue_child, schedules=(hourly,))
    registry = create_job_registry().register(job).register(child).use(recorder)
    backend, tokens = InMemoryBackend(job_registry=registry), Tokens(TOKEN)
    return Caller(backend, app=create_app(backend, tokens, dashboard_access=lambda _: PERSON)), recorder


def child_job() -> type[Job[Note, Kept, Mapping[str, object]]]:
    """Return a job that does nothing."""

    async def nothing(params: Note, context: JobContext) -> Kept:
        return Kept(length=0)

    return define_job(name="Child", params=Note, result=Kept, handler=nothing)


async def sent_form(call: Caller, path: str, **fields: str) -> None:
    """Send a form of the dashboard, as a page does that belongs to a trace."""
    form = urlencode({"csrf": csrf_token("user:ada", Tokens(TOKEN)), **fields})
    headers = {"content-type": "application/x-www-form-urlencoded", **TRACE}
    reply = await call("POST", f"/dashboard{path}", headers=headers, content=form.encode())
    assert reply.status_code == 303


def request(*headers: tuple[str, str]) -> Request:
    """Return a request with these headers."""
    return Request({"type": "http", "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers]})


async def test_middleware_sees_the_trace_of_a_request_that_enqueues() -> None:
    call, recorder = recorded()
    await call("POST", "/jobs/Child", {"params": {"text": "x"}}, headers={**TRACE, "baggage": "a=b", "cookie": "c"})
    await call("POST", "/jobs/Child", {"params": {"text": "x"}})
    await call.backend.registry.find("Child").job.using(call.backend).later({"text": "x"})
    assert recorder.traces == [TRACE, {}, {}]


async def test_middleware_sees_the_trace_of_forms_that_enqueue() -> None:
    call, recorder = recorded()
    await call.backend.initialize()
    (schedule,) = await call.backend.store.list_schedules()
    await sent_form(call, "/enqueue/Child", **{"p/text": "x"})
    await sent_form(call, "/schedules", schedule=schedule.id, action="run")
    assert [one.job_name for one in recorder.enqueues] == ["Child", "Note"]
    assert recorder.traces == [TRACE, TRACE]


async def test_jobs_that_a_trigger_runs_do_not_enqueue_in_its_trace() -> None:
    call, recorder = recorded()
    await call("POST", "/jobs/Note", {"params": {"text": "x"}})
    assert (await call("POST", "/trigger", headers=TRACE)).json()["completed"] == 2
    assert [one.job_name for one in recorder.enqueues] == ["Note", "Child"]
    assert recorder.traces == [{}, {}]


async def test_the_trace_is_read_only_and_not_stored() -> None:
    call, recorder = recorded()
    reply = await call("POST", "/jobs/Child", {"params": {"text": "x"}}, headers=TRACE)
    record = await call.backend.store.get(reply.json()["id"])
    assert record is not None
    assert record.headers is None
    assert PARENT not in repr(record)
    with pytest.raises(TypeError):
        recorder.enqueues[0].request_trace["traceparent"] = "x"  # type: ignore[index]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], {}),
        ([("traceparent", PARENT)], {"traceparent": PARENT}),
        ([("tracestate", "a=b")], {}),
        ([("traceparent", "")], {}),
        ([("traceparent", PARENT), ("traceparent", PARENT)], {}),
        ([("traceparent", f"{PARENT}, {PARENT}")], {}),
        ([("traceparent", f"01-{PARENT[3:]}-{'x' * 512}"), ("tracestate", "a=b")], {}),
        ([("traceparent", PARENT), ("tracestate", "")], {"traceparent": PARENT}),
        ([("traceparent", PARENT), ("tracestate", "a=b"), ("tracestate", "c=d")], {**TRACE, "tracestate": "a=b,c=d"}),
        ([("traceparent", PARENT), ("tracestate", "x" * 1024)], {**TRACE, "tracestate": "x" * 1024}),
        ([("traceparent", PARENT), ("tracestate", "x" * 1025)], {"traceparent": PARENT}),
        ([("traceparent", PARENT), ("baggage", "a=b")], {"traceparent": PARENT}),
    ],
)
def test_only_one_short_parent_and_its_state_are_read(headers: list[tuple[str, str]], expected: dict[str, str]) -> None:
    assert request_trace(request(*headers)) == expected
