"""Rows of earlier versions are read as written, upcast step by step and checked; otherwise they are parked."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

import pytest
from pydantic import BaseModel, ConfigDict
from server_jobs import (
    ConcurrencyLimit,
    EarlierVersion,
    InvalidOptionError,
    JobContext,
    JobOptions,
    JobUnavailableError,
    RetryPolicy,
    UpcastError,
    UpcastNotImplementedError,
    Worker,
    create_job_registry,
    define_job,
    tick,
)
from server_jobs.contract.model import JobModel
from server_jobs.contract.upcasts import AnyEarlierVersion, Versions
from server_jobs.domain.record import JobQuery, JobStatus, KnownJob, NewJob
from server_jobs.engine.worker_backend import PollingBackend
from server_jobs.errors import InvalidParamsError
from server_jobs.job import AnyJob
from server_jobs.stores.memory import MemoryStore

from tests.runtime.example_jobs import backend_on, read

NOW = timedelta(0)
_EVERY = JobQuery()


class Name(BaseModel):
    """Version 1: a name as one text."""

    model_config = ConfigDict(extra="forbid", strict=True)
    name: str


class Names(BaseModel):
    """Version 2: a first and a last name."""

    model_config = ConfigDict(extra="forbid", strict=True)
    first: str
    last: str


class Person(BaseModel):
    """Version 3: also the form of address."""

    model_config = ConfigDict(extra="forbid", strict=True)
    first: str
    last: str
    title: str


class Greeting(BaseModel):
    """The result of the handler."""

    text: str


def split(params: Name) -> Names:
    first, last = params.name.split(" ")
    return Names(first=first, last=last)


def address(params: Names) -> Person:
    return Person(first=params.first, last=params.last, title="Dr.")


def stub(params: Name) -> Names:
    raise UpcastNotImplementedError("Greet", 1)


def later_stub(params: Names) -> Person:
    raise UpcastNotImplementedError("Greet", 2)


async def greet(params: Person, context: JobContext) -> Greeting:
    return Greeting(text=f"{params.title} {params.first} {params.last}")


FROM_1 = EarlierVersion[Name, Names](1, Name, split)
FROM_2 = EarlierVersion[Names, Person](2, Names, address)
OPTIONS = JobOptions(version=3, retry=RetryPolicy(initial=NOW, jitter=0))


def greet_job(*earlier: AnyEarlierVersion, options: JobOptions = OPTIONS) -> AnyJob:
    return define_job(name="Greet", params=Person, result=Greeting, handler=greet, options=options, earlier=earlier)


def row(job_id: str, version: int, params: str) -> NewJob:
    return NewJob(id=job_id, job_name="Greet", params=params, spec_version=version)


async def run_all(backend: PollingBackend) -> None:
    while claims := (await backend.poll_and_claim()).claimed_jobs:
        for claim in claims:
            await backend.execute(claim)


ROWS = [
    row("v1", 1, '{"name": "Ada Lovelace"}'),
    row("v2", 2, '{"first": "Alan", "last": "Turing"}'),
    row("v3", 3, '{"first": "Grace", "last": "Hopper", "title": "Admiral"}'),
]


async def test_the_handler_sees_rows_of_every_version_as_the_current_one() -> None:
    backend = backend_on(MemoryStore(), greet_job(FROM_1, FROM_2))
    await backend.store.insert(ROWS)

    await run_all(backend)

    assert [(await read(backend, job_id)).result for job_id in ("v1", "v2", "v3")] == [
        '{"text":"Dr. Ada Lovelace"}',
        '{"text":"Dr. Alan Turing"}',
        '{"text":"Admiral Grace Hopper"}',
    ]


async def test_a_row_that_is_upcast_keeps_its_params_and_its_version_in_the_database() -> None:
    backend = backend_on(MemoryStore(), greet_job(FROM_1, FROM_2))
    await backend.store.insert(ROWS[:1])
    await run_all(backend)
    record = await read(backend, "v1")
    assert (record.status, record.params, record.spec_version) == (JobStatus.COMPLETED, ROWS[0].params, 1)


async def test_a_cron_trigger_runs_rows_of_every_version() -> None:
    backend = backend_on(MemoryStore(), greet_job(FROM_1, FROM_2))
    await backend.store.insert(ROWS)
    assert (await tick(backend)).completed == len(ROWS)


async def test_a_version_without_an_upcaster_is_read_as_the_next_one() -> None:
    backend = backend_on(MemoryStore(), greet_job(EarlierVersion(1, Names), FROM_2))
    await backend.store.insert([row("v1", 1, '{"first": "Ada", "last": "Lovelace"}')])
    await run_all(backend)
    assert (await read(backend, "v1")).result == '{"text":"Dr. Ada Lovelace"}'


async def test_a_row_of_any_known_version_is_run_by_its_id() -> None:
    job = greet_job(FROM_1, FROM_2)
    backend = backend_on(MemoryStore(), job)
    await backend.store.insert(ROWS)
    for new in ROWS:
        assert (await job.execute_from_database(new.id)).ok


async def test_params_of_an_earlier_version_are_read_by_hand() -> None:
    job = greet_job(FROM_1, FROM_2)
    backend = backend_on(MemoryStore(), job)
    await backend.store.insert(ROWS[:1])
    assert job.read_params(await read(backend, "v1")) == Person(first="Ada", last="Lovelace", title="Dr.")


async def test_earlier_versions_can_be_given_to_the_registry_as_handlers_are() -> None:
    job = greet_job()
    registry = create_job_registry().register(job, earlier=(FROM_1, FROM_2))
    backend = PollingBackend(database=MemoryStore(), job_registry=registry)
    await backend.store.insert(ROWS)
    await run_all(backend)
    assert (await read(backend, "v1")).status is JobStatus.COMPLETED
    assert registry.versions_of(job).readable == (3, 2, 1)


def test_each_version_that_can_be_read_is_known_with_the_limits_of_the_job() -> None:
    limit = ConcurrencyLimit(limit=2)
    job = greet_job(FROM_1, FROM_2, options=JobOptions(version=3, concurrency=limit))
    registry = create_job_registry().register(job)
    assert registry.known_jobs() == tuple(KnownJob("Greet", version, limit) for version in (3, 2, 1))


@pytest.mark.parametrize(
    ("earlier", "known", "stubs"),
    [
        ((EarlierVersion(1, Name, stub), FROM_2), [3, 2], (1,)),
        ((FROM_1, EarlierVersion(2, Names, later_stub)), [3], (2,)),
        ((EarlierVersion(1, Name, stub), EarlierVersion(2, Names, later_stub)), [3], (1, 2)),
    ],
)
async def test_versions_before_a_stub_are_not_known_and_wait(
    earlier: tuple[AnyEarlierVersion, ...],
    known: list[int],
    stubs: tuple[int, ...],
    caplog: pytest.LogCaptureFixture,
) -> None:
    job = greet_job(*earlier)
    backend = backend_on(MemoryStore(), job)
    registry = backend.registry
    assert [each.version for each in registry.known_jobs()] == known
    assert registry.find("Greet").versions.stubs == stubs
    await backend.store.insert(ROWS)
    with caplog.at_level(logging.WARNING):
        await Worker(backend, until_empty=True).run()
    assert f"the upcaster of Greet from version {stubs[0]} is still a stub" in caplog.text
    for new in ROWS:
        done = new.spec_version in known
        assert (await read(backend, new.id)).status is (JobStatus.COMPLETED if done else JobStatus.PENDING)
    with pytest.raises(JobUnavailableError, match="is still a stub"):
        await job.execute_from_database("v1")


@pytest.mark.parametrize(
    "versions",
    [
        (FROM_2, FROM_1),
        (FROM_1, FROM_1),
        (EarlierVersion(3, Name, split),),
        (EarlierVersion(0, Name, split),),
    ],
)
def test_earlier_versions_out_of_order_are_refused(versions: tuple[AnyEarlierVersion, ...]) -> None:
    with pytest.raises(InvalidOptionError, match="ascending order"):
        greet_job(*versions)


def test_an_async_upcaster_is_refused() -> None:
    async def wait(params: Name) -> Names:
        return split(params)

    with pytest.raises(InvalidOptionError, match="plain function"):
        greet_job(EarlierVersion(1, Name, wait), FROM_2)


# --- parking -------------------------------------------------------------------------------------------------------


def raising(params: Name) -> Names:
    raise LookupError(f"nobody is called {params.name}")


def exiting(params: Name) -> Names:
    raise SystemExit(params.name)


def returning_another_model(params: Name) -> Names:
    return params  # type: ignore[return-value]


def returning_what_does_not_fit(params: Name) -> Names:
    return Names.model_construct(first=params.name, last=5)


def returning_none(params: Name) -> None:
    pass


WRONG: list[tuple[Callable[..., object], str]] = [
    (raising, "LookupError: nobody is called Ada Lovelace (at contract/test_upcasts.py:"),
    (exiting, "SystemExit: Ada Lovelace (at contract/test_upcasts.py:"),
    (split, "not enough values to unpack"),
    (returning_another_model, "returned a value of type Name, not Names"),
    (returning_what_does_not_fit, "returned what the next version refuses: /last: Input should be a valid string"),
    (returning_none, "returned a value of type NoneType, not Names"),
]


@pytest.mark.parametrize(("upcast", "reason"), WRONG)
async def test_a_row_whose_upcast_fails_is_parked_and_not_tried_again(
    upcast: Callable[..., object], reason: str
) -> None:
    params = '{"name": "Ada"}' if upcast is split else ROWS[0].params
    backend = backend_on(MemoryStore(), greet_job(EarlierVersion(1, Name, upcast), FROM_2))
    await backend.store.insert([row("v1", 1, params)])

    await run_all(backend)

    record = await read(backend, "v1")
    assert (record.is_parked, record.attempt_count, record.params) == (True, 1, params)
    assert record.error is not None
    assert record.error.startswith("UNREADABLE: UpcastError: a job Greet of version 1 cannot be brought")
    assert reason in record.error


@pytest.mark.parametrize(("upcast", "reason"), WRONG)
async def test_secrets_in_an_upcasters_error_are_not_stored(upcast: Callable[..., object], reason: str) -> None:
    options = JobOptions(version=3, redact=("/title",))
    job = greet_job(EarlierVersion(1, Name, upcast), FROM_2, options=options)
    backend = backend_on(MemoryStore(), job)
    await backend.store.insert([row("v1", 1, '{"name": "Adalovelace"}'), row("v2", 1, '{"name": ["Adalovelace"]}')])
    await run_all(backend)
    for job_id in ("v1", "v2"):
        record = await read(backend, job_id)
        assert record.is_parked
        assert "Ada" not in str(record.error)


class Strict(JobModel):
    """Version 2 as the generator writes it."""

    first: str


class FirstName(BaseModel):
    """The same without a constructor of this project."""

    first: str


@pytest.mark.parametrize("model", [Strict, FirstName])
async def test_a_model_error_inside_an_upcaster_names_the_upcasters_line(
    model: type[Strict | FirstName],
) -> None:
    def raises_in_a_model(params: Name) -> BaseModel:
        return model(first=5)  # type: ignore[arg-type]

    backend = backend_on(MemoryStore(), greet_job(EarlierVersion(1, Name, raises_in_a_model), FROM_2))
    await backend.store.insert(ROWS[:1])
    await run_all(backend)
    line = raises_in_a_model.__code__.co_firstlineno + 1
    error = (await read(backend, "v1")).error
    assert error is not None
    assert error.endswith(f"(at contract/test_upcasts.py:{line} in raises_in_a_model)")


async def test_a_row_that_its_own_version_refuses_is_parked_with_the_pointer() -> None:
    backend = backend_on(MemoryStore(), greet_job(FROM_1, FROM_2))
    await backend.store.insert([row("v1", 1, '{"name": 5}')])
    await run_all(backend)
    error = (await read(backend, "v1")).error
    assert error is not None
    assert "params of Greet version 1 do not fit its spec: /name: Input should be a valid string" in error


async def test_a_parked_job_that_is_retried_is_read_again() -> None:
    store = MemoryStore()
    broken = backend_on(store, greet_job(EarlierVersion(1, Name, raising), FROM_2))
    await store.insert(ROWS[:1])
    await run_all(broken)
    mended = backend_on(store, greet_job(FROM_1, FROM_2))
    await store.retry("v1")
    await run_all(mended)
    assert (await read(mended, "v1")).status is JobStatus.COMPLETED


class UNREADABLE(Exception):
    """An error with which a handler might try to look parked."""


class Text(BaseModel):
    """Any params."""

    text: str


@pytest.mark.parametrize("error", [UNREADABLE("me"), InvalidParamsError("Other", ()), UpcastError("Greet", 1, "why")])
async def test_an_error_of_a_handler_is_never_taken_for_parked(error: Exception) -> None:
    async def handle(params: Text, context: JobContext) -> Text:
        raise error

    options = JobOptions(max_attempts=1)
    job = define_job(name="Echo", params=Text, result=Text, handler=handle, options=options)
    backend = backend_on(MemoryStore(), job)
    await job.later(Text(text="a"))
    await run_all(backend)
    (record,) = await backend.store.list_jobs(_EVERY)
    assert record.status is JobStatus.FAILED
    assert not record.is_parked


async def test_a_run_without_a_row_is_of_the_current_version() -> None:
    job = greet_job(FROM_1, FROM_2)
    backend_on(MemoryStore(), job)
    result = await job.now(Person(first="A", last="B", title="C"), persist=False)
    assert result.ok
    stored = await job.now(Person(first="A", last="B", title="C"))
    assert stored.ok


# --- sabotage ------------------------------------------------------------------------------------------------------


async def test_sabotage_without_the_chain_the_tests_of_it_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Versions, "current_params", lambda self, text, version: text)
    with pytest.raises(AssertionError):
        await test_the_handler_sees_rows_of_every_version_as_the_current_one()


async def test_sabotage_with_a_step_left_out_the_tests_of_the_chain_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Versions, "_write", lambda self, step, model, made: made.model_dump_json())
    with pytest.raises(AssertionError):
        await test_a_row_whose_upcast_fails_is_parked_and_not_tried_again(*WRONG[3])
