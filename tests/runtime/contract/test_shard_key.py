"""The shard key of a job: a text or a whole number in its params, and the keys that must contain it."""

from __future__ import annotations

import pytest
from server_jobs import ConcurrencyLimit, InvalidOptionError, JobOptions
from server_jobs.contract.job_keys import shard_key


@pytest.mark.parametrize(
    ("pointer", "params", "key"),
    [
        ("/tenant", '{"tenant":"acme"}', "acme"),
        ("/tenant", '{"tenant":""}', ""),
        ("/tenant", '{"tenant":7}', "7"),
        ("/tenant", '{"tenant":123456789012345678901234567890}', "123456789012345678901234567890"),
        ("/customer/id", '{"customer":{"id":"ü"}}', "ü"),
    ],
)
def test_the_key_is_the_value_as_text(pointer: str, params: str, key: str) -> None:
    assert shard_key("Pay", JobOptions(shard_by=pointer), params) == key


def test_a_job_without_a_shard_has_no_key() -> None:
    assert shard_key("Pay", JobOptions(), '{"tenant":"acme"}') is None


@pytest.mark.parametrize("value", ["null", "true", "1.5", "[]", '{"tenant":"a"}'])
def test_other_values_are_refused(value: str) -> None:
    with pytest.raises(InvalidOptionError, match=r"^Pay is sharded by /tenant, and these params have no text or whole"):
        shard_key("Pay", JobOptions(shard_by="/tenant"), f'{{"tenant":{value}}}')


def test_options_whose_keys_leave_out_the_shard_are_refused() -> None:
    with pytest.raises(InvalidOptionError, match=r"^concurrency must go by '/tenant' too"):
        JobOptions(shard_by="/tenant", concurrency=ConcurrencyLimit(limit=1))
    with pytest.raises(InvalidOptionError, match=r"^unique must go by '/tenant' too"):
        JobOptions(shard_by="/tenant", unique_by=("/tenants",))
    with pytest.raises(InvalidOptionError, match=r"^shard_by must be a JSON pointer into params such as '/tenant'"):
        JobOptions(shard_by="tenant")
    JobOptions(shard_by="/tenant", unique_by=("/tenant", "/to"), concurrency=ConcurrencyLimit(limit=1, by=("",)))
