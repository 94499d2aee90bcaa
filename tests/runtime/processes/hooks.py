"""Hooks of handler processes, in a module that those processes import. They write notes to the file in `NOTES`."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from pathlib import Path

from server_jobs import Enqueue, JobContext, JobRegistry, Middleware, RunningAttempt

from tests.runtime.processes.handlers import Echo, Order, Report, order_job, report

NOTES = "SERVER_JOBS_TEST_NOTES"

seen: ContextVar[str] = ContextVar("seen", default="nothing")


def note(text: str) -> None:
    """Add a line with this text and the process."""
    with Path(os.environ[NOTES]).open("a", encoding="utf-8") as file:
        file.write(f"{os.getpid()} {text}\n")


def notes() -> list[tuple[int, str]]:
    """Return process and text of each line."""
    lines = Path(os.environ[NOTES]).read_text(encoding="utf-8").splitlines()
    return [(int(line.split(" ", 1)[0]), line.split(" ", 1)[1]) for line in lines]


class Mailer:
    """A resource."""

    def __init__(self) -> None:
        self.pid = os.getpid()


class Noting(Middleware):
    """Notes everything."""

    @contextmanager
    def around_enqueue(self, enqueue: Enqueue) -> Iterator[None]:
        enqueue.headers["enqueued-in"] = seen.get()
        note(f"enqueue {enqueue.job_name}")
        yield

    @asynccontextmanager
    async def around_attempt(self, attempt: RunningAttempt) -> AsyncIterator[None]:
        token = seen.set(attempt.job_name)
        note(f"begin {attempt.job_name} {attempt.attempt}/{attempt.max_attempts} {dict(attempt.headers)}")
        try:
            yield
        except BaseException as error:
            note(f"error {type(error).__name__}")
            if attempt.job_name == "Secret":
                note(attempt.mask(str(error)))
            raise
        finally:
            seen.reset(token)
            note(f"end {attempt.outcome}")

    @contextmanager
    def around_plain_handler(self, attempt: RunningAttempt) -> Iterator[None]:
        if attempt.job_name == "LookPlainly":
            note(f"plain in {threading.current_thread().name}")
        yield


@asynccontextmanager
async def mail_server() -> AsyncIterator[Mailer]:
    note("open")
    yield Mailer()
    note("close")


def set_up(registry: JobRegistry) -> None:
    """Add both hooks."""
    registry.use(Noting()).lifespan(mail_server)


async def look(order: Order, context: JobContext) -> Report:
    return report(seen.get(), mailer=context.resource(Mailer).pid)


def look_plainly(order: Order, context: JobContext, mailer: Mailer) -> Report:
    return report(seen.get(), mailer=mailer.pid)


async def enqueue(order: Order, context: JobContext) -> Report:
    await Echo.later({"text": order.text})
    return report(seen.get())


async def run_look(order: Order, context: JobContext) -> Report:
    return report("", mailer=(await Look.now({})).data.more["mailer"])


def fail(order: Order, context: JobContext) -> Report:
    raise ValueError("no good")


def quote(order: Order, context: JobContext) -> Report:
    raise ValueError(f"no good: {order.text}")


def misfit(order: Order, context: JobContext) -> object:
    return {"text": 5}


async def wait(order: Order, context: JobContext) -> Report:
    import asyncio

    note("waiting")
    await asyncio.sleep(60)
    return report("")


Look = order_job(look, "Look")
LookPlainly = order_job(look_plainly, "LookPlainly")
EnqueueEcho = order_job(enqueue, "EnqueueEcho")
RunLook = order_job(run_look, "RunLook")
Fail = order_job(fail, "Fail")
Secret = order_job(quote, "Secret")  # it redacts its text
Misfit = order_job(misfit, "Misfit")  # its result does not fit
Wait = order_job(wait, "Wait")
Late = order_job(wait, "Late", seconds=0.2)
