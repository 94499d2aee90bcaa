"""The dashboard of a Worker: its queries, its sessions, and pages without live changes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from server_jobs.domain.record import ClaimRequest, JobQuery, JobStatus
from server_jobs.domain.record.reports import WorkerReport
from server_jobs.security.key_secret import key_secret
from server_jobs_cloudflare import CloudflareWorkerBackend, create_cron_handler, database_of
from starlette.types import Receive, Scope, Send

from tests.conformance.d1_binding import FakeD1
from tests.conformance.stores import create_d1_file
from tests.server_jobs_http.dashboard.example import example_registry

TOKEN = "Zq3-aN7vR0yKx5mWb1TfJ8pLc2HsUd9eGoIt4nQiXYk"
SECRET = "pK2_dW8mY5sA7xQzB1vFhU4cRjEoTg3nLiN6tGyHk9S"
ORIGIN = "https://jobs.example"
HOUR = timedelta(hours=1)
FREE_PLAN = 50  # queries of one invocation
PARAMS = {
    "SendEmail": {"to": ["ada@example.com"], "subject": "Hello"},
    "ImportRows": {"file": "rows.csv"},
    "Digest": {"file": "rows.csv"},
}


class Site:
    """The dashboard of a Worker."""

    def __init__(self, binding: FakeD1) -> None:
        self.env = SimpleNamespace(DB=binding, JOBS_TOKEN=TOKEN)
        self.registry = example_registry()
        self.backend = CloudflareWorkerBackend(database=binding, job_registry=self.registry)
        self._binding = binding
        self._handler = create_cron_handler(database=database_of, job_registry=self.registry)
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(self._serve), base_url=ORIGIN)

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """Return a page of somebody who signed in."""
        return await self._client.get(f"/_jobs/dashboard{path}", headers=headers)

    async def sign_in(self) -> None:
        """Sign in, and keep the cookie."""
        place = "/_jobs/dashboard/sign-in"
        answer = await self._client.post(place, data={"token": TOKEN}, headers={"origin": ORIGIN})
        assert answer.status_code == 303

    async def queries(self, path: str) -> int:
        """Return how many queries a page makes."""
        self._binding.queries = 0
        answer = await self.get(path)
        assert answer.status_code == 200, answer.text
        return self._binding.queries

    async def texts_about_a_waiting_job(self) -> list[str]:
        """Return the first page, and the page of a job in the queue imports."""
        (waiting,) = await self.backend.store.list_jobs(JobQuery(status=JobStatus.PENDING, queues=("imports",)))
        return [(await self.get(path)).text for path in ("/", f"/jobs/{waiting.id}")]

    async def break_everything(self, ago: timedelta = timedelta(minutes=10)) -> None:
        """Let more workers die than a page asks about, and let jobs of each queue wait since then."""
        by = ago // timedelta(milliseconds=1)
        known = self.registry.known_jobs()
        lease = timedelta(minutes=1)
        for number in range(25):
            await self._enqueue("SendEmail")
            report = WorkerReport(
                id=f"dead-{number}",
                host="jobs-1",
                pid=number,
                queues=None,
                concurrency=1,
                version="0.1.0",
                known=tuple((job.name, job.version) for job in known),
            )
            await self.backend.store.renew([], lease, [report])
            await self.backend.store.claim(ClaimRequest(known=known, limit=1, lease=lease, worker_id=report.id))
        for name in PARAMS:
            await self._enqueue(name)
        for change in (
            f"UPDATE jobs SET scheduled_for = created_at - {by} WHERE worker_id IS NULL",
            f"UPDATE job_workers SET last_seen_at = last_seen_at - {by}, expires_at = expires_at - {by}",
        ):
            self._binding.execute(change)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._handler.app({**scope, "env": self.env}, receive, send)

    async def _enqueue(self, name: str) -> None:
        job = self.registry.get(name)
        assert job is not None
        await job.using(self.backend).later(PARAMS[name])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    create_d1_file(tmp_path / "jobs.sqlite3")
    binding = FakeD1(tmp_path / "jobs.sqlite3")
    yield Site(binding)
    binding.close()
    key_secret.give(None)


async def test_each_page_fits_into_the_queries_of_the_free_plan_while_everything_is_broken(site: Site) -> None:
    await site.break_everything()
    await site.sign_in()
    (waiting,) = await site.backend.store.list_jobs(JobQuery(status=JobStatus.PENDING, queues=("imports",)))
    pages = ("/", "/jobs", f"/jobs/{waiting.id}", "/failures", "/queues", "/schedules", "/workers", "/contracts")

    queries = {page: await site.queries(page) for page in pages}

    assert queries["/"] > queries["/jobs"] > 0
    assert max(queries.values()) <= FREE_PLAN


async def test_no_worker_is_missed_while_ticks_run_the_jobs(site: Site) -> None:
    await site.backend.handle_cron()
    await site.break_everything()
    await site.sign_in()

    texts = await site.texts_about_a_waiting_job()

    assert "A job in queue imports has been due for" in texts[0]
    assert "the next tick runs it, and the last one reported at" in texts[1]
    assert not any("o worker is alive" in text for text in texts)


async def test_ticks_that_stopped_are_missed(site: Site) -> None:
    await site.backend.handle_cron()
    await site.break_everything(HOUR + timedelta(minutes=1))
    await site.sign_in()

    texts = await site.texts_about_a_waiting_job()

    assert all("o worker is alive" in text for text in texts)


async def test_an_open_page_does_not_follow_changes(site: Site) -> None:
    await site.sign_in()

    page, stream = await site.get("/"), await site.get("/", accept="text/event-stream")

    assert "data-live" not in page.text
    assert [one.headers["content-type"] for one in (page, stream)] == ["text/html; charset=utf-8"] * 2


async def test_a_session_lasts_when_a_worker_starts_anew_and_has_read_no_secret_yet(site: Site) -> None:
    site.env.JOBS_SESSION_SECRET = SECRET
    await site.sign_in()
    key_secret.give(None)

    assert [(await site.get("/")).status_code for _ in range(2)] == [200, 200]
