"""Filters, values of params and results, and changes of many jobs at once, on every store."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from unittest.mock import patch

import pytest
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import (
    SHORT_ERROR,
    SHORT_PARAMS,
    UNREADABLE,
    Cancellation,
    Deletion,
    Ended,
    Failed,
    JobFilter,
    JobQuery,
    JobStatus,
    KnownJob,
    NewJob,
    Outcome,
    Pruned,
    PruneRule,
    PruneStep,
    Retrial,
)
from server_jobs.domain.record.audit import AuditQuery
from server_jobs.domain.search import FindStep, condition_in
from server_jobs.errors import InvalidOptionError
from server_jobs.stores import searching
from server_jobs.stores.sql import pages
from server_jobs.testing import FakeClock
from server_jobs.testing.conformance.examples import (
    MILLISECOND,
    completed,
    failed,
    finish,
    ids,
    insert_and_claim,
    job,
    read,
    request,
)

HOUR = timedelta(hours=1)
MANY = 1000


async def found(store: Store, wanted: JobFilter, *, limit: int | None = None, newest_first: bool = False) -> list[str]:
    """Return the ids that a scan finds, in its order."""
    result: list[str] = []
    after: str | None = ""
    while after is not None:
        step = await store.find(FindStep(filter=wanted, after=after, limit=limit, newest_first=newest_first))
        result += [one.id for one in step.jobs]
        after = step.after
    return result


async def fail(store: Store, new: NewJob, *, error: str = "boom", error_class: str | None = None) -> None:
    """Insert a job, and fail it for good."""
    claim = await insert_and_claim(store, new)
    await store.settle([Failed(claim.id, claim.token, error, None, ended=Ended(Outcome.FAILED, error_class))])


async def paged(store: Store, wanted: JobFilter) -> list[str]:
    """Return the jobs of all pages, two to a page."""
    page = await store.find_page(JobQuery.of(wanted, limit=2))
    seen = [one.id for one in page.jobs]
    while page.next is not None:
        page = await store.find_page(JobQuery.of(wanted, limit=2, before=page.next))
        assert len(page.jobs) <= 2
        seen += [one.id for one in page.jobs]
    return seen


async def claim_as(store: Store, job_id: str, worker_id: str) -> None:
    assert await store.claim_one(job_id, request(KnownJob("SendEmail", 1), worker_id=worker_id)) is not None


async def test_a_filter_compares_each_column(store: Store, clock: FakeClock) -> None:
    await store.insert(
        [
            job("a"),
            job("b", "ImportCsv"),
            job("c", queue="slow"),
            job("d", correlation_id="x"),
            job("e", spec_version=2),
            job("f"),
        ]
    )
    await claim_as(store, "f", "w1")
    await fail(store, job("g"), error_class="ValueError")
    await fail(store, job("h"), error=f"{UNREADABLE}no", error_class="UpcastError")
    cases = {
        JobFilter(): "abcdefgh",
        JobFilter(status=JobStatus.RUNNING): "f",
        JobFilter(status=(JobStatus.RUNNING, JobStatus.FAILED)): "fgh",
        JobFilter(status=()): "",
        JobFilter(parked=True): "h",
        JobFilter(job_name="ImportCsv"): "b",
        JobFilter(queues=("slow", "none")): "c",
        JobFilter(queues=()): "",
        JobFilter(correlation_id="x"): "d",
        JobFilter(spec_version=2): "e",
        JobFilter(worker_id="w1"): "f",
        JobFilter(error_class="ValueError"): "g",
        JobFilter(error_class="ValueError", status=JobStatus.PENDING): "",
    }

    for wanted, expected in cases.items():
        assert await found(store, wanted) == list(expected), wanted
        assert await found(store, wanted, newest_first=True) == list(reversed(expected)), wanted
        assert ids(await store.list_jobs(JobQuery.of(wanted))) == list(reversed(expected)), wanted
        assert await paged(store, wanted) == list(reversed(expected)), wanted


async def test_pages_of_a_bounded_cost_have_each_job_once(store: Store, clock: FakeClock) -> None:
    await store.insert(
        [job(name, "SendEmail" if name in "ace" else "ImportCsv", correlation_id="x") for name in "abcdef"]
    )
    await store.insert([job(name, concurrency_key="", rate_key="") for name in "gh"])
    await store.cancel_many(["b", "c", "d", "h"])
    cases = {
        JobFilter(): "hgfedcba",
        JobFilter(status=JobStatus.CANCELLED): "hdcb",
        JobFilter(status=JobStatus.CANCELLED, job_name="ImportCsv"): "db",
        JobFilter(status=JobStatus.PENDING): "gfea",
        JobFilter(status=JobStatus.COMPLETED): "",
        JobFilter(correlation_id="x", job_name="ImportCsv"): "fdb",
    }

    for candidates, scanned in ((4, 2), (1, 3), (0, 1)):
        with patch.multiple(pages, MOST_CANDIDATES=candidates, MOST_IDS=candidates, MOST_SCANNED=scanned):
            for wanted, expected in cases.items():
                assert await paged(store, wanted) == list(expected), (wanted, candidates, scanned)
                assert ids(await store.list_jobs(JobQuery.of(wanted))) == list(expected), (wanted, candidates)
    first = await store.find_page(JobQuery(limit=8))
    assert (len(first.jobs), first.next) == (8, None)
    assert first.jobs == tuple(record.preview for record in await store.list_jobs(JobQuery()))


async def test_a_page_has_the_params_that_are_short_and_the_start_of_each_error(store: Store, clock: FakeClock) -> None:
    longest = '{"text": "%s"}' % ("\u00e9" * ((SHORT_PARAMS - 12) // 2))
    await store.insert([job("a", params=longest), job("b", params=longest.replace('"}', 'x"}'))])
    await fail(store, job("c"), error="\u00e9" * 5_000, error_class="ValueError")

    for query in (JobQuery(), JobQuery(status=JobStatus.PENDING), JobQuery(status=JobStatus.FAILED)):
        for one in (await store.find_page(query)).jobs:
            assert one.params == {"a": longest, "b": None, "c": job("c").params}[one.id]
            assert one.error == (None if one.id in "ab" else "\u00e9" * SHORT_ERROR)


async def test_the_age_counts_from_the_end_or_else_from_the_creation(store: Store, clock: FakeClock) -> None:
    await store.insert([job("pending")])
    claim = await insert_and_claim(store, job("done"))
    clock.advance(HOUR)
    await store.settle([completed(claim)])
    clock.advance(HOUR)

    assert await found(store, JobFilter(older_than=2 * HOUR - MILLISECOND)) == ["pending"]
    assert await found(store, JobFilter(older_than=2 * HOUR)) == []
    assert await found(store, JobFilter(newer_than=HOUR)) == ["done"]
    assert await found(store, JobFilter(newer_than=HOUR - MILLISECOND)) == []
    assert await found(store, JobFilter(newer_than=3 * HOUR, older_than=HOUR - MILLISECOND)) == ["done", "pending"]


async def test_a_step_reads_a_number_of_jobs_and_returns_the_cursor(store: Store, clock: FakeClock) -> None:
    await store.insert([job(name, queue="slow" if name in "bd" else "default") for name in "abcde"])
    wanted = JobFilter(queues=("slow",))

    first = await store.find(FindStep(filter=wanted, limit=2))
    last = await store.find(FindStep(filter=wanted, limit=2, after="d"))
    newest = await store.find(FindStep(filter=wanted, limit=3, newest_first=True))

    assert ([one.id for one in first.jobs], first.after) == (["b"], "b")
    assert ([one.id for one in last.jobs], last.after) == ([], None)
    assert ([one.id for one in newest.jobs], newest.after) == (["d"], "c")
    assert await found(store, wanted, limit=2) == ["b", "d"]
    assert await found(store, wanted, limit=2, newest_first=True) == ["d", "b"]


async def test_a_page_can_have_given_jobs_only(store: Store, clock: FakeClock) -> None:
    await store.insert([job(name) for name in "abcde"])

    assert ids(await store.list_jobs(JobQuery(ids=("d", "b", "\0", "nobody")))) == ["d", "b"]
    assert [one.id for one in await store.list_summaries(JobQuery(ids=("d", "b"), before="d"))] == ["b"]
    assert await store.list_jobs(JobQuery(ids=())) == []


async def test_many_jobs_are_retried_and_each_answer_says_why_not(store: Store, clock: FakeClock) -> None:
    for name in ("a", "b"):
        await fail(store, job(name, unique_key="twice"))
    await fail(store, job("c", unique_key="used"))
    await finish(store, await insert_and_claim(store, job("d")), JobStatus.CANCELLED)
    await store.insert([job("e", unique_key="used"), job("f")])
    await finish(store, await insert_and_claim(store, job("g")), JobStatus.COMPLETED)
    asked = ["nobody", "g", "f", "e", "d", "c", "b", "a", "\0", "d"]

    answers = await store.retry_many(asked, by="ann", detail="found by queue mail")

    assert dict(zip(asked, answers, strict=True)) == {
        "a": Retrial.RETRIED,
        "b": Retrial.DUPLICATE,
        "c": Retrial.DUPLICATE,
        "d": Retrial.RETRIED,
        "e": Retrial.NOT_RETRYABLE,
        "f": Retrial.NOT_RETRYABLE,
        "g": Retrial.NOT_RETRYABLE,
        "nobody": Retrial.NOT_FOUND,
        "\0": Retrial.NOT_FOUND,
    }
    assert answers[4] is answers[-1]
    retried = await read(store, "a")
    assert (retried.status, retried.attempt_count, retried.error, retried.completed_at) == (
        JobStatus.PENDING,
        0,
        None,
        None,
    )
    assert (await read(store, "b")).status is JobStatus.FAILED
    log = await store.audit_log(AuditQuery())
    assert sorted((entry.target, entry.detail) for entry in log if entry.actor == "ann") == [
        ("a", "found by queue mail"),
        ("d", "found by queue mail"),
    ]


async def test_many_jobs_are_cancelled_and_running_ones_are_asked_to_stop(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a")])
    await insert_and_claim(store, job("b"))
    await finish(store, await insert_and_claim(store, job("c")), JobStatus.COMPLETED)
    await fail(store, job("d"), error=f"{UNREADABLE}no")
    await fail(store, job("e"))

    answers = await store.cancel_many([*"abcde", "nobody"], by="ann", detail="by hand")

    assert list(answers) == [
        Cancellation.CANCELLED,
        Cancellation.REQUESTED,
        Cancellation.FINISHED,
        Cancellation.CANCELLED,
        Cancellation.FINISHED,
        Cancellation.NOT_FOUND,
    ]
    running = await read(store, "b")
    assert (running.status, running.cancel_requested) == (JobStatus.RUNNING, True)
    log = await store.audit_log(AuditQuery(actor="ann"))
    assert sorted((entry.target, entry.detail) for entry in log) == [
        ("a", "by hand"),
        ("b", "by hand; asked to stop"),
        ("d", "by hand"),
    ]


async def test_a_job_that_does_not_match_any_more_stays(store: Store, clock: FakeClock) -> None:
    pending = JobFilter(status=JobStatus.PENDING)
    await store.insert([job("a"), job("b")])
    claim = await store.claim_one("a", request())  # after it was found
    assert claim is not None

    assert list(await store.cancel_many(["a", "b"], among=pending)) == [Cancellation.NOT_FOUND, Cancellation.CANCELLED]
    assert not (await read(store, "a")).cancel_requested
    await store.settle([failed(claim, retry_after=None)])
    cancelled = JobFilter(status=JobStatus.CANCELLED)
    assert list(await store.retry_many(["a", "b"], among=cancelled)) == [Retrial.NOT_FOUND, Retrial.RETRIED]
    assert list(await store.delete(["a", "b"], among=pending)) == [Deletion.NOT_FOUND, Deletion.DELETED]
    assert [entry.target for entry in await store.audit_log(AuditQuery())] == ["b", "b", "b"]
    assert (await read(store, "a")).status is JobStatus.FAILED


async def test_pruning_can_be_limited_to_a_filter_and_to_given_jobs(store: Store, clock: FakeClock) -> None:
    for number, name in enumerate("abcd"):
        await finish(
            store,
            await insert_and_claim(store, job(name, queue="slow" if number % 2 else "default")),
            JobStatus.COMPLETED,
        )
    clock.advance(2 * HOUR)
    rules = (PruneRule(status=JobStatus.COMPLETED, age=HOUR),)
    slow = JobFilter(queues=("slow",))

    assert await store.prune(PruneStep(rules=rules, among=slow, dry_run=True)) == Pruned(2, None)
    assert (await store.prune(PruneStep(rules=rules, limit=1, ids=("a", "d"), among=slow))).count == 1
    assert await found(store, JobFilter()) == ["a", "b", "c"]
    assert await store.prune(PruneStep(rules=rules, among=slow)) == Pruned(1, None)
    assert await found(store, JobFilter()) == ["a", "c"]


async def test_a_thousand_jobs_are_cancelled_retried_and_deleted_in_less_than_a_second_each(
    store: Store, clock: FakeClock
) -> None:
    names = [f"{number:04}" for number in range(MANY)]
    begin = time.perf_counter()
    await store.insert([job(name) for name in names])
    inserted = time.perf_counter() - begin

    for change, expected in (
        (store.cancel_many, Cancellation.CANCELLED),
        (store.retry_many, Retrial.RETRIED),
        (store.delete, Deletion.DELETED),
    ):
        begin = time.perf_counter()
        assert set(await change(names)) == {expected}
        assert time.perf_counter() - begin < 1 + 20 * inserted  # a busy machine is slow in both


def test_invalid_filters_and_steps_are_refused() -> None:
    with pytest.raises(InvalidOptionError, match="older_than must not be negative"):
        JobFilter(older_than=-HOUR)
    with pytest.raises(InvalidOptionError, match="queues must not contain NUL"):
        JobFilter(queues=("\0",))
    with pytest.raises(InvalidOptionError, match="limit must be between 1 and 10000, not 0"):
        FindStep(filter=JobFilter(), limit=0)


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


async def searched(store: Store, *conditions: str, job_name: str | None = None) -> dict[str, bool]:
    """Return the found jobs, and whether each could be read."""
    jobs: dict[str, bool] = {}
    after: str | None = ""
    while after is not None:
        wanted = JobFilter(where=tuple(map(condition_in, conditions)), job_name=job_name)
        result = await store.find(FindStep(filter=wanted, after=after, limit=7))
        jobs |= {one.id: one.is_readable for one in result.jobs}
        after = result.after
    return jobs


async def test_jobs_are_found_by_a_value_of_their_params(store: Store, clock: FakeClock) -> None:
    await store.insert([job(name, params=text) for name, text in DOCUMENTS.items()])

    for condition, expected in CASES:
        jobs = await searched(store, condition)
        assert {name for name, is_readable in jobs.items() if is_readable} == expected, condition
    assert await searched(store, "params.id=421", "params.id=42") == {}
    assert (await searched(store, "params.id=42"))["broken"] is False


async def test_jobs_are_found_by_a_value_of_their_result(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a", params='{"id": 7}'))
    await store.settle([completed(claim, '{"id": "x-1"}')])
    await store.insert([job("b", params='{"id": "x-1"}')])

    assert await searched(store, "result.id=x-1") == {"a": True}
    assert await searched(store, "params.id=x-1") == {"b": True}
    assert await searched(store, "result.id=x-1", "params.id=7") == {"a": True}
    assert await searched(store, "result.id=x-1", "params.id=8") == {}


async def test_a_step_ends_after_some_bytes_of_documents(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "STEP_BYTES", 5_000)
    names = "abcdefghijkl"
    long = json.dumps({"id": 1, "text": "x" * 1_000})
    await store.insert([job(name, "Other" if name in "ce" else "SendEmail", params=long) for name in names])
    among = JobFilter(job_name="SendEmail", where=(condition_in("params.id=1"),))

    for newest_first in (False, True):
        first = await store.find(FindStep(filter=among, newest_first=newest_first))
        assert [one.id for one in first.jobs] == list("lkjih" if newest_first else "abdfg")
        assert await found(store, among, newest_first=newest_first) == sorted("abdfghijkl", reverse=newest_first)


async def test_a_document_that_is_too_long_is_not_read(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "LARGEST_SEARCHED", 1_000)
    await store.insert([job("a", params='{"id": 1}'), job("b", params=json.dumps({"id": 1, "text": "x" * 1_000}))])

    assert await searched(store, "params.id=1") == {"a": True, "b": False}


async def test_a_search_parses_each_document_once(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    parse, parsed = searching.parse, list[str]()

    def counted(text: str) -> object:
        parsed.append(text)
        return parse(text)

    monkeypatch.setattr(searching, "parse", counted)
    await store.insert([job(name, params=f'{{"id": 1, "name": "{name}", "more": [1, 2]}}') for name in "abc"])

    assert await searched(store, "params.id=1", "params.id=1.0", "params.more=1", "params.more=2") == dict.fromkeys(
        "abc", True
    )
    assert len(parsed) == 3


async def test_a_search_for_a_number_beyond_every_range_finds_no_number(store: Store, clock: FakeClock) -> None:
    number = "1e" + "9" * 30
    await store.insert([job("a", params=f'{{"id": {number}}}'), job("b", params=f'{{"id": "{number}"}}')])

    assert await searched(store, f"params.id={number}") == {"a": False, "b": True}


async def test_a_search_can_be_limited_to_one_job(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", params='{"id": 1}'), job("b", "ImportCsv", params='{"id": 1}')])

    assert await searched(store, "params.id=1", job_name="ImportCsv") == {"b": True}


@pytest.mark.parametrize(
    "text", ["id=1", "params=1", "params.id", "params..id=1", "other.id=1", "=1", "", 'params.a="\\x"']
)
def test_invalid_conditions_are_refused(text: str) -> None:
    with pytest.raises(InvalidOptionError):
        condition_in(text)
