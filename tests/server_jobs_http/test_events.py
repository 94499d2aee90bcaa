"""The streams of the progress of a job and of a batch."""

from __future__ import annotations

import asyncio
import json
from collections.abc import MutableMapping
from datetime import timedelta
from typing import Any

import pytest
from server_jobs.domain.record import Heartbeat
from server_jobs.engine.tick import tick
from server_jobs.errors import DatabaseError
from server_jobs_http import HttpOptions, event_stream
from server_jobs_http.routes import events

from tests.server_jobs_http.caller import BEARER, Caller


def read(text: str) -> list[tuple[str, dict[str, object]]]:
    """Return the events in a stream: their names and data."""
    found: list[tuple[str, dict[str, object]]] = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_PAUSE", 0.01)


async def test_each_change_is_an_event_and_the_last_one_says_how_it_ended() -> None:
    call = Caller()
    job_id = call.backend.add_job(job_name="Keep", params={"text": "x"})
    stream = asyncio.create_task(call("GET", f"/jobs/{job_id}/events"))
    await asyncio.sleep(0.05)
    (claim,) = (await call.backend.poll_and_claim()).claimed_jobs
    await call.backend.store.renew(
        [Heartbeat(id=job_id, token=claim.token, progress=50, message="half way")], timedelta(minutes=1)
    )
    await asyncio.sleep(0.05)
    await call.backend.execute(claim)

    reply = await stream

    assert reply.headers["content-type"].startswith("text/event-stream")
    found = read(reply.text)
    assert found[0] == ("progress", {"status": "pending", "progress": 0, "message": None, "attempt_count": 0})
    assert ("progress", {"status": "running", "progress": 50, "message": "half way", "attempt_count": 1}) in found
    assert (found[-1][0], found[-1][1]["status"]) == ("end", "completed")


async def test_each_change_of_a_batch_is_an_event_and_the_last_one_follows_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(events, "_PAUSE_OF_BATCH", 0.01)
    call = Caller()
    keep = call.backend.registry.find("Keep").job
    keep.bind(call.backend)
    batch = await keep.later_many([{"text": "x"}, {"text": "bad"}])
    head = await call("HEAD", f"/batches/{batch.id}/events")
    stream = asyncio.create_task(call("GET", f"/batches/{batch.id}/events"))
    await asyncio.sleep(0.05)
    assert not stream.done()
    await tick(call.backend)

    reply = await stream

    assert (head.status_code, head.headers) == (200, reply.headers)
    (first_name, first), *_, (last_name, last) = read(reply.text)
    assert (first_name, first["pending"], first["percent"]) == ("progress", 2, 0)
    assert (last_name, last) == ("end", (await call("GET", f"/batches/{batch.id}")).json())
    assert (last["completed"], last["failed"], last["percent"]) == (1, 1, 100)
    assert (await call("GET", "/batches/gone/events")).status_code == 404


async def test_who_asks_for_the_headers_alone_gets_them_at_once() -> None:
    call = Caller()
    job_id = call.backend.add_job(job_name="Keep", params={"text": "bad"})
    head = await call("HEAD", f"/jobs/{job_id}/events")
    await tick(call.backend)
    stream = await call("GET", f"/jobs/{job_id}/events")

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers == stream.headers
    assert (await call("HEAD", "/jobs/gone/events")).status_code == 404


async def test_the_result_of_a_finished_job_returns_at_once() -> None:
    call = Caller()
    job_id = call.backend.add_job(job_name="Keep", params={"text": "bad"})
    await tick(call.backend)

    (event,) = read((await call("GET", f"/jobs/{job_id}/events")).text)

    assert (event[0], event[1]["status"]) == ("end", "failed")
    assert "cannot keep" not in str(event)


async def test_a_stream_on_which_nothing_happens_is_kept_alive_and_ends_after_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_stream, "_SILENCE", 0.02)
    call = Caller(options=HttpOptions(longest_stream=timedelta(seconds=0.1)))
    job_id = call.backend.add_job(job_name="Keep", params={"text": "x"})

    reply = await call("GET", f"/jobs/{job_id}/events")

    assert [name for name, _ in read(reply.text)] == ["progress"]
    assert ": nothing new" in reply.text
    assert reply.text.startswith("retry: ")


async def test_a_stream_ends_when_its_job_is_deleted_or_the_database_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    call = Caller()
    job_id = call.backend.add_job(job_name="Keep", params={"text": "x"})
    summary = await call.backend.store.summary(job_id)
    answers = [summary, summary, None, summary, DatabaseError("away")]

    async def answered(_: str) -> object:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(call.backend.store, "summary", answered)

    replies = [await call("GET", f"/jobs/{job_id}/events") for _ in range(2)]

    assert [[name for name, _ in read(reply.text)] for reply in replies] == [["progress"], ["progress"]]
    assert answers == []


async def test_a_stream_ends_when_its_client_disconnects_on_any_asgi_server() -> None:
    call = Caller()
    job_id = call.backend.add_job(job_name="Keep", params={"text": "x"})

    for version in ("2.0", "2.4"):
        heard, sent = asyncio.Event(), list[MutableMapping[str, Any]]()
        await asyncio.wait_for(_read_until(heard, call, job_id, version, sent), 10)

        assert [message["type"] for message in sent] == ["http.response.start", *["http.response.body"] * 2]
        assert all(message["more_body"] for message in sent[1:])


async def test_a_connection_that_breaks_is_no_error_of_the_stream(caplog: pytest.LogCaptureFixture) -> None:
    call = Caller()
    job_id = call.backend.add_job(job_name="Keep", params={"text": "x"})
    sent: list[MutableMapping[str, Any]] = []

    await asyncio.wait_for(_read_until(asyncio.Event(), call, job_id, "2.0", sent, breaks_after=1), 10)

    assert [message["type"] for message in sent] == ["http.response.start"]
    assert caplog.records == []


async def _read_until(
    heard: asyncio.Event,
    call: Caller,
    job_id: str,
    version: str,
    sent: list[MutableMapping[str, Any]],
    *,
    breaks_after: int = 100,
) -> None:
    """Read the stream of a job, and disconnect at its second message."""

    async def receive() -> MutableMapping[str, Any]:
        await heard.wait()
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        if len(sent) == breaks_after:
            raise OSError("broken pipe")
        sent.append(message)
        if b"event: progress" in message.get("body", b""):
            heard.set()

    headers = [(name.encode(), value.encode()) for name, value in BEARER.items()]
    scope = {"type": "http", "asgi": {"spec_version": version}, "method": "GET", "headers": headers}
    await call.app({**scope, "path": f"/jobs/{job_id}/events", "query_string": b""}, receive, send)
