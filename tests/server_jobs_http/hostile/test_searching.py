"""The cost of searches in documents: for the event loop, for one caller, and after the client is gone."""

from __future__ import annotations

import asyncio
import itertools
import time
from types import SimpleNamespace

import pytest
from server_jobs.domain.search import FindStep, Found
from server_jobs.memory import InMemoryBackend
from server_jobs.stores import searching as documents
from server_jobs.testing.conformance.examples import job
from server_jobs_http import HttpOptions, Tokens, searching
from server_jobs_http.app import create_app
from starlette.types import Message

from tests.measuring import assert_cpu_seconds
from tests.server_jobs_http.caller import TOKEN, Caller, new_backend

SEARCH = "/jobs?job_name=Keep&where=params.text=x"


@pytest.mark.parametrize(
    "document",
    [
        f'{{"addresses": [{"1," * 99_999}1]}}',
        f'{{"addresses": [{"{}," * 70_000}{{"a": 1}}]}}',
        f'{{"addresses": {"[" * 400}{"1," * 90_000}1{"]" * 400}}}',
    ],
    ids=["numbers", "objects", "deep lists"],
)
async def test_a_search_in_large_documents_costs_little_and_others_are_served_meanwhile(
    document: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = Caller()
    await call.backend.store.insert([job(name, "Keep", params=document) for name in "abcde"])
    conditions = "".join(f"&where=params.addresses{'.a' * (number % 2)}=1" for number in range(10))

    async def turns_of_others(slice_seconds: float) -> int:
        """Return the turns of another task during the search, if each document and each comparison takes so long."""
        clock = itertools.count()
        monkeypatch.setattr(documents, "time", SimpleNamespace(monotonic=lambda: next(clock) * slice_seconds))
        searched = asyncio.create_task(call("GET", f"/jobs?job_name=Keep{conditions}"))
        turns = 0
        while not searched.done():
            await asyncio.sleep(0)
            turns += 1
        assert searched.result().status_code == 200
        return turns

    began = time.process_time()
    alone = await turns_of_others(0)
    assert_cpu_seconds(time.process_time() - began, 2)
    assert await turns_of_others(0.006) - alone >= 10


def slow(backend: InMemoryBackend, monkeypatch: pytest.MonkeyPatch) -> list[FindStep]:
    """Make each step find nothing, with more to come. Return the steps taken."""
    steps: list[FindStep] = []

    async def find(step: FindStep) -> Found:
        steps.append(step)
        await asyncio.sleep(0.01)
        return Found((), "0199d2a4-77a0-7cc1-a1f3-52a9b6a1c0de")

    monkeypatch.setattr(backend.store, "find", find)
    return steps


async def test_a_search_ends_after_its_time_with_the_place_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    call = Caller()
    steps = slow(call.backend, monkeypatch)
    all_steps = (await call("GET", SEARCH)).json()
    monkeypatch.setattr(searching, "MOST_SECONDS", 0)
    one_step = (await call("GET", SEARCH)).json()

    assert all_steps == one_step == {"jobs": [], "next": "0199d2a4-77a0-7cc1-a1f3-52a9b6a1c0de"}
    assert len(steps) == searching.MOST_STEPS + 1


@pytest.mark.parametrize("is_gone", [False, True])
async def test_a_search_ends_when_its_client_is_gone(is_gone: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = new_backend()
    steps = slow(backend, monkeypatch)
    path, _, query = SEARCH.partition("?")

    async def receive() -> Message:
        if not is_gone:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        del message

    headers = [(b"authorization", f"Bearer {TOKEN}".encode())]
    scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode(), "headers": headers}
    await create_app(backend, Tokens(TOKEN))({**scope, "root_path": ""}, receive, send)

    assert len(steps) == (1 if is_gone else searching.MOST_STEPS)


async def test_one_caller_has_a_limit_of_searches_and_searches_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = new_backend()
    slow(backend, monkeypatch)
    call = Caller(backend, options=HttpOptions(most_searches_per_caller=2))

    answers = await asyncio.gather(*(call("GET", SEARCH) for _ in range(3)), call("GET", "/jobs"))
    monkeypatch.setattr(searching, "_LONGEST_WAIT", 0.001)
    late = await asyncio.gather(*(call("GET", SEARCH) for _ in range(2)))

    assert [one.status_code for one in answers] == [200, 200, 429, 200]
    assert sorted(one.status_code for one in late) == [200, 503]
    assert {one.headers["retry-after"] for one in [*answers, *late] if one.status_code != 200} == {"1"}


@pytest.mark.parametrize("number", ["1e" + "9" * 30, "-1e-" + "9" * 30, "1e999999", "9" * 5000, "NaN", "Infinity"])
@pytest.mark.parametrize("place", ["params.text", "result.length"])
async def test_no_number_is_too_large_for_a_condition(number: str, place: str) -> None:
    call = Caller()
    call.backend.add_job(job_name="Keep", params={"text": "x"})

    answer = await call("GET", f"/jobs?job_name=Keep&where={place}={number}")

    assert (answer.status_code, answer.json()) == (200, {"jobs": [], "next": None})
