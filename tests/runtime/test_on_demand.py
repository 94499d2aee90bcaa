"""Registrations that are made at first use."""

from __future__ import annotations

import pytest
from server_jobs import InvalidOptionError, JobContext, JobRegistry, create_job_registry, define_job
from server_jobs.errors import DuplicateRegistrationError
from server_jobs.registry import OnDemand

from tests.runtime.example_jobs import Text


def echo(params: Text, context: JobContext) -> Text:
    """Return the params."""
    return params


Echo = define_job(name="Echo", params=Text, result=Text, handler=echo)


def test_asking_for_names_makes_nothing_and_their_order_stays() -> None:
    values, made = OnDemand[int](), list[str]()
    values.promise("a", lambda: made.append("a") or 1)  # type: ignore[func-returns-value]
    values["b"] = 2
    values.promise("c", lambda: made.append("c") or 3)  # type: ignore[func-returns-value]
    assert (list(values), len(values), "a" in values, "x" in values) == (["a", "b", "c"], 3, True, False)
    assert made == []
    assert values["c"] == values["c"] == 3
    assert made == ["c"]
    assert list(values.items()) == [("a", 1), ("b", 2), ("c", 3)]


def test_a_value_that_failed_is_created_at_the_next_use() -> None:
    values, failures = OnDemand[int](), [ImportError("not yet")]

    def make() -> int:
        if failures:
            raise failures.pop()
        return 1

    values.promise("a", make)
    with pytest.raises(ImportError, match="not yet"):
        values["a"]
    assert values["a"] == 1


def test_a_name_is_registered_once_on_demand_or_not() -> None:
    registry = create_job_registry()
    registry.register_on_demand(Echo.job_name, ".jobs.echo")(lambda jobs: jobs.register(Echo))
    with pytest.raises(DuplicateRegistrationError):
        registry.register(Echo)
    with pytest.raises(DuplicateRegistrationError):
        registry.register_on_demand(Echo.job_name, ".jobs.echo")


def test_another_job_than_the_promised_one_is_refused() -> None:
    registry = create_job_registry()

    @registry.register_on_demand("Other", ".jobs.other")
    def _other(jobs: JobRegistry) -> None:
        jobs.register(Echo)

    with pytest.raises(InvalidOptionError, match=r"registers Other on demand registered \['Echo'\]"):
        registry.load()
