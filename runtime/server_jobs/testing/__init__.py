"""Tools for tests: a fake clock, contexts for handlers, fake jobs, and strategies for Hypothesis."""

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
    """
    from .strategies import values_of  # Hypothesis is an extra

    return values_of(job.job_name, "params", job.schemas().params, cast("type[P]", job.params_model))


def result_strategy(job: type[JobDefinition[P, R, D]]) -> SearchStrategy[R]:
    """Return a strategy for valid results of the job, like `params_strategy`."""
    from .strategies import values_of  # Hypothesis is an extra

    return values_of(job.job_name, "result", job.schemas().result, cast("type[R]", job.result_model))
