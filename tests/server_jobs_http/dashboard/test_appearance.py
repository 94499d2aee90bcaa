"""How pages look and behave for everybody: colours, narrow screens, keyboards, and the rules of axe-core."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.async_api import Browser, ViewportSize
from server_jobs.domain.record import Heartbeat, NewJob
from server_jobs.domain.record.reports import WorkerReport

from .example import HOSTILE, Situation, empty
from .site import TOKEN, Server, Visitor

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
ALL = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# These may differ in other colours, on other screens, and in each combination: a cell is a block on narrow screens.
OF_COLOURS = ["color-contrast"]
OF_SCREENS = ["scrollable-region-focusable", "target-size"]
OF_BOTH = ["link-in-text-block"]
WIDE, NARROW = ViewportSize(width=1280, height=800), ViewportSize(width=380, height=780)
TABLET, SMALL = ViewportSize(width=768, height=1024), ViewportSize(width=900, height=700)
LINES = """cell => {
  const range = document.createRange();
  range.selectNodeContents(cell);
  return new Set([...range.getClientRects()].map(one => Math.round(one.top))).size;
}"""
"""A function that counts the lines of an element with one text."""
PAGES = (
    "/",
    "/jobs",
    "/jobs?status=cancelled",
    "/jobs?status=failed&job=SendEmail&error_class=ConnectionRefusedError",
    "/jobs?where=nonsense",
    "/jobs/{running}",
    "/jobs/{retried}",
    "/jobs/{parked}",
    "/jobs/{failed 0}/delete",
    "/jobs/{parked}/repair",
    "/failures",
    "/queues",
    "/schedules",
    "/workers",
    "/contracts",
    "/enqueue",
    "/enqueue/SendEmail",
    "/nowhere",
)


def address(here: Situation, path: str) -> str:
    """Return the address of a page for the jobs of a situation."""
    for what, job_id in here.ids.items():
        path = path.replace(f"{{{what}}}", job_id)
    return path


async def violations(visitor: Visitor, rules: list[str]) -> list[str]:
    """Return the violations of rules on the current page."""
    if not await visitor.page.evaluate("'axe' in window"):
        await visitor.page.evaluate(AXE)  # the CSP of the page does not apply to it
    found = json.loads(await visitor.page.evaluate(f"axe.run({{runOnly: {rules}}}).then(JSON.stringify)"))
    # axe-core does not decide whether a link stands out from text that is no ancestor of it. It has to, here.
    open_questions = [one for one in found["incomplete"] if one["id"] in OF_BOTH]
    wrong = found["violations"] + open_questions
    return [f"{one['id']}: {[node['html'][:150] for node in one['nodes'][:3]]}" for one in wrong]


async def faults(visitor: Visitor) -> list[str]:
    """Return what is wrong with the current page: in light and dark colours, and on a narrow screen."""
    page = visitor.page
    found = await violations(visitor, ALL)
    await page.emulate_media(color_scheme="dark")
    found += [f"dark: {one}" for one in await violations(visitor, OF_COLOURS + OF_BOTH)]
    await page.set_viewport_size(NARROW)
    found += [f"dark and narrow: {one}" for one in await violations(visitor, OF_BOTH)]
    await page.emulate_media(color_scheme="light")
    found += [f"narrow: {one}" for one in await violations(visitor, OF_SCREENS + OF_BOTH)]
    if await page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        found.append("wider than the screen")
    await page.set_viewport_size(WIDE)
    return found


@pytest.mark.slow
async def test_no_page_breaks_a_rule_or_is_wider_than_a_narrow_screen(
    server: Server, here: Situation, visitor: Visitor
) -> None:
    await visitor.opens()
    found = {"/sign-in": await faults(visitor)}
    await visitor.comes()
    for path in PAGES:
        await visitor.opens(address(here, path))
        found[path] = await faults(visitor)
    server.serve(await empty())
    for path in ("/", "/jobs", "/failures", "/workers"):
        await visitor.opens(path)
        found[f"empty {path}"] = await faults(visitor)

    assert {path: wrong for path, wrong in found.items() if wrong} == {}


async def test_the_first_page_breaks_no_rule(visitor: Visitor) -> None:
    await visitor.comes()

    assert await faults(visitor) == []


@pytest.mark.parametrize("queue", ["image-processing", "customer-notifications-high-priority"])
async def test_the_name_of_a_queue_stays_on_one_line(here: Situation, visitor: Visitor, queue: str) -> None:
    store = here.backend.store
    await store.insert([NewJob("0195c2a4-77a0-7cc1-a1f3-52a9b6a1c0df", "{}", job_name="Digest", queue=queue)])
    await store.pause_queue(queue)
    await here.report("0195-other", 813, queues=(queue, "imports", "mail"))
    await visitor.comes()

    for path in ("/", "/queues", "/jobs", "/workers"):
        await visitor.opens(path)
        cells = visitor.page.locator("tbody").get_by_text(queue, exact=True)
        assert set(await cells.evaluate_all(f"cells => cells.map({LINES})")) == {1}, path
        assert await visitor.page.locator(".card.table").evaluate("one => one.scrollWidth - one.clientWidth") == 0, path


async def test_a_long_name_does_not_widen_a_page_or_hide_an_action(here: Situation, visitor: Visitor) -> None:
    queue = "q" * 100
    job = NewJob("0195c2a4-77a0-7cc1-a1f3-52a9b6a1c0df", "{}", job_name="Digest", queue=queue)
    await here.backend.store.insert([job])
    await visitor.comes()

    for path in ("/", "/queues", "/jobs", "/schedules"):
        await visitor.opens(path)
        for size in (WIDE, SMALL, TABLET, NARROW):
            await visitor.page.set_viewport_size(size)
            assert not await visitor.page.evaluate("document.documentElement.scrollWidth > innerWidth"), (path, size)
            for button in await visitor.page.locator("td.act button:last-child").all():
                box = await button.bounding_box()
                assert box is not None
                assert box["x"] + box["width"] < size["width"], (path, size)
        if path != "/schedules":
            assert await visitor.page.locator("tbody").get_by_text(queue, exact=True).count() > 0


async def test_a_long_error_can_be_scrolled_with_the_keyboard(here: Situation, visitor: Visitor) -> None:
    await here.backend.store.resume_queue("mail")
    here.add("long")
    token = (await here.claim("0195-alive"))[here.ids["long"]]
    await here.fail(here.ids["long"], token, "x" * 2_000, "LongError")
    await visitor.comes("/failures")

    assert await visitor.page.locator(".reason").get_by_text("LongError").count() > 0
    assert await violations(visitor, OF_SCREENS) == []


@pytest.mark.slow
async def test_fifty_jobs_are_short_on_a_phone(here: Situation, visitor: Visitor) -> None:
    ids = [f"0195c2a4-77a0-7cc1-a1f3-52a9b6a1c0{number:02}" for number in range(60)]
    params = json.dumps({"file": "x" * 60})
    jobs = [NewJob(job_id, params, job_name="ImportRows", queue="customer-notifications") for job_id in ids]
    await here.backend.store.insert(jobs)
    await visitor.page.set_viewport_size({"width": 390, "height": 844})
    await visitor.comes("/jobs?queue=customer-notifications")

    assert await visitor.page.locator("tbody tr").count() == 50
    assert await visitor.page.locator(".preview").count() == 50
    assert await visitor.page.evaluate("document.documentElement.scrollHeight") < 5_000


async def test_the_bar_of_actions_hides_nothing_that_has_the_focus(here: Situation, visitor: Visitor) -> None:
    page = visitor.page
    await page.set_viewport_size({"width": 390, "height": 844})
    await visitor.comes("/jobs")
    bar = page.get_by_role("group", name="Selected jobs")

    await page.locator("tbody input").first.focus()
    for _ in range(16):
        await page.keyboard.press("Tab")
        focus = await page.evaluate("document.activeElement.getBoundingClientRect().bottom")
        box = await bar.bounding_box()
        assert box is not None
        assert focus <= box["y"]


@pytest.mark.slow
async def test_the_colours_follow_the_system(browser: Browser, server: Server, here: Situation) -> None:
    grounds: list[int] = []
    for scheme in ("light", "dark"):
        context = await browser.new_context(color_scheme=scheme)
        visitor = Visitor(await context.new_page(), server.origin)
        await visitor.comes()
        colour = await visitor.page.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor")
        grounds.append(sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(", "))))
        await context.close()

    assert grounds[0] > 3 * 240
    assert grounds[1] < 3 * 40


async def test_everything_is_reached_with_the_keyboard_alone(here: Situation, visitor: Visitor) -> None:
    page = visitor.page
    await visitor.opens(f"/jobs/{here.ids['failed 0']}")
    await page.locator("input:focus").wait_for()
    await page.keyboard.type(TOKEN)
    await page.keyboard.press("Enter")
    await page.locator("h1", has_text="SendEmail").wait_for()
    await page.wait_for_load_state()

    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "Skip to content"
    assert await page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "main"
    for name in ("Jobs", "SendEmail", "Copy", "Retry"):
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.textContent") == name
        outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Retry job").focus()
    await page.keyboard.press("Enter")
    await page.get_by_role("status").wait_for()

    record = await here.backend.store.get(here.ids["failed 0"])
    assert record is not None
    assert record.status == "pending"


@pytest.mark.slow
async def test_every_address_of_a_page_answers(here: Situation, visitor: Visitor) -> None:
    await visitor.comes()
    waiting, seen = ["/"], set[str]()
    while waiting:
        path = waiting.pop()
        answer = await visitor.page.goto(f"{visitor.origin}/_jobs/dashboard{path}")
        assert answer is not None
        assert answer.status == 200, path
        links = await visitor.page.evaluate("[...document.querySelectorAll('a[href]')].map(one => one.href)")
        places = {link.partition("#")[0].removeprefix(f"{visitor.origin}/_jobs/dashboard") for link in links}
        fresh = {place for place in places if _kind(place) not in seen}
        seen |= {_kind(place) for place in fresh}
        waiting += sorted(fresh)

    assert len(seen) > 15


def _kind(path: str) -> str:
    """Return the kind of an address: each job is like the others, and each filter."""
    return re.sub("=[^&]*", "=", re.sub("[0-9a-f]{8}-[0-9a-f-]{27}", "ID", path))


async def test_hostile_texts_are_shown_as_texts(here: Situation, visitor: Visitor) -> None:
    store = here.backend.store
    name, queue = HOSTILE[:100], f"q{HOSTILE}"[:100]
    job_id = here.add("hostile", subject=HOSTILE[:60], body=HOSTILE, headers={HOSTILE: HOSTILE})
    unknown = NewJob(HOSTILE[:36].replace("/", "|"), '{"a": 1', job_name=name, queue=queue, correlation_id=HOSTILE)
    await store.insert([unknown])
    await store.resume_queue("mail")
    await store.pause_queue(queue, by=f"user:{HOSTILE}")
    report = WorkerReport(
        id=HOSTILE, host=HOSTILE, pid=1, queues=(HOSTILE,), concurrency=1, version=HOSTILE, known=((HOSTILE, 1),)
    )
    await store.renew([], timedelta(minutes=1), [report])
    token = (await here.claim(HOSTILE))[job_id]
    await here.fail(job_id, token, HOSTILE, HOSTILE)
    await store.retry(job_id, by=f"user:{HOSTILE}")
    token = (await here.claim(HOSTILE))[job_id]
    await store.renew([Heartbeat(id=job_id, token=token, progress=1, message=HOSTILE)], timedelta(minutes=1))
    await visitor.comes()

    for path in (
        *("/", "/jobs", "/failures", "/queues", "/schedules", "/workers", "/contracts"),
        f"/jobs/{job_id}",
        f"/jobs/{unknown.id}".replace("<", "%3C").replace(">", "%3E").replace("'", "%27").replace("=", "%3D"),
        f"/jobs/{job_id}/cancel",
        "/jobs?correlation_id=" + HOSTILE.replace("#", "%23"),
        "/jobs?status=" + HOSTILE,
        "/jobs?queue=" + HOSTILE,
        "/jobs?note=" + HOSTILE,
        "/" + HOSTILE.replace("/", "|"),
    ):
        await visitor.opens(path)
        assert await visitor.page.title() != "owned", path
        assert await visitor.page.locator("main img, main script").count() == 0, path
        if path in ("/jobs", "/workers", f"/jobs/{job_id}"):
            assert "<script>document.title='owned'</script>" in await visitor.text(), path


async def test_characters_that_nobody_sees_are_shown_as_escapes(here: Situation, visitor: Visitor) -> None:
    unseen = "A17\u202e71A\u200b\r\x1b"
    store = here.backend.store
    await store.resume_queue("mail")
    job_id = here.backend.add_job(
        job_name="SendEmail", params={"to": ["ada@example.com"], "subject": unseen}, correlation_id=unseen
    )
    token = (await here.claim("0195-alive"))[job_id]
    await here.fail(job_id, token, unseen, "ValueError")
    named = NewJob("0195c2a4-77a0-7cc1-a1f3-52a9b6a1c0df", "{}", job_name=unseen[:-2], queue=unseen[:-2])
    await store.insert([named])
    await store.pause_queue(named.queue)
    await visitor.comes()

    for path in ("/", "/jobs", "/queues", "/contracts", f"/jobs/{named.id}", f"/jobs/{job_id}", "/failures"):
        await visitor.opens(path)
        text = await visitor.text()
        assert re.search("[\u202e\u200b\x1b]", text + await visitor.page.title()) is None, path
        assert r"A17\u202e71A\u200b" in text, path


@pytest.mark.slow
async def test_a_form_keeps_characters_that_nobody_sees(here: Situation, visitor: Visitor) -> None:
    await visitor.comes("/jobs?correlation_id=A%E2%80%AEB")

    assert await visitor.page.get_by_label("Job id or correlation id").input_value() == "A\u202eB"
    assert r"“A\u202eB”" in await visitor.text()


@pytest.mark.slow
async def test_the_whole_menu_is_on_a_narrow_screen(visitor: Visitor) -> None:
    await visitor.page.set_viewport_size({"width": 380, "height": 780})
    await visitor.comes("/contracts")

    for link in await visitor.page.locator(".side nav a").all():
        box = await link.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 380
