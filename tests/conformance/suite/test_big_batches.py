"""A batch that exceeds a database's limit of text is stored in parts, in one transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pytest
from server_jobs.contract.values import MAX_DOCUMENT_BYTES, MAX_MESSAGE_CHARACTERS
from server_jobs.domain.interfaces import Database, Row, Statement, Store, Value
from server_jobs.domain.record import Completed, Heartbeat, JobStatus, LeaseAnswer, Report
from server_jobs.stores.sql.parameters import LONG_TEXT
from server_jobs.stores.sql.store import SqlStore
from server_jobs.testing import FakeClock
from server_jobs.testing.conformance.examples import LEASE, SECOND, completed, failed, job, read, request

Call = tuple[Statement, Mapping[str, Value]]

LARGE = '"' + "\u00e9" * 25_000 + '"'  # 50,000 bytes
MANY = 60
QUOTES = json.dumps('"' * 520_000)  # 1,040,002 bytes, twice as many in JSON.


async def test_many_large_jobs_are_stored_at_once(store: Store, clock: FakeClock) -> None:
    new = [job(f"{number:02}", params=LARGE) for number in range(MANY)]

    answers = await store.insert(new)

    assert [(answer.id, answer.created) for answer in answers] == [(one.id, True) for one in new]
    assert (await read(store, "59")).params == LARGE


async def test_jobs_with_many_long_unique_keys_are_found(store: Store, clock: FakeClock) -> None:
    keys = [f"{number:02}" + "k" * 1990 for number in range(1200)]
    await store.insert([job(f"a{number:04}", unique_key=key) for number, key in enumerate(keys)])

    answers = await store.insert([job(f"b{number:04}", unique_key=key) for number, key in enumerate(keys)])

    assert [(answer.id, answer.created) for answer in answers] == [(f"a{number:04}", False) for number in range(1200)]


async def test_many_large_results_and_errors_are_settled_at_once(store: Store, clock: FakeClock) -> None:
    await store.insert([job(f"{number:03}") for number in range(2 * MANY)])
    claims = await store.claim(request(limit=2 * MANY))

    answers = await store.settle(
        [
            Completed(id=claim.id, token=claim.token, result=LARGE)
            if index % 2
            else failed(claim, LARGE, retry_after=SECOND)
            for index, claim in enumerate(claims)
        ]
    )

    assert list(answers) == [JobStatus.PENDING, JobStatus.COMPLETED] * MANY
    assert ((await read(store, "118")).error, (await read(store, "119")).result) == (LARGE, LARGE)


async def test_many_long_messages_are_stored_at_once(store: Store, clock: FakeClock) -> None:
    await store.insert([job(f"{number:03}") for number in range(2 * MANY)])
    claims = await store.claim(request(limit=2 * MANY))
    message = "\N{GRINNING FACE}" * MAX_MESSAGE_CHARACTERS

    holds = await store.renew(
        [Heartbeat(id=one.id, token=one.token, progress=1, message=message) for one in claims], LEASE
    )

    assert list(holds) == [LeaseAnswer.RENEWED] * (2 * MANY)
    assert (await read(store, "119")).progress_message == message


async def test_params_as_long_as_they_may_be_are_stored_among_others(store: Store, clock: FakeClock) -> None:
    assert len(QUOTES) <= MAX_DOCUMENT_BYTES
    params = ["{}", QUOTES, QUOTES, "{}", "[]", QUOTES]
    new = [job(f"{number}", params=text, unique_key=f"k{number}") for number, text in enumerate(params)]

    answers = await store.insert(new)
    again = await store.insert([one._replace(id=f"again{one.id}") for one in new])

    assert [(answer.id, answer.created) for answer in answers] == [(one.id, True) for one in new]
    assert [(answer.id, answer.created) for answer in again] == [(one.id, False) for one in new]
    assert [(await read(store, one.id)).params for one in new] == params


@pytest.mark.parametrize("report", [None, Report(40, "nearly")])
async def test_results_as_long_as_they_may_be_are_stored_among_others(
    store: Store, clock: FakeClock, report: Report | None
) -> None:
    await store.insert([job(f"{number}") for number in range(4)])
    claims = await store.claim(request(limit=4))
    results = [QUOTES, "{}", QUOTES, "[]"]

    answers = await store.settle(
        [
            Completed(id=claim.id, token=claim.token, result=result, report=report)
            for claim, result in zip(claims, results, strict=True)
        ]
    )

    assert list(answers) == [JobStatus.COMPLETED] * 4
    records = [await read(store, claim.id) for claim in claims]
    assert [record.result for record in records] == results
    assert {(record.progress, record.fencing_token) for record in records} == {(100, None)}


async def test_a_long_result_of_a_claim_that_was_lost_is_not_stored(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a")])
    (claim,) = await store.claim(request())

    (answer,) = await store.settle([Completed(id=claim.id, token=claim.token[::-1], result=QUOTES)])

    assert answer is None
    assert (await read(store, "a")).status is JobStatus.RUNNING


@pytest.mark.parametrize("length", [LONG_TEXT - 1, LONG_TEXT])
async def test_long_params_and_results_come_back_among_short_ones(store: Store, clock: FakeClock, length: int) -> None:
    long = json.dumps('"' * (length // 2 - 1))
    await store.insert([job(f"{number:02}", params=long if number % 2 else "1") for number in range(10)])
    claims = await store.claim(request(limit=10))
    assert [claim.params for claim in claims] == ["1", long] * 5

    await store.settle([Completed(id=claim.id, token=claim.token, result=claim.params) for claim in claims])
    assert [(await read(store, claim.id)).result for claim in claims] == ["1", long] * 5


async def test_long_params_are_not_escaped_within_json(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    if not isinstance(store, SqlStore) or store.name not in ("sqlite", "postgresql"):
        return  # the others count statements, or send each one over HTTP
    sent: list[int] = []
    real = type(store.database).run

    async def run(database: Database, *calls: Call, **options: Call | None) -> Sequence[Sequence[Row]]:
        values = [value for _, parameters in calls for value in parameters.values()]
        texts = [text for value in values for text in (value if isinstance(value, list) else [value])]
        sent.extend(len(text) for text in texts if isinstance(text, str))
        return await real(database, *calls, **options)

    monkeypatch.setattr(type(store.database), "run", run)
    text = json.dumps('"' * 50_000)
    await store.insert([job(f"{number:02}", params=text) for number in range(5)])

    assert max(sent) == len(text)


async def test_claims_of_long_and_short_params_by_turns_are_complete(store: Store, clock: FakeClock) -> None:
    long = json.dumps('"' * LONG_TEXT)
    for turn, params in enumerate([long, long, "1", "1", long, "1"]):
        await store.insert([job(f"{turn}-{number}", params=params) for number in range(3)])
        claims = await store.claim(request(limit=10))

        assert [(claim.id, claim.params) for claim in claims] == [(f"{turn}-{number}", params) for number in range(3)]
        await store.settle([completed(claim) for claim in claims])
