"""Backoff: the delay before the next attempt."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server_jobs.domain.options import Backoff, RetryPolicy
from server_jobs.errors import InvalidOptionError

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


def seconds(policy: RetryPolicy, attempts: int, chance: float = 0.0) -> list[float]:
    return [policy.delay(attempt, chance).total_seconds() for attempt in range(1, attempts + 1)]


def test_exponential_delays_double_up_to_the_maximum() -> None:
    policy = RetryPolicy(initial=2 * SECOND, maximum=60 * SECOND)

    assert seconds(policy, 7) == [2, 4, 8, 16, 32, 60, 60]


def test_linear_delays_grow_by_equal_steps_up_to_the_maximum() -> None:
    policy = RetryPolicy(backoff=Backoff.LINEAR, initial=10 * SECOND, maximum=35 * SECOND)

    assert seconds(policy, 5) == [10, 20, 30, 35, 35]


def test_fixed_delays_do_not_grow() -> None:
    policy = RetryPolicy(backoff=Backoff.FIXED, initial=5 * SECOND, maximum=60 * SECOND)

    assert seconds(policy, 4) == [5, 5, 5, 5]


def test_jitter_makes_a_delay_longer_and_never_shorter() -> None:
    policy = RetryPolicy(initial=10 * SECOND, jitter=0.5)

    assert policy.delay(1, 0.0) == 10 * SECOND
    assert policy.delay(1, 0.5) == 12.5 * SECOND
    assert policy.delay(1, 0.999) < 15 * SECOND


def test_without_jitter_chance_plays_no_part() -> None:
    policy = RetryPolicy(initial=10 * SECOND, jitter=0)

    assert policy.delay(1, 0.0) == policy.delay(1, 0.999)


def test_the_default_is_two_seconds_doubling_to_ten_minutes_with_a_fifth_of_jitter() -> None:
    policy = RetryPolicy()

    assert seconds(policy, 11)[-1] == 600
    assert policy.delay(1, 0.5) == 2.2 * SECOND


def test_no_delay_at_all_is_allowed() -> None:
    assert seconds(RetryPolicy(initial=0 * SECOND), 3, chance=0.9) == [0, 0, 0]


@given(
    st.sampled_from(Backoff),
    st.timedeltas(timedelta(0), DAY),
    st.timedeltas(timedelta(0), 300 * DAY),
    st.floats(0, 1),
    st.integers(1, 10_000),
    st.floats(0, 1, exclude_max=True),
)
def test_any_delay_lies_between_the_first_one_and_the_maximum_with_its_jitter(
    backoff: Backoff, initial: timedelta, growth: timedelta, jitter: float, attempt: int, chance: float
) -> None:
    policy = RetryPolicy(backoff=backoff, initial=initial, maximum=initial + growth, jitter=jitter)

    delay = policy.delay(attempt, chance)

    assert initial <= policy.delay(1, 0.0) <= policy.delay(attempt, 0.0) <= delay
    assert delay <= policy.maximum * (1 + jitter) + timedelta(microseconds=1)
    assert policy.delay(attempt, 0.0) <= policy.delay(attempt + 1, 0.0)


@pytest.mark.parametrize(
    ("initial", "maximum", "jitter", "message"),
    [
        (-SECOND, SECOND, 0.2, "retry.initial must not be negative, and is -1 day"),
        (2 * SECOND, SECOND, 0.2, "initial <= maximum"),
        (SECOND, 366 * DAY, 0.2, "365 days"),
        (SECOND, SECOND, -0.1, "jitter must be between 0 and 1, not -0.1"),
        (SECOND, SECOND, 1.1, "jitter must be between 0 and 1, not 1.1"),
        (SECOND, SECOND, float("nan"), "jitter must be between 0 and 1, not nan"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_with_its_values(
    initial: timedelta, maximum: timedelta, jitter: float, message: str
) -> None:
    with pytest.raises(InvalidOptionError) as raised:
        RetryPolicy(initial=initial, maximum=maximum, jitter=jitter)

    assert message in str(raised.value)
