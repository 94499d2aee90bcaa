"""Jobs with a given value in their params or result, on every store."""

from __future__ import annotations

import json

import pytest
from server_jobs.domain.interfaces import Store
from server_jobs.domain.search import SearchStep, condition_in
from server_jobs.errors import InvalidOptionError
from server_jobs.testing import FakeClock
from server_jobs.testing.conformance.examples import completed, insert_and_claim, job

DOCUMENTS = {
    "number": '{"id": 42}',
    "real": '{"id": 42.0}',
    "exponent": '{"id": 4.2e1}',
    "text": '{"id": "42"}',
    "escaped": r'{"id": "\u00342"}',
    "longer": '{"id": 421}',
    "elsewhere": '{"other": 42, "nested": {"id": 42}}',
    "name": '{"42": "id"}',
    "list": '{"id": [1, "42"]}',
    "objects": '{"people": [{"id": 41}, {"id": 42}]}',
    "big": '{"id": 9007199254740993}',
    "neighbour": '{"id": 9007199254740992}',
    "huge": '{"id": 123456789012345678901234567890}',
    "null": '{"id": null}',
    "true": '{"id": true}',
    "one": '{"id": 1}',
    "quotes": json.dumps({"id": "' OR '1'='1"}),
    "umlaut": '{"id": "Müller/Söhne \\"&\\""}',
    "solidus": r'{"id": "M\u00fcller\/S\u00f6hne \"&\""}',
    "percent": '{"id": "%"}',
    "broken": '{"id": 42',
    "scalar": "42",
}

CASES = [
    ("params.id=42", {"number", "real", "exponent", "text", "escaped", "list"}),
    ('params.id="42"', {"text", "escaped", "list"}),
    ("params.id=42.0", {"number", "real", "exponent"}),
    ("params.id=4.2e1", {"number", "real", "exponent"}),
    ("params.id=0042", set()),
    ("params.nested.id=42", {"elsewhere"}),
    ("/params/nested/id=42", {"elsewhere"}),
    ("params.people.id=42", {"objects"}),
    ("params.id=9007199254740993", {"big"}),
    ("params.id=123456789012345678901234567890", {"huge"}),
    ("params.id=true", {"true"}),
    ("params.id=1", {"one", "list"}),
    ("params.id=null", set()),
    ("params.id=' OR '1'='1", {"quotes"}),
    ("params.id=' OR 1=1 --", set()),
    ("params.id='); DROP TABLE jobs; --", set()),
    ("params.id') OR 1=1 --=42", set()),
    ('params.id=Müller/Söhne "&"', {"umlaut", "solidus"}),
    ("params.id=%", {"percent"}),
    ("params.id=_", set()),
    ("params.id=", set()),
    ("params.id=\0", set()),
]


async def found(store: Store, *conditions: str, job_name: str | None = None) -> dict[str, bool]:
    """What is found, and whether it could be read."""
    jobs: dict[str, bool] = {}
    after: str | None = ""
    while after is not None:
        step = SearchStep(tuple(map(condition_in, conditions)), job_name=job_name, after=after, limit=7)
        result = await store.search(step)
        jobs |= {one.id: one.is_readable for one in result.jobs}
        after = result.after
    return jobs


async def test_jobs_are_found_by_a_value_of_their_params(store: Store, clock: FakeClock) -> None:
    await store.insert([job(name, params=text) for name, text in DOCUMENTS.items()])

    for condition, expected in CASES:
        jobs = await found(store, condition)
        assert {name for name, is_readable in jobs.items() if is_readable} == expected, condition
    assert await found(store, "params.id=421", "params.id=42") == {}
    assert (await found(store, "params.id=42"))["broken"] is False


async def test_jobs_are_found_by_a_value_of_their_result(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a", params='{"id": 7}'))
    await store.settle([completed(claim, '{"id": "x-1"}')])
    await store.insert([job("b", params='{"id": "x-1"}')])

    assert await found(store, "result.id=x-1") == {"a": True}
    assert await found(store, "params.id=x-1") == {"b": True}
    assert await found(store, "result.id=x-1", "params.id=7") == {"a": True}
    assert await found(store, "result.id=x-1", "params.id=8") == {}


async def test_a_search_can_be_limited_to_one_job(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", params='{"id": 1}'), job("b", "ImportCsv", params='{"id": 1}')])

    assert await found(store, "params.id=1", job_name="ImportCsv") == {"b": True}


@pytest.mark.parametrize(
    "text", ["id=1", "params=1", "params.id", "params..id=1", "other.id=1", "=1", "", 'params.a="\\x"']
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(InvalidOptionError):
        condition_in(text)
