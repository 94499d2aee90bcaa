"""Tools for tests: a fake clock, contexts for handlers, fake jobs, and strategies for Hypothesis.

======================================  ================================================
to change                               open
======================================  ================================================
the clock, and fake jobs                `fake_clock`, `fake_job`
the strategy for the params of a job    `strategies`, `fitting_values`
the strategy for a schema               `schema_values`, `merged_schemas`
objects and numbers                     `object_values`, `number_values`
texts, also of a format or a pattern    `text_values`, `format_values`, `pattern_values`
the tests that every store has to pass  `conformance`
======================================  ================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ..context import create_job_context
from ..definition import D, JobDefinition, P, R
from ..memory import InMemoryBackend
from .fake_clock import FakeClock
from .fake_job import FakeJob

if TYPE_CHECKING:
    from .strategies import SearchStrategy

__all__ = ["FakeClock", "FakeJob", "InMemoryBackend", "create_job_context", "params_strategy", "result_strategy"]


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
    from .strategies import values_of  # Hypothesis is an extra

    return values_of(job.job_name, "result", job.schemas().result, cast("type[R]", job.result_model))
