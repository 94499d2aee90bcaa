"""The routes of jobs: stored, shown and rejected values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from server_jobs import JobOptions, create_job_registry, define_job
from server_jobs.domain.record import JobQuery, JobStatus, NewJob
from server_jobs.domain.record.audit import AuditQuery
from server_jobs.engine.tick import tick
from server_jobs.errors import InvalidParamsError
from server_jobs.memory import InMemoryBackend
from server_jobs.security.tokens import NamedToken, rights_of
from server_jobs_http import Tokens
from server_jobs_http.body import LARGEST_BODY

from tests.server_jobs_http.caller import TOKEN, Caller, Kept, Note, keep, keep_job

PROBLEM = "application/problem+json"


async def test_a_job_is_enqueued_and_found_where_the_answer_says() -> None:
    call = Caller()

    reply = await call("POST", "/jobs/Keep", {"params": {"text": "hello"}})

    assert reply.status_code == 201
    created = reply.json()
    assert created == {"id": created["id"], "job_name": "Keep", "created": True}
    shown = await call("GET", reply.headers["location"])
    assert (shown.json()["status"], shown.json()["params"]["text"]) == ("pending", "hello")


async def test_parked_jobs_are_marked_and_can_be_listed_alone() -> None:
    call = Caller()
    call.backend.add_job(job_name="Keep", params={"text": "bad"})
    await call.backend.store.insert([NewJob(id="p", job_name="Keep", params='{"text":5}')])
    await tick(call.backend)

    assert [job["id"] for job in (await call("GET", "/jobs?parked=true")).json()["jobs"]] == ["p"]
    assert sorted(job["parked"] for job in (await call("GET", "/jobs?status=failed")).json()["jobs"]) == [False, True]
    assert (await call("GET", "/jobs/p")).json()["parked"]


async def test_a_job_can_be_named_as_its_spec_is() -> None:
    call = Caller()
    call.backend.registry.find("Keep").job.spec_name = "keep_it"

    assert (await call("POST", "/jobs/keep_it", {"params": {"text": "hello"}})).status_code == 201


async def test_a_server_without_the_secret_of_a_job_is_not_the_callers_fault(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("JOBS_KEY_SECRET", raising=False)
    options = JobOptions(redact=("/password",), unique_by=("/password",))
    job = define_job(name="Keep", params=Note, result=Kept, handler=keep, options=options)
    call = Caller(InMemoryBackend(job_registry=create_job_registry().register(job)))

    reply = await call("POST", "/jobs/Keep", {"params": {"text": "hello"}})

    assert reply.status_code == 503
    assert reply.json()["title"] == "the server lacks a secret that this job needs; its log says which"
    assert "JOBS_KEY_SECRET is not set" in caplog.text


async def test_options_are_those_of_the_body() -> None:
    call = Caller()
    body = {
        "params": {"text": "hello"},
        "scheduled_for": "2031-05-01T10:00:00+02:00",
        "expires_after": "PT10M",
        "priority": 7,
        "max_attempts": 4,
        "unique_key": "u",
        "on_conflict": "replace",
        "correlation_id": "c",
    }

    reply = await call("POST", "/jobs/Keep", body)

    (record,) = await call.backend.store.list_jobs(JobQuery())
    assert record.id == reply.json()["id"]
    assert record.scheduled_for == datetime(2031, 5, 1, 8, tzinfo=UTC)
    assert record.start_before == datetime(2031, 5, 1, 8, 10, tzinfo=UTC)
    assert (record.priority, record.max_attempts, record.correlation_id) == (7, 4, "c")
    assert record.unique_key == "Keep:u"

    again = await call(
        "POST", "/jobs/Keep", {"params": {"text": "new"}, "unique_key": "u", "on_conflict": "reschedule"}
    )

    assert (again.status_code, again.json()["id"], again.json()["created"]) == (200, record.id, False)
    (record,) = await call.backend.store.list_jobs(JobQuery())
    assert '"text":"new"' in record.params
    assert (await call("GET", f"/jobs/{record.id}")).json()["replaced_by"] is None


@pytest.mark.parametrize(
    ("text", "delay"),
    [
        ("PT1H", timedelta(hours=1)),
        ("PT0.5S", timedelta(milliseconds=500)),
        ("P1DT1M0.001S", timedelta(days=1, minutes=1, milliseconds=1)),
        ("PT0.000S", timedelta(0)),
    ],
)
async def test_a_delay_is_a_duration(text: str, delay: timedelta) -> None:
    call = Caller()

    await call("POST", "/jobs/Keep", {"params": {"text": "hello"}, "delay": text})

    (record,) = await call.backend.store.list_jobs(JobQuery())
    assert abs(record.scheduled_for - record.created_at - delay) <= timedelta(milliseconds=1)


async def test_a_job_may_expire_within_a_second() -> None:
    call = Caller()
    body = {"params": {"text": "hello"}, "delay": "PT1H", "expires_after": "PT0.25S"}

    await call("POST", "/jobs/Keep", body)

    (record,) = await call.backend.store.list_jobs(JobQuery())
    assert record.start_before is not None
    assert record.start_before - record.scheduled_for == timedelta(milliseconds=250)


async def test_a_second_job_with_the_same_unique_key_is_the_first_one() -> None:
    call = Caller()
    body = {"params": {"text": "hello"}, "unique_key": "u"}

    first, second = [await call("POST", "/jobs/Keep", body) for _ in range(2)]

    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json() == {"id": first.json()["id"], "job_name": "Keep", "created": False}
    assert await call.stored() == 1


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, {"/params"}),
        ({"params": None}, {"/params"}),
        ({"params": [1]}, {"/params"}),
        ({"params": {}}, {"/params/text"}),
        ({"params": {"text": "secret" * 20}}, {"/params/text"}),
        ({"params": {"text": 5, "addresses": [{"street": "a"}, {}]}}, {"/params/text", "/params/addresses/1/street"}),
        ({"params": {"text": "a\x00b"}}, {"/params/text"}),
        ({"params": {"text": "x"}, "dely": 5}, {"/dely"}),
        ({"params": {"text": "x"}, "delay": "soon"}, {"/delay"}),
        ({"params": {"text": "x"}, "delay": "-PT5M"}, {"/delay"}),
        ({"params": {"text": "x"}, "delay": "P1Y"}, {"/delay"}),
        ({"params": {"text": "x"}, "delay": "PT"}, {"/delay"}),
        ({"params": {"text": "x"}, "delay": "PT.5S"}, {"/delay"}),
        ({"params": {"text": "x"}, "delay": "PT0.5M"}, {"/delay"}),
        ({"params": {"text": "x"}, "delay": "PT0.0001S"}, {"/delay"}),
        ({"params": {"text": "x"}, "expires_after": "PT0.000S"}, {"/expires_after"}),
        ({"params": {"text": "x"}, "delay": 3600}, {"/delay"}),
        ({"params": {"text": "x"}, "scheduled_for": 3600}, {"/scheduled_for"}),
        ({"params": {"text": "x"}, "scheduled_for": "2031-05-01T10:00:00"}, {"/scheduled_for"}),
        ({"params": {"text": "x"}, "priority": "7"}, {"/priority"}),
        ({"params": {"text": "x"}, "unique_key": "k" * 501}, {"/unique_key"}),
    ],
)
async def test_invalid_params_are_refused_with_pointers_and_not_stored(body: object, pointers: set[str]) -> None:
    call = Caller()

    reply = await call("POST", "/jobs/Keep", body)

    assert (reply.status_code, reply.headers["content-type"]) == (422, PROBLEM)
    assert {problem["pointer"] for problem in reply.json()["errors"]} == pointers
    assert "secret" not in reply.text
    assert await call.stored() == 0


@pytest.mark.parametrize(
    "options",
    [
        {"priority": 500},
        {"max_attempts": 0},
        {"delay": "P99998W"},
        {"expires_after": "PT0S"},
        {"on_conflict": "drop", "unique_key": "u"},
        {"on_conflict": "replace"},
        {"expires_after": "P99998W"},
        {"delay": "P99999W"},
        {"delay": "PT5M", "scheduled_for": "2031-05-01T10:00:00Z"},
        {"unique_key": "a\x00b"},
    ],
)
async def test_options_that_no_store_could_keep_are_refused_and_store_nothing(options: dict[str, object]) -> None:
    call = Caller()

    reply = await call("POST", "/jobs/Keep", {"params": {"text": "x"}, **options})

    assert (reply.status_code, reply.headers["content-type"]) == (422, PROBLEM)
    assert await call.stored() == 0


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b'{"params": {"text": "\\ud800"}}', b"[" * 100_000])
async def test_a_body_that_is_not_json_is_refused(text: bytes) -> None:
    call = Caller()

    reply = await call("POST", "/jobs/Keep", content=text, headers={"content-type": "application/json"})

    assert (reply.status_code, reply.headers["content-type"]) == (400, PROBLEM)


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_a_body_of_another_kind_is_refused(kind: str) -> None:
    call = Caller()

    reply = await call("POST", "/jobs/Keep", content=b'{"params":{"text":"x"}}', headers={"content-type": kind})

    assert reply.status_code == 415
    assert await call.stored() == 0


@pytest.mark.parametrize(("coding", "status"), [("gzip", 415), ("br, gzip", 415), ("", 415), ("Identity", 201)])
async def test_a_body_that_is_compressed_is_refused(coding: str, status: int) -> None:
    reply = await Caller()("POST", "/jobs/Keep", {"params": {"text": "x"}}, headers={"content-encoding": coding})

    assert reply.status_code == status


@pytest.mark.parametrize("said", [str(LARGEST_BODY + 1), str(LARGEST_BODY), ""], ids=["true", "less", "nothing"])
async def test_a_body_that_is_too_large_is_refused_for_any_content_length(said: str) -> None:
    call = Caller()

    reply = await call(
        "POST",
        "/jobs/Keep",
        content=b" " * (LARGEST_BODY + 1),
        headers={"content-type": "application/json", "content-length": said},
    )

    assert reply.status_code == 413
    assert await call.stored() == 0


async def test_an_unknown_job_is_not_found() -> None:
    reply = await Caller()("POST", "/jobs/Kep", {"params": {}})

    assert (reply.status_code, reply.json()["title"]) == (404, "no job named 'Kep' is registered")


async def test_consecutive_pages_have_every_job_once() -> None:
    call = Caller()
    made = [call.backend.add_job(job_name="Keep", params={"text": str(number)}) for number in range(7)]
    seen: list[str] = []
    path: str | None = "/jobs?limit=3"
    sizes: list[int] = []

    while path is not None:
        page = (await call("GET", path)).json()
        sizes.append(len(page["jobs"]))
        seen += [job["id"] for job in page["jobs"]]
        path = page["next"] and f"/jobs?limit=3&before={page['next']}"

    assert seen == made[::-1]
    assert sizes == [3, 3, 1]


async def test_a_page_continues_after_a_deleted_or_foreign_job() -> None:
    call = Caller()
    job_id = call.backend.add_job(job_name="Keep", params={"text": "x"})
    await call.backend.store.insert([NewJob(id="order 17", job_name="Keep", params="{}")])

    async def found(before: str) -> list[str]:
        return [job["id"] for job in (await call("GET", f"/jobs?before={before}")).json()["jobs"]]

    assert await found("order 17") == [job_id]
    assert await found("ffffffff-ffff-7fff-8fff-ffffffffffff") == [job_id]


@pytest.mark.parametrize("before", ["zzz", "", "0", "'; --"])
async def test_a_page_after_an_empty_id_is_refused(before: str) -> None:
    reply = await Caller()("GET", f"/jobs?before={before}")

    assert reply.status_code == 422
    assert reply.json()["errors"] == [{"pointer": "/before", "detail": "Input should be the `next` of a page"}]


async def test_the_list_can_be_narrowed() -> None:
    call = Caller()
    call.backend.add_job(job_name="Keep", params={"text": "bad"})
    call.backend.add_job(job_name="Keep", params={"text": "good"}, correlation_id="c")
    await tick(call.backend)

    async def found(parameters: str) -> list[str]:
        return [job["status"] for job in (await call("GET", f"/jobs?{parameters}")).json()["jobs"]]

    assert await found("status=failed") == ["failed"]
    assert await found("correlation_id=c") == ["completed"]
    assert await found("job_name=Keep&queue=default") == ["completed", "failed"]
    assert await found("job_name=Other") == []


@pytest.mark.parametrize(
    ("limit", "expected"), [("0", 1), ("-5", 1), ("2", 2), ("1000000", 3), ("9" * 5000, 3), ("-" + "9" * 5000, 1)]
)
async def test_a_page_is_as_long_as_it_may_be(limit: str, expected: int) -> None:
    call = Caller()
    for _ in range(3):
        call.backend.add_job(job_name="Keep", params={"text": "x"})

    assert len((await call("GET", f"/jobs?limit={limit}")).json()["jobs"]) == expected


@pytest.mark.parametrize(
    "parameters",
    ["limit=x", "limit=", "limit=0.0", "limit=-1.0", "limit=1_0", "limit=%D9%A5", "status=lost", "stauts=failed"],
)
async def test_parameters_that_make_no_sense_are_refused(parameters: str) -> None:
    reply = await Caller()("GET", f"/jobs?{parameters}")

    assert (reply.status_code, reply.headers["content-type"]) == (422, PROBLEM)
    assert [problem["pointer"] for problem in reply.json()["errors"]] == [f"/{parameters.partition('=')[0]}"]


async def test_a_parameter_that_is_given_twice_is_refused_by_its_name() -> None:
    reply = await Caller()("GET", "/jobs?queue=a&limit=1&limit=2")

    assert (reply.status_code, reply.json()["title"]) == (422, "the parameter 'limit' is given more than once")


@pytest.mark.parametrize("name", ["job_name", "queue", "correlation_id", "before"])
async def test_a_parameter_that_no_database_can_store_is_refused_by_name(name: str) -> None:
    reply = await Caller()("GET", f"/jobs?{name}=a%00b")

    assert reply.status_code == 422
    assert [problem["pointer"] for problem in reply.json()["errors"]] == [f"/{name}"]


async def test_redacted_values_are_hidden_and_lists_show_no_params_results_or_errors() -> None:
    call = Caller()
    job_id = call.backend.add_job(job_name="Keep", params={"text": "bad", "password": "hunter2"})
    await tick(call.backend)

    shown, listed, status = [await call("GET", path) for path in (f"/jobs/{job_id}", "/jobs", "/status")]

    assert shown.json()["params"] == {"text": "bad", "password": "•••", "addresses": []}
    assert "cannot keep bad" in shown.json()["error"]
    assert "hunter2" not in shown.text
    for reply in (listed, status):
        assert "hunter2" not in reply.text
        assert "cannot keep" not in reply.text


@pytest.mark.parametrize("path", ["/jobs/gone", "/jobs/gone/events", "/jobs/%00", "/jobs/%F0%9F%92%A9"])
async def test_a_job_that_is_not_there_is_not_found(path: str) -> None:
    reply = await Caller()("GET", path)

    assert (reply.status_code, reply.headers["content-type"]) == (404, PROBLEM)


async def test_a_pending_job_is_cancelled_and_a_finished_one_is_not() -> None:
    call = Caller()
    job_id = call.backend.add_job(job_name="Keep", params={"text": "x"})

    first, second = [await call("POST", f"/jobs/{job_id}/cancel") for _ in range(2)]

    assert (first.status_code, first.json()) == (200, {"outcome": "cancelled"})
    assert second.status_code == 409
    assert (await call("POST", "/jobs/gone/cancel")).status_code == 404


async def test_a_running_job_is_asked_to_stop() -> None:
    call = Caller()
    job_id = call.backend.add_job(job_name="Keep", params={"text": "x"})
    await call.backend.poll_and_claim()

    reply = await call("POST", f"/jobs/{job_id}/cancel")

    assert (reply.status_code, reply.json()) == (202, {"outcome": "requested"})


async def test_a_failed_job_is_put_back_and_a_pending_one_is_not() -> None:
    call = Caller()
    job_id = call.backend.add_job(job_name="Keep", params={"text": "bad"})
    await tick(call.backend)

    first, second = [await call("POST", f"/jobs/{job_id}/retry") for _ in range(2)]

    assert (first.status_code, first.json()["status"]) == (200, "pending")
    assert second.status_code == 409
    assert (await call("POST", "/jobs/gone/retry")).status_code == 404


async def test_reading_changes_nothing() -> None:
    call = Caller()
    job_id = call.backend.add_job(job_name="Keep", params={"text": "x"})
    before = await call.backend.store.get(job_id)

    for path in ("/status", "/jobs", f"/jobs/{job_id}", "/health", "/metrics", "/openapi.json"):
        assert (await call("GET", path)).status_code == 200
        assert (await call("HEAD", path)).status_code == 200

    assert before is not None
    assert before.status is JobStatus.PENDING
    assert await call.backend.store.get(job_id) == before


async def test_lists_of_jobs_read_no_params_results_or_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    call = Caller()
    job_id = call.backend.add_job(job_name="Keep", params={"text": "bad"})
    await tick(call.backend)
    for name in ("get", "list_jobs"):
        monkeypatch.setattr(call.backend.store, name, None)

    replies = [await call("GET", path) for path in ("/jobs", "/status", f"/jobs/{job_id}/events")]

    assert [reply.status_code for reply in replies] == [200, 200, 200]
    assert all('"failed"' in reply.text for reply in replies)


async def test_an_answer_lists_a_hundred_problems_and_counts_the_others() -> None:
    reply = await Caller()("POST", "/jobs/Keep", {"params": {"text": "x", "addresses": [{}] * 5_000}})

    assert reply.status_code == 422
    assert (len(reply.json()["errors"]), reply.json()["more_errors"]) == (100, 4_900)
    assert len(reply.content) < 20_000


@pytest.mark.parametrize(("count", "length"), [(5_000, 10), (90, 10_000)])
async def test_an_answer_stays_small_for_any_names_in_a_request(count: int, length: int) -> None:
    names = {f"{number:0{length}}": 1 for number in range(count)}
    reply = await Caller()("POST", "/jobs/Keep", {"params": {}, **names})

    assert reply.status_code == 422
    assert len(reply.json()["errors"]) + reply.json().get("more_errors", 0) == count
    assert len(reply.content) < 60_000


async def test_a_message_lists_a_hundred_problems_and_counts_the_others() -> None:
    with pytest.raises(InvalidParamsError, match=r"and 4900 more problems$") as caught:
        keep_job().new_job({"text": "x", "addresses": [{}] * 5_000})

    assert len(caught.value.problems) == 100


async def test_a_request_with_two_lengths_is_refused_before_its_token_is_looked_at() -> None:
    headers = {"authorization": "", "transfer-encoding": "chunked", "content-length": "5"}
    reply = await Caller()("POST", "/jobs/Keep", content=b"12345", headers=headers)

    assert (reply.status_code, reply.headers["connection"]) == (400, "close")


async def test_a_job_is_deleted_once_and_a_running_one_is_not() -> None:
    call = Caller()
    job_id = (await call("POST", "/jobs/Keep", {"params": {"text": "x"}})).json()["id"]
    running = (await call("POST", "/jobs/Keep", {"params": {"text": "x"}})).json()["id"]
    await call.backend.store.claim_one(running, call.backend.execution.request(limit=1))

    replies = [await call("DELETE", f"/jobs/{one}") for one in (job_id, job_id, running)]

    assert [reply.status_code for reply in replies] == [200, 404, 409]
    assert replies[0].json() == {"outcome": "deleted"}
    assert await call.stored() == 1


async def test_changes_over_http_are_entered_with_the_name_of_the_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "server_jobs.audit")
    named = NamedToken.of("shop", rights_of(["admin", "enqueue"]), TOKEN)
    call = Caller(tokens=Tokens(named=[named]))
    job_id = (await call("POST", "/jobs/Keep", {"params": {"text": "x"}})).json()["id"]
    for method, end in (("POST", "/cancel"), ("POST", "/cancel"), ("POST", "/retry"), ("DELETE", "")):
        await call(method, f"/jobs/{job_id}{end}")

    entries = [(one.actor, one.action, one.target) for one in await call.backend.store.audit_log(AuditQuery())]
    assert entries == [("token:shop", action, job_id) for action in ("delete", "retry", "cancel")]
    assert [record.getMessage() for record in caplog.records] == [
        f"audit: {action} by token:shop: {job_id}" for action in ("cancel", "retry", "delete")
    ]


async def test_a_token_of_the_variable_is_entered_under_its_name() -> None:
    call = Caller()
    job_id = (await call("POST", "/jobs/Keep", {"params": {"text": "x"}})).json()["id"]
    await call("POST", f"/jobs/{job_id}/cancel")

    assert [one.actor for one in await call.backend.store.audit_log(AuditQuery())] == ["token:JOBS_TOKEN"]
