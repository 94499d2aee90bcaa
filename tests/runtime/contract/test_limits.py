"""The keys of unique jobs and limits, and the options that define them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from server_jobs import ConcurrencyLimit, InvalidOptionError, JobOptions, RateLimit, Retention
from server_jobs.contract.job_keys import job_keys

from tests.runtime.example_jobs import echo, text_job

PARAMS = '{"customer": {"id": 7}, "host": "example.com"}'
MINUTE = timedelta(minutes=1)


def limit_keys(options: JobOptions, params: str) -> tuple[str | None, str | None]:
    """Return the keys of both limits."""
    keys = job_keys("Job", options, params)
    return keys.concurrency, keys.rate


def test_a_job_without_limits_has_no_keys() -> None:
    assert limit_keys(JobOptions(unique_by=("/host",)), PARAMS) == (None, None)


def test_a_job_whose_limits_go_by_nothing_has_empty_keys() -> None:
    assert limit_keys(JobOptions(concurrency=ConcurrencyLimit(limit=1)), PARAMS) == ("", "")
    assert limit_keys(JobOptions(rate=RateLimit(limit=1, per=MINUTE)), PARAMS) == ("", "")


def test_each_limit_has_a_key_of_its_values() -> None:
    options = JobOptions(
        concurrency=ConcurrencyLimit(limit=1, by=("/customer/id",)), rate=RateLimit(limit=1, per=MINUTE, by=("/host",))
    )

    concurrency_key, rate_key = limit_keys(options, PARAMS)

    assert concurrency_key
    assert rate_key
    assert concurrency_key != rate_key
    assert limit_keys(options, '{"host": "example.com", "customer": {"id": 7, "more": 1}}') == (
        concurrency_key,
        rate_key,
    )
    assert limit_keys(options, PARAMS.replace("7", '"7"'))[0] != concurrency_key
    assert limit_keys(options, "{}") == limit_keys(options, '{"customer": null, "host": null}')


def test_a_job_carries_its_keys_from_where_it_is_enqueued() -> None:
    options = JobOptions(concurrency=ConcurrencyLimit(limit=1, by=("/text",)))

    first, same, other = (text_job(echo, options=options).new_job({"text": text}) for text in "aab")

    assert (first.concurrency_key, first.rate_key) == limit_keys(options, '{"text":"a"}')
    assert first.concurrency_key == same.concurrency_key != other.concurrency_key
    assert text_job(echo).new_job({"text": "a"}).concurrency_key is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConcurrencyLimit(limit=0), "concurrency.limit must be between 1 and 100000, not 0"),
        (lambda: ConcurrencyLimit(limit=True), "concurrency.limit must be a whole number"),
        (lambda: RateLimit(limit=100_001, per=MINUTE), "rate.limit must be between 1 and 100000, not 100001"),
        (
            lambda: RateLimit(limit=1, per=timedelta(0)),
            "rate.per must be between 1 millisecond and 31 days, not 0:00:00",
        ),
        (lambda: RateLimit(limit=1, per=timedelta(days=32)), "rate.per must be between"),
        (lambda: Retention(failed=timedelta(days=-1)), "retention.failed must not be negative"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_limits_that_cannot_be_are_refused_where_they_are_given(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(InvalidOptionError, match=message):
        make()
