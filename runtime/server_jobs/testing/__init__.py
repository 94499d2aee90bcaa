"""Tools for tests: jobs in memory, fake jobs, contexts for handlers, clocks, and strategies for Hypothesis.

======================================  ================================================
to change                               open
======================================  ================================================
the fixtures of the pytest plugin       `server_jobs.pytest_plugin`, `temporary_database`
all jobs in memory, and `run_jobs`      `in_memory_jobs`, `recording`, `calling_thread`
`assert_enqueued` and its messages      `enqueued`
fake jobs                               `fake_job`
clocks                                  `fake_clock`
the strategy for the params of a job    `strategies`, `fitting_values`
the strategy for a schema               `schema_values`, `merged_schemas`
objects and numbers                     `object_values`, `number_values`
texts, also of a format or a pattern    `text_values`, `format_values`, `pattern_values`
the tests that every store has to pass  `conformance`
======================================  ================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pydantic import BaseModel

from ..context import create_job_context
from ..definition import D, JobDefinition, P, R
from ..memory import InMemoryBackend
from .enqueued import EnqueuedJob
from .fake_clock import FakeClock, ShiftedClock
from .fake_job import FakeJob
from .in_memory_jobs import InMemoryJobs, JobRuns

if TYPE_CHECKING:
    from .strategies import SearchStrategy

__all__ = [
    "EnqueuedJob",
    "FakeClock",
    "FakeJob",
    "InMemoryBackend",
    "InMemoryJobs",
    "JobRuns",
    "ShiftedClock",
    "create_job_context",
    "params_strategy",
    "result_strategy",
]


def params_strategy(job: type[JobDefinition[P, R, D]]) -> SearchStrategy[P]:
    """Return a strategy for valid params of the job. Needs Hypothesis (the extra `testing`).

    Raises `NoValuesError`, here or at the first draw, if no value can be made.

        @given(params_strategy(SendEmail))
        def test_params_can_be_read_again(params: SendEmailParams) -> None:
            assert SendEmailParams.model_validate_json(params.model_dump_json()) == params
    """
    from .strategies import values_of  # Hypothesis is an extra

    return values_of(job.job_name, "params", job.schemas().params, cast("type[P]", job.params_model))


def result_strategy(job: type[JobDefinition[P, R, D]]) -> SearchStrategy[R]:
    """Return a strategy for valid results of the job. Needs Hypothesis (the extra `testing`).

    Raises `NoValuesError` like `params_strategy`.

        @given(result_strategy(SendEmail))
        def test_results_can_be_read_again(result: SendEmailResult) -> None:
            assert SendEmailResult.model_validate_json(result.model_dump_json()) == result
    """
    from .strategies import none, values_of  # Hypothesis is an extra

    if not issubclass(job.result_model, BaseModel):
        return cast("SearchStrategy[R]", none())
    results = values_of(job.job_name, "result", job.schemas().result, job.result_model)
    return cast("SearchStrategy[R]", results)
