"""Each action in the browser, with and without scripts."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from server_jobs.domain.record import JobRecord, JobStatus
from server_jobs.domain.record.audit import AuditQuery
from server_jobs.domain.search import FindStep
from server_jobs_http.dashboard import job_actions

from tests.slow import slow

from .example import Situation
from .site import READER, Visitor

SCRIPT, NO_SCRIPT = {"java_script_enabled": True}, {"java_script_enabled": False}
# A test of these runs without scripts among the others; the rest of them does so only among the slow ones.
with_and_without_scripts = pytest.mark.parametrize("options", [SCRIPT, NO_SCRIPT], ids=["script", "no script"])


@pytest.fixture(params=[SCRIPT, slow(NO_SCRIPT)], ids=["script", "no script"])
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the options of a browser, with and without scripts."""
    found: dict[str, Any] = request.param
    return found


async def stored(here: Situation, what: str) -> JobRecord:
    """Return a job of the situation."""
    record = await here.backend.store.get(here.ids[what])
    assert record is not None
    return record


async def test_signing_in_and_out(visitor: Visitor) -> None:
    await visitor.signs_in("wrong")
    assert "This token is not valid" in await visitor.text()
    await visitor.signs_in(READER, "/queues")
    assert visitor.path == "/queues"
    assert "read only" in await visitor.page.locator(".who").inner_text()

    await visitor.presses("Sign out")

    assert visitor.path == "/sign-in"
    await visitor.opens("/queues")
    assert visitor.path == "/sign-in?next=%2Fqueues"


@pytest.mark.parametrize(
    ("what", "action", "note", "status"),
    [
        ("failed 0", "Retry", "The job is pending again", JobStatus.PENDING),
        ("waiting 0", "Cancel", "Cancelled.", JobStatus.CANCELLED),
        ("running", "Cancel", "asked to stop", JobStatus.RUNNING),
        ("parked", "Cancel", "Cancelled.", JobStatus.CANCELLED),
        ("completed", "Delete", "Deleted.", None),
    ],
)
async def test_an_action_on_one_job_asks_first(
    here: Situation, visitor: Visitor, what: str, action: str, note: str, status: JobStatus | None
) -> None:
    before = await stored(here, what)
    await visitor.comes(f"/jobs/{here.ids[what]}")
    await visitor.presses(action)
    assert f"{action} this job?" in await visitor.text()
    await visitor.presses("Go back")
    assert await stored(here, what) == before

    await visitor.presses(action)
    await visitor.presses(f"{action} job")

    assert note in await visitor.page.get_by_role("status").inner_text()
    after = await here.backend.store.get(here.ids[what])
    assert (None if after is None else after.status) is status
    (entry,) = await here.backend.store.audit_log(AuditQuery(target=here.ids[what]))
    assert (entry.actor, entry.action) == ("token:JOBS_TOKEN", action.lower())


@pytest.mark.parametrize(
    ("what", "actions"),
    [
        ("running", ["Cancel"]),
        ("failed 0", ["Retry", "Delete"]),
        ("parked", ["Retry", "Cancel", "Repair", "Delete"]),
        ("completed", ["Delete"]),
        ("starved 0", ["Cancel", "Delete"]),
    ],
)
async def test_a_job_offers_the_actions_that_can_change_it(
    here: Situation, visitor: Visitor, what: str, actions: list[str]
) -> None:
    await visitor.comes(f"/jobs/{here.ids[what]}")

    assert await visitor.page.locator("#title .actions a").all_inner_texts() == actions


async def test_an_action_that_came_too_late_changes_nothing(here: Situation, visitor: Visitor) -> None:
    await visitor.comes(f"/jobs/{here.ids['failed 0']}/retry")
    await here.backend.store.retry(here.ids["failed 0"])

    await visitor.presses("Retry job")

    assert "The job is pending; only a failed or cancelled job can be retried" in await visitor.text()


async def test_selected_jobs_change_together_and_each_outcome_is_shown(here: Situation, visitor: Visitor) -> None:
    await visitor.comes("/jobs?queue=mail")
    for what in ("failed 0", "failed 1", "completed"):
        await visitor.page.locator(f'input[value="{here.ids[what]}"]').check()

    await visitor.presses("Retry")
    assert "Retry 3 jobs?" in await visitor.text()
    assert (await stored(here, "failed 0")).status is JobStatus.FAILED
    await visitor.presses("Retry 3 jobs")

    note = await visitor.page.get_by_role("status").inner_text()
    assert note == "2 jobs retried. 1 refused: 1 neither failed nor cancelled."
    assert visitor.path.startswith("/jobs?queue=mail")
    found = [(await stored(here, what)).status for what in ("failed 0", "failed 1", "failed 2", "completed")]
    assert found == ["pending", "pending", "failed", "completed"]


@with_and_without_scripts
async def test_actions_on_selected_jobs_are_on_the_screen_of_a_phone(here: Situation, visitor: Visitor) -> None:
    for number in range(60):
        here.add(f"more {number}")
    newest = here.ids["more 59"]
    await visitor.page.set_viewport_size({"width": 390, "height": 844})
    await visitor.comes("/jobs?status=pending")

    await visitor.page.locator(f'input[value="{newest}"]').check()
    await visitor.page.mouse.wheel(0, 600)
    for name in ("Cancel", "Delete"):
        box = await visitor.page.get_by_role("button", name=name, exact=True).bounding_box()
        assert box is not None
        assert (box["y"] > 700, box["y"] + box["height"] <= 844) == (True, True)
    await visitor.presses("Cancel")
    await visitor.presses("Cancel 1 job")

    assert (await stored(here, "more 59")).status is JobStatus.CANCELLED


@with_and_without_scripts
async def test_all_jobs_of_a_filter_change_after_a_count(here: Situation, visitor: Visitor) -> None:
    await visitor.comes("/jobs?job=SendEmail&error_class=ConnectionRefusedError")

    await visitor.page.get_by_text("All jobs that match").click()
    await visitor.presses("Retry all")
    assert "Retry all jobs that match?" in await visitor.text()
    assert (await stored(here, "failed 0")).status is JobStatus.FAILED
    await visitor.presses("Retry 4 jobs")

    assert await visitor.page.get_by_role("status").inner_text() == "4 jobs retried."
    assert visitor.path.startswith("/jobs?job=SendEmail&error_class=ConnectionRefusedError")
    found = [(await stored(here, f"failed {number}")).status for number in range(4)]
    assert found == [JobStatus.PENDING] * 4
    assert (await stored(here, "parked")).is_parked
    (entry,) = await here.backend.store.audit_log(AuditQuery(target=here.ids["failed 0"]))
    assert (entry.actor, entry.detail) == (
        "token:JOBS_TOKEN",
        "found by status failed, job SendEmail, error ConnectionRefusedError",
    )


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        ("pending", ["Cancel", "Delete"]),
        ("running", ["Cancel"]),
        ("failed", ["Retry", "Delete"]),
        ("parked", ["Retry", "Cancel", "Delete"]),
        ("completed", ["Delete"]),
    ],
)
async def test_a_list_offers_the_actions_that_can_change_its_jobs(
    visitor: Visitor, status: str, changes: list[str]
) -> None:
    await visitor.comes(f"/jobs?status={status}")

    groups = [visitor.page.get_by_role("group", name="Selected jobs"), visitor.page.locator(".all .actions")]
    assert await groups[0].get_by_role("button").all_inner_texts() == changes
    assert await groups[1].locator("button").all_text_contents() == [f"{change} all" for change in changes]


async def test_the_results_of_all_steps_are_in_one_note(
    here: Situation, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The clock gives each request after the first one step.
    monkeypatch.setattr(job_actions, "time", SimpleNamespace(monotonic=count(0, 15).__next__))
    monkeypatch.setattr(job_actions, "FindStep", partial(FindStep, limit=4))
    await visitor.comes("/jobs?status=failed")
    await visitor.page.get_by_text("All jobs that match").click()
    await visitor.presses("Delete all")
    await visitor.presses("Delete all of them")
    text = await visitor.text()
    assert ("Delete: 3 jobs" in text, "There are more." in text) == (True, True)
    monkeypatch.undo()

    await visitor.presses("Continue")

    assert await visitor.page.get_by_role("status").inner_text() == "5 jobs deleted."


@pytest.mark.parametrize("note", ["paused:nowhere", "retried:x", "nonsense:1", "retried:1234567890"])
async def test_an_address_brings_no_text_of_its_own(visitor: Visitor, note: str) -> None:
    await visitor.comes(f"/queues?note={note}")

    assert await visitor.page.get_by_role("status").count() == 0


async def test_a_filter_without_a_job_to_change_says_so(visitor: Visitor) -> None:
    await visitor.comes("/jobs?job=ImportRows")

    await visitor.page.get_by_text("All jobs that match").click()
    await visitor.presses("Retry all")

    assert "No job of this filter can be changed this way: none has failed" in await visitor.text()


async def test_an_action_without_a_selected_job_says_so(visitor: Visitor) -> None:
    await visitor.comes("/jobs?status=failed")

    await visitor.presses("Delete")

    assert "No job is selected" in await visitor.text()
    await visitor.presses("Go back")
    assert visitor.path == "/jobs?status=failed"


async def test_a_queue_is_paused_and_resumed(here: Situation, visitor: Visitor) -> None:
    await visitor.comes("/queues")

    await visitor.presses("Pause imports")
    assert [queue.name for queue in await here.backend.store.paused_queues()] == ["imports", "mail"]
    assert "Queue imports is paused." in await visitor.page.get_by_role("status").inner_text()
    await visitor.presses("Resume mail")

    assert [queue.name for queue in await here.backend.store.paused_queues()] == ["imports"]
    entries = await here.backend.store.audit_log(AuditQuery(actor="token:JOBS_TOKEN"))
    assert [(entry.action, entry.target) for entry in entries] == [("resume", "mail"), ("pause", "imports")]


async def test_a_paused_queue_is_resumed_with_one_click_on_the_first_page(here: Situation, visitor: Visitor) -> None:
    finding = visitor.page.locator(".findings li", has_text="Queue mail has been paused")
    await visitor.signs_in(READER)
    assert await finding.get_by_role("button").count() == 0
    await finding.get_by_role("link", name="Show queues").click()
    assert visitor.path == "/queues"
    await visitor.presses("Sign out")
    await visitor.comes()

    await finding.get_by_role("button", name="Resume it").click()

    assert await visitor.page.get_by_role("status").inner_text() == (
        "Queue mail is resumed. Workers claim its jobs again."
    )
    assert await here.backend.store.paused_queues() == []
    assert (await visitor.page.locator("h1").inner_text(), await finding.count()) == ("Overview", 0)
    (entry,) = await here.backend.store.audit_log(AuditQuery(actor="token:JOBS_TOKEN"))
    assert (entry.action, entry.target) == ("resume", "mail")


async def test_a_schedule_is_paused_resumed_and_run_now(here: Situation, visitor: Visitor) -> None:
    await visitor.comes("/schedules")

    await visitor.presses("Pause every-morning")
    assert [one.enabled for one in await here.backend.store.list_schedules()] == [False]
    await visitor.presses("Resume every-morning")
    assert [one.enabled for one in await here.backend.store.list_schedules()] == [True]
    weekly = replace((await here.backend.store.list_schedules())[0], id="weekly", name="weekly")
    await here.backend.store.add_schedule(weekly)
    await visitor.comes("/schedules")
    await visitor.presses("Remove weekly")
    assert [one.name for one in await here.backend.store.list_schedules()] == ["every-morning"]
    await visitor.presses("Run now every-morning")

    record = await here.backend.store.get(visitor.path.partition("?")[0].removeprefix("/jobs/"))
    assert record is not None
    assert (record.job_name, json.loads(record.params)) == ("Digest", {"file": "x", "customer": "all"})


@with_and_without_scripts
async def test_a_job_is_enqueued_with_a_form_that_shows_problems_at_their_fields(
    here: Situation, visitor: Visitor
) -> None:
    await visitor.comes("/enqueue")
    await visitor.page.get_by_role("link", name="SendEmail").click()
    page = visitor.page
    await page.get_by_label("to", exact=True).fill("ada@example.com\nbob@example.com")
    await page.get_by_label("subject").fill("x" * 61)
    await page.get_by_label("copies").fill("nine")
    await page.get_by_label("street").fill("y")
    await page.get_by_label("headers").fill("{")
    await visitor.presses("Enqueue")

    assert "This is not JSON" in await page.locator("#p-2f-headers-problem").inner_text()
    await page.get_by_label("headers").fill('{"a": "b"}')
    await visitor.presses("Enqueue")

    assert "3 values do not fit." in await page.get_by_role("alert").inner_text()
    assert "at most 60" in await page.locator("#p-2f-subject-problem").inner_text()
    assert "integer" in await page.locator("#p-2f-copies-problem").inner_text()
    assert "at least 2" in await page.locator("#p-2f-sender-2f-street-problem").inner_text()
    assert await page.get_by_label("to", exact=True).input_value() == "ada@example.com\nbob@example.com"
    await page.get_by_label("subject").fill("Hello")
    await page.get_by_label("copies").fill("2")
    await page.get_by_label("street").fill("Long Lane 1")
    await page.get_by_label("kind").select_option("rich")
    await page.get_by_label("urgent").select_option("true")
    await page.get_by_text("Options of this one job").click()
    await page.get_by_label("Delay").fill("five minutes")
    await page.get_by_label("Priority").fill("-5")
    await visitor.presses("Enqueue")
    assert "ISO 8601 duration" in await page.locator("#o-delay-problem").inner_text()
    await page.get_by_label("Delay").fill("PT5M")
    await visitor.presses("Enqueue")

    record = await here.backend.store.get(visitor.path.partition("?")[0].removeprefix("/jobs/"))
    assert record is not None
    assert (record.job_name, record.priority, record.queue) == ("SendEmail", -5, "mail")
    params = json.loads(record.params)
    assert params["to"] == ["ada@example.com", "bob@example.com"]
    assert (params["copies"], params["kind"], params["urgent"], params["headers"]) == (2, "rich", True, {"a": "b"})
    assert params["sender"] == {"street": "Long Lane 1", "zip": None}


async def test_an_empty_form_enqueues_nothing_unless_the_text_is_empty_on_purpose(
    here: Situation, visitor: Visitor
) -> None:
    await visitor.comes("/enqueue/ImportRows")
    empty = visitor.page.get_by_label("The text is empty on purpose")
    assert await empty.count() == 0

    await visitor.page.get_by_label("file").press("Enter")
    assert await visitor.page.locator("#p-2f-file-problem").inner_text() == "Field required"
    await empty.check()
    await visitor.presses("Enqueue")

    record = await here.backend.store.get(visitor.path.partition("?")[0].removeprefix("/jobs/"))
    assert record is not None
    assert json.loads(record.params) == {"file": "", "customer": "acme"}


async def test_a_parked_job_is_repaired_with_a_form(here: Situation, visitor: Visitor) -> None:
    await visitor.comes(f"/jobs/{here.ids['parked']}")
    await visitor.presses("Repair")
    page = visitor.page
    assert "/to: Input should be a valid list" in await visitor.text()

    await visitor.presses("Repair job")
    assert "1 value does not fit." in await page.get_by_role("alert").inner_text()
    assert (await stored(here, "parked")).is_parked
    await page.get_by_label("to", exact=True).fill("ada@example.com")
    await page.get_by_label("subject").fill("Hello")
    await visitor.presses("Repair job")

    record = await stored(here, "parked")
    assert (record.status, json.loads(record.params)["to"]) == ("pending", ["ada@example.com"])
    assert "The params were replaced" in await page.get_by_role("status").inner_text()
    (entry,) = await here.backend.store.audit_log(AuditQuery(target=record.id))
    assert (entry.action, entry.actor) == ("repair", "token:JOBS_TOKEN")


@pytest.mark.parametrize(
    ("is_parked_again", "answer"),
    [(False, "Only a parked job can be repaired"), (True, "The job changed since this form was loaded")],
)
async def test_a_repair_is_refused_if_the_job_changed_in_the_meantime(
    here: Situation, visitor: Visitor, is_parked_again: bool, answer: str
) -> None:
    await visitor.comes(f"/jobs/{here.ids['parked']}/repair")
    await visitor.page.get_by_label("to", exact=True).fill("ada@example.com")
    await visitor.page.get_by_label("subject").fill("Hello")
    await here.backend.store.retry(here.ids["parked"])
    if is_parked_again:
        await here.backend.store.resume_queue("mail")
        await here.park(here.ids["parked"])

    await visitor.presses("Repair job")

    assert answer in await visitor.text()
    assert json.loads((await stored(here, "parked")).params) == {"to": 5}
