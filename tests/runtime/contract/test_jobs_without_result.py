"""Jobs without a result, whose handler returns None, and jobs that need no params."""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType

import pytest
from hypothesis import given, settings
from pydantic import BaseModel
from server_jobs import (
    Job,
    JobContext,
    JobFailedError,
    JobOptions,
    create_job_registry,
    define_job,
)
from server_jobs.definition import Handler
from server_jobs.job import OptionalParamsJob
from server_jobs.memory import InMemoryBackend
from server_jobs.testing import FakeJob, result_strategy

from tests.runtime.example_jobs import backend_on, echo, read, text_job


class Pruning(BaseModel):
    days: int = 30


DELETED: list[int] = []


async def prune(params: Pruning, context: JobContext) -> None:
    DELETED.append(params.days)


async def fail(params: Pruning, context: JobContext) -> None:
    raise ValueError("no good")


def give_days(params: Pruning, context: JobContext) -> int | None:
    return params.days or None


class Prune(OptionalParamsJob[Pruning, None, Mapping[str, object]]):
    """As generated."""

    job_name = "Prune"
    spec_name = "prune"
    params_model = Pruning
    result_model = NoneType


def pruning(
    handler: Handler[Pruning, None], options: JobOptions | None = None
) -> type[Job[Pruning, None, Mapping[str, object]]]:
    return define_job(name="Prune", params=Pruning, result=NoneType, handler=handler, options=options)


async def test_a_handler_without_a_result_returns_none() -> None:
    job = pruning(prune)
    backend = backend_on(None, job)
    handle = await job.later({"days": 7})
    stored = await job.execute_from_database(handle)
    at_once = await job.now({"days": 7})
    unstored = await job.now({"days": 7}, persist=False)
    assert [outcome.data for outcome in (stored, at_once, unstored, await handle.result())] == [None] * 4
    assert all(outcome.ok for outcome in (stored, at_once, unstored))
    assert (await read(backend, handle)).result == "null"


async def test_a_failed_job_without_a_result_raises_its_error() -> None:
    outcome = await pruning(fail).now({}, persist=False)
    assert "no good" in str(outcome.error)
    with pytest.raises(JobFailedError):
        print(outcome.data)


async def test_a_result_that_the_spec_does_not_have_fails_the_job() -> None:
    outcome = await pruning(give_days).now({"days": 7}, persist=False)  # type: ignore[arg-type]  # on purpose
    assert "must be None, as the spec has no result, not int" in str(outcome.error)


async def test_a_row_of_an_earlier_contract_with_a_result_is_read_without_it() -> None:
    job = text_job(echo, name="Prune")
    backend = backend_on(None, job)
    handle = await job.later({"text": "hello"})
    await job.execute_from_database(handle)
    assert (await pruning(prune).using(backend).handle(handle).result()).data is None


async def test_a_handler_process_returns_none() -> None:
    job = pruning(give_days, JobOptions(run_in="process"))  # type: ignore[arg-type]  # on purpose
    backend = InMemoryBackend(job_registry=create_job_registry().register(job))
    outcome = await job.using(backend).now({"days": 0})
    refused = await job.using(backend).now({"days": 7})
    await backend.shutdown()
    assert (outcome.ok, outcome.data) == (True, None)
    assert "must be None, as the spec has no result, not int" in str(refused.error)


async def test_params_that_are_all_optional_can_be_left_out() -> None:
    DELETED.clear()
    job = Prune.using(InMemoryBackend(job_registry=create_job_registry().register(Prune, prune)))
    assert (await job.now()).ok
    assert (await job.now({"days": 7})).ok
    await job.execute_from_database(await job.later())
    await job.execute_from_database(await job.later(Pruning(days=3)))
    assert DELETED == [30, 7, 30, 3]


def test_plain_code_can_leave_out_params_too() -> None:
    with FakeJob(Prune) as calls:
        assert Prune.later_sync().created
        assert Prune.later_sync({"days": 1}).created
    assert [params.days for params in calls] == [30, 1]


async def test_a_fake_returns_none() -> None:
    with FakeJob(Prune) as calls:
        assert (await Prune.now()).data is None
    assert len(calls) == 1


@given(result_strategy(Prune))
@settings(max_examples=5)
def test_the_only_result_is_none(result: None) -> None:
    assert result is None
