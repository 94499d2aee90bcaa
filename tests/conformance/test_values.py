"""Every value that the engine stores comes back unchanged, character for character."""

from __future__ import annotations

from random import Random

import pytest
from pydantic import BaseModel, JsonValue
from server_jobs import InvalidParamsError, JobContext, JobStatus, create_job_registry, define_job, tick
from server_jobs.contract.values import MAX_ERROR_CHARACTERS, MAX_MESSAGE_CHARACTERS
from server_jobs.domain.interfaces import Store
from server_jobs.domain.options import ConcurrencyLimit, RateLimit
from server_jobs.domain.record import Heartbeat, JobQuery, KnownJob
from server_jobs.domain.text_limits import LONGEST_NAME, LONGEST_UNIQUE_KEY
from server_jobs.engine.backend import Backend
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
    request,
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


def nested(depth: int) -> JsonValue:
    """Return a list nested to that depth."""
    value: JsonValue = []
    for _ in range(depth - 1):
        value = [value]
    return value


KEPT: dict[str, JsonValue] = {
    "2^63": 2**63,
    "-2^63 - 1": -(2**63) - 1,
    "10^400": 10**400,
    "negative zero": -0.0,
    "smallest float": 5e-324,
    "greatest float": 1.7976931348623157e308,
    "47 levels": nested(47),
    "outside the plane": "\N{PILE OF POO}",
    "keys in order": {"b": 1, "a": {"z": None, "y": True}},
}
REFUSED: dict[str, tuple[JsonValue, str]] = {
    "NUL": ("a\0b", "/value: contains a NUL character, which not every database can store"),
    "NUL in a key": (
        {"a\0b": 1},
        r"/value: has the key 'a\x00b', which contains a NUL character, which not every database can store",
    ),
    "lone surrogate": ("\ud800", "/value: contains a lone surrogate, which is not valid Unicode"),
    "NaN": (float("nan"), "/value: is nan, which JSON cannot express"),
    "infinity": (float("-inf"), "/value: is -inf, which JSON cannot express"),
    "too deep": (nested(48), "(whole document): is nested more than 48 levels deep"),
    "too many digits": (10**4000, "/value: has more than 4,000 digits"),
    "too large": ("x" * 2**20, "(whole document): has 1,048,588 bytes; at most 1,048,576 are stored"),
}
"""Invalid values, with the message that every store gives."""

MIB = '"' + "é" * (512 * 1024 - 1) + '"'


@pytest.mark.parametrize("text", [*TEXTS.values(), *DOCUMENTS.values(), MIB], ids=[*TEXTS, *DOCUMENTS, "1 MiB"])
async def test_texts_come_back_as_they_were(store: Store, clock: FakeClock, text: str) -> None:
    claim = await insert_and_claim(store, job("a", params=text))
    assert (await read(store, "a")).params == claim.params == text

    # Each in its own row: D1 accepts no row of more than 2,000,000 bytes.
    await store.settle([completed(await insert_and_claim(store, job("b")), text)])
    assert (await read(store, "b")).result == text

    claim, message = await insert_and_claim(store, job("c")), text[:MAX_MESSAGE_CHARACTERS]
    await store.renew([Heartbeat(id="c", token=claim.token, progress=1, message=message)], LEASE)
    assert (await read(store, "c")).progress_message == message

    error = text[:MAX_ERROR_CHARACTERS]
    await store.settle([failed(await insert_and_claim(store, job("d")), error, retry_after=None)])
    assert (await read(store, "d")).error == error


async def test_names_and_keys_as_long_as_they_may_be_are_stored_by_every_index(store: Store, clock: FakeClock) -> None:
    dense = Random(1)

    def text(length: int) -> str:
        """Return text with four bytes a character that no database stores in fewer bytes."""
        return "".join(chr(dense.randrange(0x20000, 0x2A000)) for _ in range(length))

    name, other_name, queue = text(LONGEST_NAME), text(LONGEST_NAME), text(LONGEST_NAME)
    key = f"{name}:{text(LONGEST_UNIQUE_KEY)}"
    limited = KnownJob(name, 1, ConcurrencyLimit(limit=1), RateLimit(limit=1, per=LEASE))

    await store.insert([job("a", name, unique_key=key, concurrency_key="f" * 32, rate_key="f" * 32, queue=queue)])
    await store.save_schedules([schedule(job_name=name, name=other_name)])
    assert ids(await store.claim(request(limited))) == ["a"]
    assert await store.pause_queue(queue)

    assert (await read(store, "a")).unique_key == key
    assert [one.name for one in await store.list_schedules()] == [other_name]
    assert [one.name for one in await store.paused_queues()] == [queue]
    assert await store.resume_queue(queue)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
async def test_names_and_keys_come_back_as_they_were(store: Store, clock: FakeClock, text: str) -> None:
    await store.insert([job("a", text, queue=text, unique_key=text, correlation_id=text)])

    record = await read(store, "a")
    assert (record.job_name, record.queue) == (text, text)
    assert (record.unique_key, record.correlation_id) == (text, text)
    assert ids(await store.list_jobs(JobQuery(job_name=text, queues=(text,), correlation_id=text))) == ["a"]
    (again,) = await store.insert([job("other", unique_key=text)])
    assert (again.id, again.created) == ("a", False)


async def test_keys_that_differ_only_in_case_or_blanks_are_different(store: Store, clock: FakeClock) -> None:
    keys = ("key", "Key", "key ", " key", "kéy", "ke\N{COMBINING ACUTE ACCENT}y")
    jobs = [job(f"{number}", unique_key=key) for number, key in enumerate(keys)]

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


class Anything(BaseModel):
    """Params and result with any JSON value."""

    value: JsonValue


async def give_back(params: Anything, context: JobContext) -> Anything:
    """Return the given value, or the invalid one of that name."""
    name = params.value
    return Anything(value=REFUSED[name][0]) if isinstance(name, str) and name in REFUSED else params


GiveBack = define_job(name="GiveBack", params=Anything, result=Anything, handler=give_back)


def backend_on(store: Store) -> Backend:
    """Return a backend on the store, and the job bound to it."""
    return Backend(database=store, job_registry=create_job_registry().register(GiveBack))


@pytest.mark.parametrize("value", KEPT.values(), ids=KEPT)
async def test_a_value_passes_params_handler_and_result_unchanged(store: Store, value: JsonValue) -> None:
    backend = backend_on(store)
    handle = await GiveBack.using(backend).later(Anything(value=value))
    await tick(backend)

    result = await handle.result()
    assert repr(result.data.value) == repr(value)


@pytest.mark.parametrize(("value", "problem"), REFUSED.values(), ids=REFUSED)
async def test_a_value_that_some_store_could_not_keep_is_refused_as_params_on_every_store(
    store: Store, value: JsonValue, problem: str
) -> None:
    with pytest.raises(InvalidParamsError) as caught:
        await GiveBack.using(backend_on(store)).later({"value": value})

    assert [str(one) for one in caught.value.problems] == [problem]
    assert list(await store.count_jobs()) == []


@pytest.mark.parametrize(("name", "problem"), [(name, problem) for name, (_, problem) in REFUSED.items()], ids=REFUSED)
async def test_a_value_that_some_store_could_not_keep_fails_the_job_as_a_result_on_every_store(
    store: Store, name: str, problem: str
) -> None:
    backend = backend_on(store)
    handle = await GiveBack.using(backend).later(Anything(value=name))
    await tick(backend)

    record = await handle.record()
    assert record.status is JobStatus.PENDING  # its next attempt
    assert record.error == f"InvalidResultError: result of GiveBack does not fit its spec: {problem}"
