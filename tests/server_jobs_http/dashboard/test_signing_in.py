"""Access: tokens, cookies, scopes, and decisions of the application. Without a browser."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from server_jobs.domain.record import JobQuery, JobStatus
from server_jobs.domain.record.audit import AuditQuery
from server_jobs.errors import InvalidOptionError
from server_jobs.security.tokens import Scope
from server_jobs_http import ALL_RIGHTS, Caller, HttpOptions, NamedToken, Tokens, create_app
from server_jobs_http.app import under_prefix
from server_jobs_http.dashboard import mounting, sessions
from server_jobs_http.dashboard.pages import PAGES
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount
from starlette.types import ASGIApp

from tests.measuring import assert_cpu_seconds

from .example import Situation, broken, empty
from .site import MAILER, PLACE, READER, TOKEN, TOKENS, Client

POSTS = sorted(path for method, path, _ in PAGES if method == "POST")
GETS = sorted(path for method, path, _ in PAGES if method == "GET")
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


def served(here: Situation, tokens: Tokens = TOKENS, **more: object) -> ASGIApp:
    """Return the application, as `server-jobs serve` serves it."""
    return under_prefix(create_app(here.backend, tokens, **more))  # type: ignore[arg-type]


def place_of(here: Situation, path: str) -> str:
    """Return an address for the pattern of a page."""
    job = here.ids["failed 0"]
    return PLACE + path.replace("{id}", job).replace("{action}", "retry").replace("{name}", "SendEmail")


def csrf_in(text: str) -> str:
    """Return the CSRF token in a page."""
    found = re.search('name="csrf" value="([0-9a-f]{64})"', text)
    assert found
    return found[1]


async def signed_in(here: Situation, token: str = TOKEN) -> tuple[Client, str]:
    """Return a client with a cookie, and the CSRF token of its forms."""
    client = Client(served(here))
    await client.signs_in(token)
    return client, csrf_in((await client("GET", f"{PLACE}/jobs")).text)


async def test_without_a_token_in_the_configuration_there_is_no_dashboard() -> None:
    client = Client(served(await empty(), Tokens()))

    for path in ("", "/", "/sign-in", "/static/style.css", "/jobs"):
        assert (await client("GET", PLACE + path)).status_code == 404
    assert (await client("POST", f"{PLACE}/sign-in", {"token": TOKEN})).status_code == 404


async def test_a_page_leads_to_the_form_and_back() -> None:
    here = await broken()
    client = Client(served(here))

    refused = await client("GET", f"{PLACE}/jobs?status=failed&queue=mail")
    form = await client("GET", refused.headers["location"])
    action = re.search('action="([^"]+)"', form.text)
    assert action
    entered = await client("POST", action[1].replace("&amp;", "&"), {"token": f" {TOKEN} "})

    assert (refused.status_code, form.status_code, entered.status_code) == (303, 200, 303)
    assert entered.headers["location"] == f"{PLACE}/jobs?status=failed&queue=mail"
    client.cookies.update(entered.cookies)
    assert (await client("GET", entered.headers["location"])).status_code == 200
    assert (await client("GET", PLACE)).headers["location"] == f"{PLACE}/"


@pytest.mark.parametrize(
    "next_page",
    ["//evil.example", "https://evil.example", "/\\evil.example", "/../../evil", "/a\r\nx: y", "evil", "/ä"],
)
async def test_signing_in_leads_to_no_other_site(next_page: str) -> None:
    client = Client(served(await empty()))

    answer = await client("POST", f"{PLACE}/sign-in?{urlencode({'next': next_page})}", {"token": TOKEN})

    assert answer.headers["location"] == f"{PLACE}/"


async def test_a_wrong_token_gets_no_cookie(caplog: pytest.LogCaptureFixture) -> None:
    client = Client(served(await empty()))

    answer = await client.signs_in(TOKEN[:-1])

    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert "This token is not valid" in answer.text
    assert TOKEN[:-1] not in answer.text + caplog.text
    assert "no valid token" in caplog.text


async def test_the_cookie_is_strict_hidden_from_scripts_and_reveals_nothing() -> None:
    client = Client(served(await empty()))
    elsewhere = Client(served(await empty()), base="http://jobs.example")
    encrypted = Client(served(await empty()), base="https://localhost")

    plain, other, secure = [(await one.signs_in()).headers["set-cookie"] for one in (client, elsewhere, encrypted)]

    attributes = {part.strip().lower() for part in plain.split(";")[1:]}
    assert attributes == {"httponly", "samesite=strict", f"path={PLACE}", f"max-age={12 * 3600}"}
    assert "secure" not in plain.lower()
    assert "; secure" in other.lower()
    assert "; secure" in secure.lower()
    digest = next(iter(TOKENS)).digest
    assert TOKEN not in plain
    assert digest.hex() not in plain


async def test_a_cookie_is_valid_until_it_ends_or_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    client, _ = await signed_in(await empty())
    (cookie,) = client.cookies.values()
    name, ends, salt, signature = cookie.split(":")
    changed = (
        f"reader:{ends}:{salt}:{signature}",
        f"{name}:{int(ends) + 1}:{salt}:{signature}",
        f"{name}:{ends}:x{salt}:{signature}",
        f"{name}:{ends}:{salt}:{signature[:-1]}",
        f"{name}:{ends}:{salt}:ä",
        f"{name}:{ends}:{salt}",
        f"{name}:٣:{salt}:{signature}",
        "",
    )

    assert sessions.caller_of_cookie(cookie, TOKENS) == Caller("JOBS_TOKEN", ALL_RIGHTS)
    assert [sessions.caller_of_cookie(one, TOKENS) for one in changed] == [None] * len(changed)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + timedelta(hours=12).total_seconds() + 1)
    assert sessions.caller_of_cookie(cookie, TOKENS) is None


@pytest.mark.parametrize("piece", ["\\0", "\\\\", "a=;", ";", '"'])
async def test_a_large_cookie_of_a_stranger_costs_little(piece: str) -> None:
    client = Client(served(await empty()))
    cookie = f'a="{piece * (30_000 // len(piece))}"'

    began = time.process_time()
    answer = await client("GET", f"{PLACE}/jobs", headers={"cookie": cookie})

    assert_cpu_seconds(time.process_time() - began, 0.3)
    assert answer.status_code == 303


async def test_a_form_to_sign_in_has_at_most_4_kb() -> None:
    client = Client(served(await empty()))

    assert (await client("POST", f"{PLACE}/sign-in", {"token": "x" * 4000})).status_code == 401
    assert (await client("POST", f"{PLACE}/sign-in", {"token": "x" * 5000})).status_code == 413


async def test_a_cookie_ends_with_its_token() -> None:
    here = await empty()
    client = Client(served(here))
    await client.signs_in(READER)
    others = Tokens(TOKEN, named=[one for one in TOKENS if one.caller.name == "mailer"])
    same_name = NamedToken.of("reader", {Scope.READ: None}, MAILER)

    for tokens, status in ((TOKENS, 200), (others, 303), (Tokens(TOKEN, named=[same_name]), 303)):
        after = Client(served(here, tokens))
        after.cookies = client.cookies
        assert (await after("GET", f"{PLACE}/jobs")).status_code == status


async def test_a_hash_in_the_configuration_is_not_enough_to_sign_a_cookie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOBS_KEY_SECRET", raising=False)
    (reader,) = [one for one in TOKENS if one.caller.name == "reader"]
    named = [NamedToken(reader.caller, reader.digest)]
    cookie = sessions.cookie_of(reader, Tokens(READER, named=named))

    assert sessions.caller_of_cookie(cookie, Tokens(READER, named=named)) is not None
    assert sessions.caller_of_cookie(cookie, Tokens(MAILER, named=named)) is None
    assert sessions.caller_of_cookie(cookie, Tokens(named=named)) is None
    assert Tokens(named=named).signing_key == Tokens(named=[]).signing_key  # random, once per process


async def test_no_secret_of_enqueuers_signs_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBS_KEY_SECRET", "k" * 43)
    with_it = Tokens(named=list(TOKENS)).signing_key
    monkeypatch.setenv("JOBS_KEY_SECRET", "m" * 43)

    assert Tokens(named=list(TOKENS)).signing_key == with_it


async def test_a_secret_of_its_own_signs_sessions_in_every_process() -> None:
    environment = {"JOBS_TOKENS": ";".join(one.line for one in TOKENS if one.caller.name == "reader")}
    secret = "s9G_" * 11
    signed = [Tokens.from_environment({**environment, "JOBS_SESSION_SECRET": secret}) for _ in range(2)]
    (reader,) = signed[0]
    cookie = sessions.cookie_of(reader, signed[0])

    assert sessions.caller_of_cookie(cookie, signed[1]) == reader.caller
    assert sessions.caller_of_cookie(cookie, Tokens.from_environment(environment)) is None
    with pytest.raises(InvalidOptionError, match="JOBS_SESSION_SECRET must have 43 characters or more, and has 5"):
        Tokens.from_environment({**environment, "JOBS_SESSION_SECRET": "short"})


async def test_a_cookie_is_worthless_after_signing_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_MOST_ENDED", 2)
    client, csrf = await signed_in(await empty())
    other, _ = await signed_in(await empty())
    kept = dict(client.cookies)
    await client("POST", f"{PLACE}/sign-out", {"csrf": csrf})
    client.cookies.update(kept)

    answers = [await one("GET", f"{PLACE}/jobs") for one in (client, other)]

    assert [one.status_code for one in answers] == [303, 200]
    assert answers[0].headers["cache-control"] == "no-store"
    for name in "abc":
        sessions.end_session(f"x:{int(time.time()) + 60}:y:{name}")
    assert len(sessions._ended) == 2


async def test_the_json_routes_do_not_accept_the_cookie() -> None:
    here = await broken()
    client, csrf = await signed_in(here)

    assert (await client("GET", "/_jobs/jobs")).status_code == 401
    assert (await client("POST", f"/_jobs/jobs/{here.ids['failed 0']}/retry", {"csrf": csrf})).status_code == 401
    bearer = {"authorization": f"Bearer {TOKEN}"}
    assert (await Client(served(here))("GET", f"{PLACE}/jobs", headers=bearer)).status_code == 303


async def test_signing_out_deletes_the_cookie() -> None:
    client, csrf = await signed_in(await empty())

    answer = await client("POST", f"{PLACE}/sign-out", {"csrf": csrf})

    assert (answer.status_code, answer.headers["location"]) == (303, f"{PLACE}/sign-in")
    assert "max-age=0" in answer.headers["set-cookie"].lower()
    assert f"path={PLACE}".lower() in answer.headers["set-cookie"].lower()


async def test_the_script_of_a_page_learns_that_it_is_signed_out() -> None:
    client = Client(served(await empty()))

    assert (await client("GET", f"{PLACE}/", headers={"accept": "text/event-stream"})).status_code == 401
    assert (await client("POST", f"{PLACE}/queues", {"queue": "mail", "action": "pause"})).status_code == 401


@pytest.mark.parametrize("path", POSTS)
async def test_each_form_needs_the_csrf_token_of_its_session(path: str) -> None:
    here = await broken()
    client, csrf = await signed_in(here)
    _, other = await signed_in(here)
    before = await here.backend.store.list_jobs(JobQuery(limit=1000))

    for form in ({}, {"csrf": ""}, {"csrf": other}, {"csrf": csrf[:-1]}, {"csrf": [csrf, other]}):
        answer = await client("POST", place_of(here, path), {"action": "pause", "queue": "default", **form})
        assert answer.status_code == 403
        assert "out of date" in answer.text
    assert await here.backend.store.list_jobs(JobQuery(limit=1000)) == before
    assert [queue.name for queue in await here.backend.store.paused_queues()] == ["mail"]


@pytest.mark.parametrize("path", [*POSTS, "/sign-in"])
async def test_forms_of_other_sites_are_refused(path: str) -> None:
    here = await broken()
    client, csrf = await signed_in(here)
    form = {"csrf": csrf, "token": TOKEN, "action": "pause", "queue": "default"}

    for headers in (
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:81"},
        {"origin": "http://localhost", "host": "evil.example"},
    ):
        assert (await client("POST", place_of(here, path), form, headers)).status_code == 403
    assert (await client("POST", place_of(here, path), form, {"content-type": "text/plain"})).status_code == 415
    bound = Client(served(here, options=HttpOptions(allowed_hosts=("jobs.example",))))
    bound.cookies = client.cookies
    assert (await bound("POST", place_of(here, path), form)).status_code == 421


@pytest.mark.parametrize(
    "path",
    [*GETS, "/sign-in", "/nowhere", "/jobs/gone", "/static/style.css", "/static/script.js", "/static/nowhere"],
)
async def test_every_answer_has_the_headers_that_protect_it(path: str) -> None:
    here = await broken()
    client, _ = await signed_in(here)

    answer = await client("GET", place_of(here, path))

    assert answer.headers["content-security-policy"] == CSP
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cache-control"] == ("public, max-age=86400" if path.startswith("/static/s") else "no-store")
    assert not re.search(r"<style|style=|<script(?![^>]* src=)|\son\w+=|javascript:", answer.text)


async def test_a_token_for_reading_sees_no_action_and_may_use_none() -> None:
    here = await broken()
    client, csrf = await signed_in(here, READER)

    for path in GETS:
        answer = await client("GET", place_of(here, path))
        if path in ("/jobs/{id}/{action}", "/jobs/{id}/repair", "/enqueue/{name}"):
            assert answer.status_code == 403
        else:
            assert answer.status_code == 200
            assert re.findall('<form method="post" action="([^"]*)"', answer.text) == [f"{PLACE}/sign-out"]
            links = re.findall('<a class="button[^>]*href="([^"]*)"', answer.text)
            assert not [one for one in links if re.search("enqueue|retry|cancel|delete|repair", one)]
    for path in POSTS:
        if path != "/sign-out":
            form = {"csrf": csrf, "action": "retry", "id": here.ids["failed 0"], "queue": "mail", "confirmed": "1"}
            answer = await client("POST", place_of(here, path), form)
            assert "lacks the scope" in answer.text or answer.status_code in (404, 422), path
            assert (await here.backend.store.summary(here.ids["failed 0"])).status == "failed"  # type: ignore[union-attr]


async def test_a_token_without_the_scope_read_opens_no_page() -> None:
    token = NamedToken.of("pusher", {Scope.ENQUEUE: None}, MAILER)
    client = Client(served(await empty(), Tokens(TOKEN, named=[token])))
    await client.signs_in(MAILER)

    answer = await client("GET", f"{PLACE}/")

    assert answer.status_code == 403
    assert "lacks the scope read" in answer.text


async def test_a_token_of_one_queue_sees_nothing_of_the_others() -> None:
    here = await broken()
    client, csrf = await signed_in(here, MAILER)

    for path in ("/", "/jobs", "/failures", "/queues", "/schedules", "/contracts", "/enqueue"):
        text = (await client("GET", PLACE + path)).text
        assert "SendEmail" in text or path in ("/", "/queues", "/schedules")
        assert not re.search("ImportRows|imports|Digest|jobs-1|jobs-2", text), path
    assert (await client("GET", f"{PLACE}/workers")).status_code == 403
    foreign = here.ids["running"]
    for path in (f"/jobs/{foreign}", f"/jobs/{foreign}/cancel"):
        assert (await client("GET", PLACE + path)).status_code == 404
    hidden = await client("GET", f"{PLACE}/jobs?queue=imports")
    assert (hidden.status_code, "ImportRows" in hidden.text) == (422, False)
    assert (await client("GET", f"{PLACE}/jobs?q={foreign}")).headers[
        "location"
    ] == f"{PLACE}/jobs?correlation_id={foreign}"
    assert (await client("POST", f"{PLACE}/jobs/{foreign}/cancel", {"csrf": csrf})).status_code == 404
    selected = {"csrf": csrf, "action": "cancel", "id": foreign, "confirmed": "1"}
    answer = await client("POST", f"{PLACE}/jobs", selected)
    assert answer.headers["location"] == f"{PLACE}/jobs?note=not+found%3A1"
    assert not (await here.backend.store.get(foreign)).cancel_requested  # type: ignore[union-attr]
    everything = {"csrf": csrf, "all": "cancel", "confirmed": "1"}
    assert (await client("POST", f"{PLACE}/jobs", {**everything, "queue": "imports"})).status_code == 403
    assert (await client("POST", f"{PLACE}/jobs", everything)).status_code == 303
    cancelled = await here.backend.store.list_jobs(JobQuery(status=JobStatus.CANCELLED, limit=1000))
    assert {job.queue for job in cancelled} == {"mail"}
    pause = {"csrf": csrf, "action": "pause", "queue": "imports"}
    assert (await client("POST", f"{PLACE}/queues", pause)).status_code == 403
    assert (await client("POST", f"{PLACE}/enqueue/Digest", {"csrf": csrf, "p/file": "x"})).status_code == 403
    resumed = await client("POST", f"{PLACE}/queues", {"csrf": csrf, "action": "resume", "queue": "mail"})
    assert resumed.status_code == 303


async def test_an_application_decides_who_may_see_the_dashboard() -> None:
    here = await broken()

    async def access(request: Request) -> Caller | None:
        name = request.headers.get("x-user")
        rights = ALL_RIGHTS if name == "ada" else {Scope.READ: None}
        return None if name is None else Caller(name, rights)

    client = Client(served(here, Tokens(), dashboard_access=access))
    job = here.ids["failed 0"]

    assert (await client("GET", f"{PLACE}/")).status_code == 403
    assert (await client("GET", f"{PLACE}/sign-in")).status_code == 404
    page = await client("GET", f"{PLACE}/jobs/{job}/retry", headers={"x-user": "ada"})
    csrf = {"csrf": csrf_in(page.text)}
    assert "Sign out" not in page.text
    assert (await client("GET", f"{PLACE}/jobs/{job}/retry", headers={"x-user": "bob"})).status_code == 403
    assert (await client("POST", f"{PLACE}/jobs/{job}/retry", csrf, {"x-user": "bob"})).status_code == 403
    done = await client("POST", f"{PLACE}/jobs/{job}/retry", csrf, {"x-user": "ada"})
    assert done.headers["location"] == f"{PLACE}/jobs/{job}?note=retried"
    (entry,) = await here.backend.store.audit_log(AuditQuery(target=job))
    assert (entry.actor, entry.action) == ("user:ada", "retry")
    assert (await client("GET", "/_jobs/jobs")).status_code == 404  # no token: no routes


async def test_an_access_function_may_be_plain() -> None:
    client = Client(served(await empty(), Tokens(), dashboard_access=lambda _request: Caller("me", ALL_RIGHTS)))

    assert (await client("GET", f"{PLACE}/")).status_code == 200


@pytest.mark.parametrize("prefix", ["/_jobs", "/admin/tasks", ""])
async def test_all_addresses_begin_with_the_prefix_of_the_mount(prefix: str) -> None:
    here = await broken()
    app = Starlette(routes=[Mount(prefix or "/", create_app(here.backend, TOKENS))])
    client = Client(app)
    answer = await client("POST", f"{prefix}/dashboard/sign-in", {"token": TOKEN})
    client.cookies.update(answer.cookies)
    assert answer.headers["location"] == f"{prefix}/dashboard/"

    for path in GETS:
        text = (await client("GET", place_of(here, path).replace(PLACE, f"{prefix}/dashboard"))).text
        found = re.findall('(?:href|src|action)="([^"]*)"', text)
        assert len(found) > 3
        assert [one for one in found if not one.startswith((f"{prefix}/dashboard/", "#"))] == []


async def test_without_jinja_the_address_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounting, "find_spec", lambda _name: None)
    client = Client(served(await broken()))

    answer = await client("GET", f"{PLACE}/")

    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/plain; charset=utf-8")
    assert "pip install 'server-jobs[dashboard]'" in answer.text
    bearer = {"authorization": f"Bearer {TOKEN}"}
    assert (await client("GET", "/_jobs/jobs", headers=bearer)).status_code == 200
