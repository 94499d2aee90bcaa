"""Whatever the engine hands to a store comes back as it was, character for character."""

from __future__ import annotations

import pytest
from server_jobs.ports import Store
from server_jobs.record import Heartbeat, JobQuery, JobStatus
from server_jobs.testing import FakeClock

from tests.conformance.examples import (
    LEASE,
    START,
    completed,
    failed,
    firing,
    ids,
    insert_and_claim,
    job,
    read,
    schedule,
)

TEXTS = {
    "empty": "",
    "quotes": """it's "quoted" `so` '' \"\" \\" \\\\ \\u0041""",
    "sql": "'; DROP TABLE jobs; -- %s ? :now {now} $1 %(x)s",
    "unicode": "Zoë Ünïcödé 北京 שלום \N{PILE OF POO} e\N{COMBINING ACUTE ACCENT} \N{ZERO WIDTH JOINER}",
    "line ends": "a\nb\r\nc\rd\te\N{LINE SEPARATOR}f",
    "controls": "\x01\x1f\x7f\x85",
    "blanks": "  both ends \t\n",
    "looks like a number": "0012e3",
    "looks like json": '{"a": [1, null, "x"]}',
    "just null": "null",
}
DOCUMENTS = {
    "empty object": "{}",
    "negative zero": '{"x":-0.0}',
    "exponent": '{"x":1e400,"y":1e-400,"z":1E5}',
    "big integers": '{"x":9223372036854775808,"y":1' + "0" * 400 + "}",
    "long decimals": '{"x":0.1000000000000000055511151231257827021181583404541015625}',
    "key order": '{"b":1,"a":2,"c":{"z":1,"y":2}}',
    "spaces": '{ "a" : [ 1 , 2 ] }',
    "escapes": '{"a":"\\u0041\\n\\/\\"\\\\"}',
    "deep": "[" * 64 + "]" * 64,
    "scalar": "17",
    "string": '"text"',
    "null": "null",
    "true": "true",
}
MIB = '"' + "é" * (512 * 1024) + '"'


@pytest.mark.parametrize("text", [*TEXTS.values(), *DOCUMENTS.values(), MIB], ids=[*TEXTS, *DOCUMENTS, "1 MiB"])
async def test_texts_come_back_as_they_were(store: Store, clock: FakeClock, text: str) -> None:
    claim = await insert_and_claim(store, job("a", params=text))
    assert (await read(store, "a")).params == claim.record.params == text

    await store.settle([completed(claim, text)])
    assert (await read(store, "a")).result == text

    claim = await insert_and_claim(store, job("b"))
    await store.renew([Heartbeat(id="b", token=claim.token, progress=1, message=text)], LEASE)
    assert (await read(store, "b")).progress_message == text

    await store.settle([failed(claim, text, retry_after=None)])
    assert (await read(store, "b")).error == text


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
async def test_names_and_keys_come_back_as_they_were(store: Store, clock: FakeClock, text: str) -> None:
    await store.insert([job(text, text, queue=text, unique_key=text, correlation_id=text)])

    record = await read(store, text)
    assert (record.id, record.job_name, record.queue) == (text, text, text)
    assert (record.unique_key, record.correlation_id) == (text, text)
    assert ids(await store.list_jobs(JobQuery(job_name=text, queue=text, correlation_id=text))) == [text]
    (again,) = await store.insert([job("other", unique_key=text)])
    assert (again.id, again.created) == (text, False)


async def test_keys_that_differ_only_in_case_or_blanks_are_different(store: Store, clock: FakeClock) -> None:
    jobs = [job(key, unique_key=key) for key in ("key", "Key", "key ", " key", "kéy", "ke\N{COMBINING ACUTE ACCENT}y")]

    assert all(answer.created for answer in await store.insert(jobs))


@pytest.mark.parametrize("text", [*TEXTS.values(), *DOCUMENTS.values()], ids=[*TEXTS, *DOCUMENTS])
async def test_the_params_of_a_schedule_come_back_as_they_were(store: Store, clock: FakeClock, text: str) -> None:
    await store.save_schedules([schedule(params=text)])
    due = await store.due_schedules(["SendEmail"])

    assert due.schedules[0].params == text


async def test_times_before_1970_and_far_in_the_future_come_back_as_they_were(store: Store, clock: FakeClock) -> None:
    past, future = START.replace(year=1901), START.replace(year=9999)
    await store.insert([job("past", scheduled_for=past), job("future", scheduled_for=future)])
    await store.save_schedules([schedule()])
    await store.fire(firing(next_run_at=future))

    assert (await read(store, "past")).scheduled_for == past
    assert (await read(store, "future")).scheduled_for == future
    assert [one.next_run_at for one in await store.list_schedules()] == [future]
    assert (await read(store, "past")).status is JobStatus.PENDING
