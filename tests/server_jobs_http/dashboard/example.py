"""Jobs with every kind of field, and a broken system to look at."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, Field
from server_jobs import ConcurrencyLimit, JobContext, JobOptions, Schedule, create_job_registry, define_job
from server_jobs.domain.record import (
    UNREADABLE,
    ClaimRequest,
    Completed,
    Ended,
    Failed,
    Heartbeat,
    NewJob,
    Outcome,
    Report,
)
from server_jobs.domain.record.reports import Counts, JobCounts, WorkerReport
from server_jobs.memory import InMemoryBackend
from server_jobs.registry import JobRegistry
from server_jobs.testing import FakeClock

LEASE = timedelta(minutes=1)
HOSTILE = "<script>document.title='owned'</script>\"'><img src=x onerror=\"document.title='owned'\">"


class Kind(StrEnum):
    PLAIN = "plain"
    RICH = "rich"


class Address(BaseModel):
    street: str = Field(description="Street and number.", min_length=2)
    zip: int | None = Field(None, ge=1)


class Mail(BaseModel):
    """Send one message."""

    to: list[str] = Field(description="Who the message is for.", min_length=1)
    subject: str = Field(min_length=1, max_length=60)
    body: str = Field("", max_length=10_000)
    password: str = Field("none", description="For the mail server.")
    kind: Kind = Kind.PLAIN
    copies: int = Field(1, ge=1, le=5)
    ratio: float | None = None
    urgent: bool = False
    send_at: AwareDatetime | None = None
    sender: Address | None = None
    headers: dict[str, str] = {}


class Rows(BaseModel):
    """Import the rows of one file."""

    file: str
    customer: str = "acme"


class Done(BaseModel):
    count: int


async def done(params: BaseModel, context: JobContext) -> Done:
    return Done(count=1)


def example_registry() -> JobRegistry:
    """Return the jobs SendEmail (queue mail), ImportRows (imports, one per customer) and Digest (default)."""
    morning = Schedule(
        name="every-morning", cron="30 6 * * *", timezone="America/New_York", params='{"file": "x", "customer": "all"}'
    )
    jobs = (
        define_job(
            name="SendEmail",
            params=Mail,
            result=Done,
            handler=done,
            options=JobOptions(queue="mail", priority=10, redact=("/password",), max_attempts=3),
        ),
        define_job(
            name="ImportRows",
            params=Rows,
            result=Done,
            handler=done,
            options=JobOptions(
                queue="imports", timeout=timedelta(hours=6), concurrency=ConcurrencyLimit(limit=1, by=("/customer",))
            ),
        ),
        define_job(name="Digest", params=Rows, result=Done, handler=done, schedules=(morning,)),
    )
    send_email, import_rows, digest = jobs
    return create_job_registry().register(send_email).register(import_rows).register(digest)


class Situation:
    """A backend in memory on a fake clock, and the ids of its jobs by their story."""

    def __init__(self) -> None:
        self.clock = FakeClock(datetime.fromisoformat("2026-03-02T11:00:00+00:00"))
        self.backend = InMemoryBackend(job_registry=example_registry(), clock=self.clock)
        self.ids: dict[str, str] = {}

    def add(self, what: str, name: str = "SendEmail", **params: object) -> str:
        """Enqueue a job."""
        given = {"to": ["ada@example.com"], "subject": what} if name == "SendEmail" else {"file": f"{what}.csv"}
        self.ids[what] = self.backend.add_job(job_name=name, params={**given, **params}, correlation_id="order-4711")
        return self.ids[what]

    async def claim(self, worker: str | None = None) -> dict[str, str]:
        """Claim every due job that may run, and return the tokens by id."""
        known = self.backend.registry.known_jobs()
        request = ClaimRequest(known=known, limit=100, lease=LEASE, worker_id=worker)
        return {claim.id: claim.token for claim in await self.backend.store.claim(request)}

    async def report(
        self, worker: str, pid: int, *, host: str = "jobs-1", queues: tuple[str, ...] | None = None
    ) -> None:
        """Let a worker report that it is alive."""
        known = tuple((job.name, job.version) for job in self.backend.registry.known_jobs())
        report = WorkerReport(
            id=worker, host=host, pid=pid, queues=queues, concurrency=10, version="0.1.0", known=known
        )
        await self.backend.store.renew([], LEASE, [report])

    async def fail(self, job_id: str, token: str, error: str, error_class: str, *, again: bool = False) -> None:
        """End an attempt with an error."""
        trace = (
            'Traceback (most recent call last):\n  File "handlers/send_email.py", line 31, in handle\n'
            f"    await smtp.send(message)\n{error_class}: {error}\n"
        )
        ended = Ended(Outcome.FAILED, error_class, trace)
        retry = timedelta(0) if again else None
        await self.backend.store.settle([Failed(job_id, token, f"{error_class}: {error}", retry, None, ended)])

    async def park(self, job_id: str) -> None:
        """Claim a job, and park it because of its params, as a worker does."""
        token = (await self.claim("0195-alive"))[job_id]
        self.clock.advance(timedelta(milliseconds=4))
        error = f"{UNREADABLE}params of SendEmail do not fit its spec: /to: Input should be a valid list"
        ended = Ended(Outcome.UNREADABLE, "InvalidParamsError")
        await self.backend.store.settle([Failed(job_id, token, error, None, Report(0, None), ended)])

    async def count(self, minutes: int) -> None:
        """Let some minutes pass, with outcomes in each."""
        for minute in range(minutes):
            mail = Counts(20 + (minute * 7) % 23, 1 if minute % 17 == 3 else 0, 2 if minute % 9 == 4 else 0)
            rows = Counts(3 + minute % 4, 2 if minute > minutes - 6 else 0, 0)
            await self.backend.store.add_counts(
                [JobCounts("mail", "SendEmail", mail), JobCounts("imports", "ImportRows", rows)]
            )
            self.clock.advance(timedelta(minutes=1))


async def empty() -> Situation:
    """Return a new project: no jobs, no workers."""
    here = Situation()
    await here.backend.initialize()
    return here


async def broken() -> Situation:
    """Return a system with a dead worker, a paused queue, a parked job, a starved customer, and failures."""
    here = await empty()
    store = here.backend.store
    await here.count(48)
    await here.report("0195-dead", 4711, host="jobs-2")
    here.add("held")
    await here.claim("0195-dead")
    await here.count(12)
    await here.report("0195-alive", 812)
    for number in range(4):
        here.add(f"failed {number}", password="hunter2")
    tokens = await here.claim("0195-alive")
    here.clock.advance(timedelta(seconds=8))
    for job_id, token in tokens.items():
        await here.fail(job_id, token, "connection to smtp.example.com refused", "ConnectionRefusedError")
    await _poison(here)
    here.add("completed")
    ((job_id, token),) = (await here.claim("0195-alive")).items()
    here.clock.advance(timedelta(seconds=3))
    await store.settle([Completed(job_id, token, '{"count": 1}')])
    here.add("retried")
    for attempt in range(2):
        ((job_id, token),) = (await here.claim("0195-alive")).items()
        here.clock.advance(timedelta(seconds=20))
        await here.fail(job_id, token, f"greylisted, try {attempt}", "TemporaryError", again=True)
    here.add("running", "ImportRows", customer="acme")
    await store.pause_queue("mail", by="user:ada")
    tokens = await here.claim("0195-alive")
    for number in range(3):
        here.add(f"starved {number}", "ImportRows", customer="acme")
    for number in range(5):
        here.add(f"waiting {number}")
    here.clock.advance(timedelta(minutes=4))
    await here.report("0195-alive", 812)
    running = here.ids["running"]
    beat = Heartbeat(id=running, token=tokens[running], progress=62, message="row 6,200 of 10,000")
    await store.renew([beat], LEASE)
    return here


async def _poison(here: Situation) -> None:
    """Store a job whose params fit no version, as a worker would park it."""
    job = NewJob("0195c2a4-77a0-7cc1-a1f3-52a9b6a1c0de", '{"to": 5}', job_name="SendEmail", queue="mail")
    here.ids["parked"] = job.id
    await here.backend.store.insert([job])
    await here.park(job.id)
