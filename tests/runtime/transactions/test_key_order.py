"""`later_in` takes unique keys in one order in every transaction, so that two of them do not deadlock."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from server_jobs import JobOptions
from server_jobs.domain.options import OnConflict
from server_jobs.transactions import storing
from server_jobs.transactions.insertion import Parameters
from server_jobs.transactions.storing import Rows, Storing

from tests.conformance.examples import job
from tests.runtime.example_jobs import echo, text_job

KEYS = ("c", "a", "d", "b")


def stored_keys(on_conflict: OnConflict) -> Sequence[str]:
    """Return the unique keys in the order in which the statement stores them."""
    jobs = [job(f"job-{key}", unique_key=key, on_conflict=on_conflict) for key in KEYS]
    texts: list[str] = []

    def execute(_sql: str, parameters: Parameters) -> Rows:
        assert isinstance(parameters, dict)
        if "jobs" not in parameters:
            return []
        texts.append(str(parameters["jobs"]))
        return [(one.id, one.unique_key) for one in jobs]

    Storing(jobs, None, ()).run("sqlite", "named", execute)
    return [str(job_id).removeprefix("job-") for text in texts for job_id in json.loads(text)]


@pytest.mark.parametrize("on_conflict", [OnConflict.KEEP, OnConflict.REPLACE])
def test_jobs_are_stored_in_the_order_of_their_keys(on_conflict: OnConflict) -> None:
    assert stored_keys(on_conflict) == sorted(KEYS)


def test_the_statement_for_other_drivers_has_this_order_too() -> None:
    once = text_job(echo, "Once", JobOptions(unique_by=("/text",)))
    params = [{"text": text} for text in KEYS]
    made = once.insert_jobs(params, dialect="sqlite", paramstyle="named")
    assert isinstance(made.parameters, dict)
    keys = [values[1] for values in json.loads(str(made.parameters["jobs"])).values()]
    assert keys == sorted(keys)
    assert len(keys) == len(KEYS)


@pytest.mark.parametrize("on_conflict", [OnConflict.KEEP, OnConflict.REPLACE])
def test_without_it_the_order_is_the_one_of_the_caller(
    monkeypatch: pytest.MonkeyPatch, on_conflict: OnConflict
) -> None:
    monkeypatch.setattr(storing, "in_key_order", lambda jobs: jobs)
    assert stored_keys(on_conflict) == list(KEYS)
