"""Somebody who has never seen the dashboard finds out what is wrong with a broken system."""

from __future__ import annotations

from datetime import timedelta

import pytest
from server_jobs.domain.record import Heartbeat, JobQuery, JobStatus, NewJob
from server_jobs_http import create_app
from server_jobs_http.app import under_prefix
from server_jobs_http.dashboard.formats import counted

from .example import Situation, empty
from .site import MAILER, PLACE, READER, TOKENS, Client, Server, Visitor


async def test_the_first_page_says_what_is_wrong_and_leads_to_each_place(here: Situation, visitor: Visitor) -> None:
    await visitor.comes()

    findings = await visitor.page.locator(".findings li").all_inner_texts()

    dead, parked, paused, starved, failing = findings
    assert "Worker jobs-2:4711 died 16 min ago with 1 job." in dead
    assert "1 job of SendEmail is parked" in parked
    assert "Queue mail has been paused for 4 min." in paused
    assert "6 jobs wait for it." in paused
    assert "A job in queue imports has been due for 4 min." in starved
    assert f"limit of 1 running job with the same values at /customer is used up by {here.ids['running']}" in starved
    assert "23 failures in the last hour. 20 of them are ImportRows." in " ".join(failing.split())
    for link, place in (
        ("Show workers", "/workers"),
        ("Show failures", "/failures"),
        ("Show parked jobs", "/jobs?parked=1&job=SendEmail"),
        ("Why it waits", f"/jobs/{min(here.ids[f'starved {number}'] for number in range(3))}"),
    ):
        await visitor.opens()
        await visitor.page.locator(".findings").get_by_role("link", name=link).click()
        assert visitor.path == place
        await visitor.page.locator("h1").first.wait_for()
        assert await visitor.page.locator("h1").count() == 1


async def test_the_first_page_shows_the_numbers_of_each_queue(visitor: Visitor) -> None:
    await visitor.comes()

    rows = await visitor.page.locator("#queues tbody tr").all_inner_texts()
    assert [row.split() for row in rows] == [
        ["default", "0", "\u2013", "0", "0", "0", "0"],
        ["imports", "3", "4", "min", "1", "0", "0", "249"],
        ["mail", "paused", "6", "4", "min", "1", "0", "5,", "1", "parked", "1,683"],
    ]
    tile = visitor.page.locator(".tile", has_text="Failed")
    assert "1 of them parked, 23 failures last hour" in await tile.inner_text()
    assert "1,932 completed" in await visitor.page.locator("#hour").inner_text()
    pictures = visitor.page.locator("#queues svg[role=img]")
    assert await pictures.nth(2).get_attribute("aria-label") == (
        "Last hour: 1,683 completed, 3 failed, 10 retried. At most 44 in one minute."
    )


async def test_the_worker_that_died_shows_what_it_held(here: Situation, visitor: Visitor) -> None:
    await visitor.comes("/workers")

    first = await visitor.page.locator("tbody tr").first.inner_text()
    assert ("jobs-2:4711" in first, "dead" in first) == (True, True)
    await visitor.page.get_by_role("link", name=f"SendEmail {here.ids['held']}").click()
    assert "whose worker has died" in await visitor.text()


async def test_a_dead_worker_needs_attention_until_another_one_has_finished_its_jobs(
    visitor: Visitor, server: Server
) -> None:
    here = await empty()
    held = here.add("held")
    await here.report("0195-dead", 4711, queues=("mail",))
    await here.claim("0195-dead")
    here.clock.advance(timedelta(minutes=5))
    await here.report("0195-imports", 812, queues=("imports",))
    server.serve(here)
    dead = visitor.page.locator(".findings li", has_text="died")

    await visitor.comes()
    text = " ".join((await dead.inner_text()).split())
    assert "No living worker claims from mail. Start one. server-jobs worker --queues mail" in text

    await here.report("0195-mail", 813, queues=("mail",))
    await visitor.opens()
    assert "A living worker takes over each job" in await dead.inner_text()
    await here.backend.store.expire(jitter=timedelta(0))
    here.clock.advance(timedelta(hours=1))
    await here.fail(held, (await here.claim("0195-mail"))[held], "no", "ValueError")
    await visitor.opens()
    assert await dead.count() == 0


async def test_a_living_worker_shows_the_jobs_that_it_runs_by_name(here: Situation, visitor: Visitor) -> None:
    await visitor.comes("/workers")

    runs = visitor.page.locator("tr.more", has_text="Runs:")
    assert (await runs.inner_text()).split() == ["Runs:", "ImportRows", here.ids["running"]]


async def test_a_schedule_shows_its_slots_in_its_zone_and_in_utc(visitor: Visitor) -> None:
    await visitor.comes("/schedules")

    row = await visitor.page.locator("tbody tr").inner_text()

    assert "America/New_York" in row
    assert "Tue 03 Mar 06:30" in row
    assert "11:30 in 23 h" in row


async def test_failures_are_grouped_with_their_newest_job(here: Situation, visitor: Visitor) -> None:
    await visitor.comes("/failures")

    first, second = await visitor.page.locator(".groups li").all_inner_texts()

    assert first.split()[:3] == ["SendEmail", "ConnectionRefusedError", "4"]
    assert "connection to smtp.example.com refused" in first
    assert "InvalidParamsError" in second
    await visitor.page.get_by_role("link", name=here.ids["failed 3"]).click()
    assert visitor.path == f"/jobs/{here.ids['failed 3']}"


async def test_a_job_shows_its_attempts_with_tracebacks_and_hides_secrets(here: Situation, visitor: Visitor) -> None:
    await visitor.comes(f"/jobs/{here.ids['failed 0']}")

    text = await visitor.text()
    assert "hunter2" not in await visitor.page.content()
    assert '"password": "•••"' in text
    assert "Attempt 1 failed" in " ".join(text.split())
    assert "await smtp.send(message)" not in text
    await visitor.page.get_by_text("Traceback of ConnectionRefusedError").click()
    assert "await smtp.send(message)" in await visitor.text()


async def test_a_job_is_found_by_its_id_and_by_its_correlation_id(here: Situation, visitor: Visitor) -> None:
    await visitor.comes("/jobs")
    search = visitor.page.get_by_label("Job id or correlation id")

    await search.fill(f" {here.ids['completed'].upper()} ")
    await search.press("Enter")
    assert visitor.path == f"/jobs/{here.ids['completed']}"
    await visitor.page.get_by_role("link", name="order-4711").click()
    assert visitor.path == "/jobs?correlation_id=order-4711"
    assert await visitor.page.locator("tbody tr").count() == len(here.ids) - 1  # the parked one has no correlation id
    await search.fill("nobody")
    await search.press("Enter")
    assert "No job has the id or the correlation id “nobody”" in await visitor.text()


async def test_filters_narrow_the_list_and_stay_with_each_other(here: Situation, visitor: Visitor) -> None:
    await visitor.comes("/jobs")

    await visitor.page.get_by_label("Queue").select_option("mail")
    await visitor.presses("Filter")
    await visitor.page.get_by_role("link", name="Failed 5, 1 parked").click()

    assert visitor.path == "/jobs?status=failed&queue=mail"
    assert await visitor.page.locator("tbody tr").count() == 5
    await visitor.page.get_by_role("link", name="Parked 1").click()
    assert here.ids["parked"] in await visitor.text()
    await visitor.presses("Clear")
    assert visitor.path == "/jobs"


async def test_a_group_of_failures_leads_to_its_jobs(here: Situation, visitor: Visitor) -> None:
    await visitor.comes("/failures")

    await visitor.page.locator(".groups h2 a").first.click()

    assert visitor.path == "/jobs?status=failed&job=SendEmail&error_class=ConnectionRefusedError"
    assert await visitor.page.locator("tbody tr").count() == 4
    assert "Only jobs whose last failure was this exception: ConnectionRefusedError" in await visitor.text()
    await visitor.page.get_by_text("More filters").click()
    await visitor.page.get_by_label("Error class").fill("NoSuchError")
    await visitor.presses("Filter")
    assert "error_class=NoSuchError" in visitor.path
    assert "No job fits" in await visitor.text()


async def test_jobs_are_searched_by_a_value_of_their_params_but_not_by_a_secret(
    here: Situation, visitor: Visitor
) -> None:
    await visitor.comes("/jobs?job=SendEmail")
    where = visitor.page.get_by_label("Where")

    await where.fill("params.subject=completed")
    await where.press("Enter")
    assert await visitor.page.locator("tbody th small").all_inner_texts() == [here.ids["completed"]]
    for condition, answer in (
        ("params.password=hunter2", "redacted"),
        ("nonsense", "nonsense"),
        ("params.x=1", "no params.x"),
    ):
        await visitor.page.get_by_label("Where").fill(condition)
        await visitor.presses("Filter")
        assert answer in await visitor.page.get_by_role("alert").inner_text()
        assert await visitor.page.locator("tbody").count() == 0


async def test_a_row_shows_the_error_of_a_failed_job_or_else_its_params_without_secrets(
    here: Situation, visitor: Visitor
) -> None:
    here.add("secret", password="hunter2", subject="A\u202eB")
    here.add("long", body="x" * 5_000)
    stale = NewJob(
        "0195c2a4-77a0-7cc1-a1f3-52a9b6a1c0df", '{"password": "hunter2"}', job_name="SendEmail", queue="mail"
    )
    unknown = NewJob("0195c2a4-77a0-7cc1-a1f3-52a9b6a1c0e0", '{"a": "hunter2"}', job_name="Unknown", queue="mail")
    await here.backend.store.insert([stale._replace(spec_version=2), unknown])
    await visitor.comes("/jobs")
    rows = {
        await row.locator("small").inner_text(): " ".join(await row.locator(".preview").all_inner_texts())
        for row in await visitor.page.locator("tbody tr").all()
    }

    assert rows[here.ids["failed 0"]] == "ConnectionRefusedError: connection to smtp.example.com refused"
    assert rows[here.ids["parked"]].startswith("params of SendEmail do not fit its spec: /to:")
    assert rows[here.ids["running"]] == '{"file":"running.csv","customer":"acme"}'
    assert r'"subject":"A\u202eB"' in rows[here.ids["secret"]]
    assert [rows[job_id] for job_id in (here.ids["long"], stale.id, unknown.id)] == [""] * 3
    assert "hunter2" not in await visitor.page.content()
    await visitor.opens("/jobs?job=SendEmail&where=params.kind=plain")
    assert "hunter2" not in await visitor.page.content()


async def test_more_jobs_than_a_page_holds_are_read_page_by_page(here: Situation, visitor: Visitor) -> None:
    for number in range(60):
        here.add(f"more {number}")
    await visitor.comes("/jobs?queue=mail")
    seen: list[str] = []
    while True:
        seen += await visitor.page.locator("tbody th small").all_inner_texts()
        more = visitor.page.get_by_role("link", name="Older jobs")
        if not await more.count():
            break
        await more.click()

    query = JobQuery(queues=("mail",), limit=1000)
    assert seen == [job.id for job in await here.backend.store.list_summaries(query)]
    await visitor.presses("Newest")
    assert visitor.path == "/jobs?queue=mail"


async def test_advice_names_the_buttons_that_the_caller_may_press(here: Situation, visitor: Visitor) -> None:
    why = visitor.page.locator(".why")
    await visitor.comes(f"/jobs/{here.ids['waiting 0']}")
    assert "Press Resume on the page Queues." in await why.inner_text()
    assert "server-jobs resume" not in await why.inner_text()
    await visitor.opens(f"/jobs/{here.ids['parked']}")
    assert "Press Repair to replace the params, or Retry to read them again." in await why.inner_text()
    assert "server-jobs" not in await why.inner_text()
    await visitor.page.context.clear_cookies()

    await visitor.signs_in(READER, f"/jobs/{here.ids['waiting 0']}")

    assert "server-jobs resume mail" in await why.inner_text()


async def test_a_running_job_says_when_its_attempt_stops(here: Situation, visitor: Visitor) -> None:
    for what, is_said in (("running", True), ("held", False)):
        await visitor.comes(f"/jobs/{here.ids[what]}")
        assert ("The attempt stops after 6 h." in await visitor.text()) is is_said


async def test_a_page_of_a_job_shows_its_error_and_the_jobs_before_it_once(here: Situation, visitor: Visitor) -> None:
    await visitor.comes(f"/jobs/{here.ids['failed 0']}")
    assert (await visitor.text()).count("connection to smtp.example.com refused") == 1
    await visitor.opens(f"/jobs/{here.ids['retried']}")
    text = await visitor.text()
    assert [text.count(f"greylisted, try {attempt}") for attempt in range(2)] == [1, 1]

    await visitor.opens(f"/jobs/{here.ids['starved 0']}")

    text = await visitor.page.locator(".why").inner_text()
    assert (text.count(here.ids["running"]), "is used up by this job." in text) == (1, True)


async def test_a_job_leads_to_the_jobs_of_its_batch(visitor: Visitor, server: Server) -> None:
    here = await empty()
    job, report = (here.backend.registry.find(name).job for name in ("SendEmail", "ImportRows"))
    mails = [{"to": ["ada@example.com"], "subject": str(number)} for number in range(3)]
    batch = await job.using(here.backend).later_many(mails, then=report.new_job({"file": "rows.csv"}))
    await batch[0].cancel()
    here.add("alone")
    server.serve(here)

    await visitor.comes(f"/jobs/{batch.id}")
    assert "It waits until its batch has ended: 1 of 3 jobs have finished." in await visitor.text()
    await visitor.opens(f"/jobs/{batch[1]}")
    await visitor.page.get_by_role("link", name="1 of 3 finished").click()

    assert visitor.path == f"/jobs?batch={batch.id}"
    assert await visitor.page.locator("#list tbody tr").count() == 3
    assert f"Only jobs of this batch, without its completion job: {batch.id}" in await visitor.text()


async def test_contracts_show_the_versions_that_wait_and_the_last_change(
    here: Situation, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = here.backend.registry.find("SendEmail").job
    monkeypatch.setattr(job, "last_change", ("params/to: maxItems was 20, and is 50 now",))
    await visitor.comes("/contracts")

    rows = await visitor.page.locator("tbody tr").all_inner_texts()
    assert [row.split()[0] for row in rows] == ["SendEmail", "ImportRows", "Digest"]
    assert "v1: 6" in rows[0]
    assert "params/to: maxItems was 20, and is 50 now" in rows[0]
    await visitor.presses("SendEmail")
    assert visitor.path == "/jobs?job=SendEmail"


async def test_numbers_have_all_jobs_and_the_job_that_waits_longest(here: Situation) -> None:
    oldest = here.add("oldest", "Digest")
    here.clock.advance(timedelta(minutes=2))
    for number in range(300):
        here.add(f"newer {number}", "Digest")
    await here.report("0195-alive", 812)
    client = Client(under_prefix(create_app(here.backend, TOKENS)))
    await client.signs_in()

    assert f'/jobs/{oldest}">Why it waits' in (await client("GET", f"{PLACE}/")).text
    assert "v1: 301" in (await client("GET", f"{PLACE}/contracts")).text
    await client.signs_in(MAILER)
    failures = (await client("GET", f"{PLACE}/failures")).text
    assert "5 failed jobs, grouped by job and class of error, in your queues." in failures


def test_a_count_says_that_it_ends_at_its_bound() -> None:
    assert [counted(value) for value in (1, 9_999, 10_000, 12_345)] == ["1", "9,999", "10,000+", "10,000+"]


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        ("/", "server-jobs worker"),
        ("/jobs", "server-jobs enqueue"),
        ("/jobs?status=failed", "No job has these values"),
        ("/jobs?status=nonsense", "There is no status 'nonsense'"),
        ("/failures", "No job has failed"),
        ("/workers", "server-jobs worker"),
    ],
)
async def test_an_empty_page_says_what_to_do_next(visitor: Visitor, server: Server, path: str, advice: str) -> None:
    server.serve(await empty())
    await visitor.comes(path)

    assert advice in await visitor.text()


async def test_an_unknown_address_and_an_unknown_job_are_pages(visitor: Visitor) -> None:
    await visitor.comes()
    for path in ("/nowhere", "/jobs/gone"):
        await visitor.opens(path)
        assert await visitor.page.locator(".code").inner_text() == "404"


async def test_a_page_updates_itself_and_keeps_what_somebody_uses(here: Situation, visitor: Visitor) -> None:
    await visitor.comes(f"/jobs/{here.ids['running']}")
    await visitor.page.evaluate("window.stays = true")
    assert await visitor.page.locator(".percent").inner_text() == "62 %"
    await _progress(here, 80)

    await visitor.page.locator(".percent", has_text="80 %").wait_for()

    assert await visitor.page.evaluate("window.stays")
    await visitor.page.get_by_role("button", name="Live").click()
    assert await visitor.page.locator(".live").inner_text() == "Paused"


async def _progress(here: Situation, percent: int) -> None:
    record = await here.backend.store.get(here.ids["running"])
    assert record is not None
    assert record.status is JobStatus.RUNNING
    beat = Heartbeat(id=record.id, token=record.fencing_token or "", progress=percent, message=None)
    await here.backend.store.renew([beat], timedelta(minutes=1))


async def test_the_page_of_a_job_shows_its_end_without_a_reload_by_hand(here: Situation, visitor: Visitor) -> None:
    await visitor.comes(f"/jobs/{here.ids['starved 0']}")
    await here.backend.store.cancel(here.ids["starved 0"], by="user:bob")

    await visitor.page.get_by_text("cancel by user:bob").wait_for()

    assert await visitor.page.locator("h1 .pill").inner_text() == "cancelled"
    assert await visitor.page.locator(".live").count() == 0


async def test_times_are_relative_with_the_absolute_time_beside(here: Situation, visitor: Visitor) -> None:
    await visitor.comes(f"/jobs/{here.ids['completed']}")

    created = visitor.page.locator(".facts time").first

    assert await created.inner_text() == "4 min ago"
    at = (await here.backend.store.get(here.ids["completed"])).created_at  # type: ignore[union-attr]
    assert await created.get_attribute("datetime") == f"{at:%Y-%m-%dT%H:%M:%S}Z"
    assert (await created.get_attribute("title") or "").startswith(f"{at:%Y-%m-%d %H:%M:%S} UTC")


async def test_the_counts_of_the_tabs_are_of_the_chosen_job_and_queue(here: Situation, visitor: Visitor) -> None:
    await visitor.comes("/jobs?queue=imports")
    tabs = visitor.page.locator("#tabs a")

    assert await tabs.all_inner_texts() == [
        *("All", "Pending 3", "Running 1", "Failed 0", "Parked 0", "Completed", "Cancelled")
    ]
    await visitor.opens("/jobs?job=SendEmail&error_class=ConnectionRefusedError")
    assert [text for text in await tabs.all_inner_texts() if " " in text] == []


async def test_a_search_of_params_without_a_job_asks_for_the_job(visitor: Visitor) -> None:
    await visitor.comes("/jobs")

    for condition in ("params.customer=acme", "/params/customer=acme"):
        await visitor.page.get_by_label("Where").fill(condition)
        await visitor.presses("Filter")
        assert "Choose a job in the list Job" in await visitor.page.get_by_role("alert").inner_text()


async def test_attempts_before_a_retry_are_apart(here: Situation, visitor: Visitor) -> None:
    await here.backend.store.resume_queue("mail")
    await here.backend.store.retry(here.ids["failed 0"])
    await visitor.comes(f"/jobs/{here.ids['failed 0']}")
    apart = visitor.page.locator(".timeline .again")
    assert await apart.count() == 1

    token = (await here.claim("0195-alive"))[here.ids["failed 0"]]
    await here.fail(here.ids["failed 0"], token, "again", "AgainError")
    await visitor.opens(f"/jobs/{here.ids['failed 0']}")

    lines = await visitor.page.locator(".timeline > li").all_inner_texts()
    assert ["Attempt 1" in lines[0], "Before the attempts" in lines[1], "Attempt 1" in lines[2]] == [True] * 3
    await visitor.opens(f"/jobs/{here.ids['retried']}")
    assert await apart.count() == 0
