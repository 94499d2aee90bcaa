"""For tests of jobs: a clock that is moved by hand, contexts for handlers, fakes, and strategies for Hypothesis."""

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
    """Params of the job, as its model: each fits its spec. Needs Hypothesis (the extra `testing`).

    Raises `NoValuesError`, here or when the first one is drawn, where none can be made.
    """
    from .strategies import values_of  # Hypothesis is an extra

    return values_of(job.job_name, "params", job.schemas().params, cast("type[P]", job.params_model))


def result_strategy(job: type[JobDefinition[P, R, D]]) -> SearchStrategy[R]:
    """Results of the job, as `params_strategy`."""
    from .strategies import values_of  # Hypothesis is an extra

    return values_of(job.job_name, "result", job.schemas().result, cast("type[R]", job.result_model))
