"""Code without an event loop enqueues jobs and waits for them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from server_jobs import InvalidOptionError, JobContext, JobFailedError, JobNotFoundError, JobStatus, Worker
from server_jobs.domain.record import Cancellation
from server_jobs.engine.backend import Backend

from tests.conformance.stores import create_sqlite_file
from tests.runtime.example_jobs import SECOND, SOON, Text, TextJob, backend_on, echo, fail, read, text_job

ROOT = Path(__file__).parents[2]
PARAMS = {"text": "hello"}


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A SQLite database with our tables."""
    create_sqlite_file(tmp_path / "jobs.sqlite3")
    return f"sqlite:///{tmp_path / 'jobs.sqlite3'}"


@pytest.fixture
def echoing(url: str) -> Iterator[TextJob]:
    """Yield a job bound to that database, with a worker in the event loop of another thread."""
    job = text_job(echo)
    with WorkerThread(url, job):
        job.set_database(url)
        yield job


class WorkerThread:
    """A worker in its own event loop."""

    def __init__(self, url: str, *jobs: TextJob) -> None:
        self._url, self._jobs = url, jobs
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._ready = threading.Event()

    def __enter__(self) -> WorkerThread:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.worker.stop)
        self._thread.join(10)
        assert not self._thread.is_alive()

    async def _run(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.backend: Backend = backend_on(None, *self._jobs)
        self.backend = Backend(database=self._url, job_registry=self.backend.registry, poll_interval=SOON)
        self.worker = Worker(self.backend)
        self._ready.set()
        await self.worker.run()
        await self.backend.shutdown()


def test_a_script_enqueues_a_job_and_waits_for_its_result(echoing: TextJob) -> None:
    handle = echoing.later_sync(PARAMS, priority=3)
    result = handle.result_sync(timeout=10 * SECOND)

    assert (result.data, result.metadata.job_id) == (Text(text="hello"), str(handle))


def test_waiting_for_a_result_has_an_end(url: str) -> None:
    job = text_job(echo)
    job.set_database(url)
    with pytest.raises(TimeoutError):
        job.later_sync(PARAMS).result_sync(timeout=SOON)


def test_a_failed_job_is_a_result_with_its_error(url: str) -> None:
    job = text_job(fail)
    with WorkerThread(url, job):
        job.set_database(url)
        result = job.later_sync(PARAMS, max_attempts=1).result_sync(timeout=10 * SECOND)
    assert result.error is not None
    with pytest.raises(JobFailedError, match="no good: hello"):
        _ = result.data


def test_a_stored_job_is_read_and_cancelled_without_an_event_loop(url: str) -> None:
    job = text_job(echo)
    job.set_database(url)
    handle = job.later_sync(PARAMS)
    assert handle.status_sync() is JobStatus.PENDING
    assert handle.cancel_sync() is Cancellation.CANCELLED
    assert (handle.record_sync().id, handle.status_sync()) == (handle, JobStatus.CANCELLED)
    for call in (job.handle("no-such-job").status_sync, job.handle("no-such-job").cancel_sync):
        with pytest.raises(JobNotFoundError):
            call()


def test_many_threads_may_enqueue_at_once(echoing: TextJob) -> None:
    with ThreadPoolExecutor(8) as pool:
        handles = list(pool.map(lambda number: echoing.later_sync({"text": str(number)}), range(200)))
    assert len(set(handles)) == 200
    assert {handle.result_sync(timeout=20 * SECOND).data.text for handle in handles} == {str(n) for n in range(200)}


async def test_inside_an_event_loop_it_is_refused_with_the_call_to_await() -> None:
    job = text_job(echo)
    backend = backend_on(None, job)
    with pytest.raises(
        InvalidOptionError, match=r"would block the event loop .* `await Echo\.later\(\.\.\.\)` instead"
    ):
        job.later_sync(PARAMS)
    assert await backend.store.count_jobs() == []


def test_a_plain_handler_enqueues_in_the_loop_of_its_worker_and_hands_its_correlation_id_on() -> None:
    second = text_job(echo, "Second")

    def handler(params: Text, context: JobContext) -> Text:
        return Text(text=second.later_sync({"text": params.text * 2}))

    first = text_job(handler, "First")

    async def run() -> None:
        backend = backend_on(None, first, second)
        handle = await first.later(PARAMS, correlation_id="request-7")
        await Worker(backend, until_empty=True).run()
        record = await read(backend, (await handle.result()).data.text)
        assert (record.job_name, record.correlation_id) == ("Second", "request-7")
        assert (record.status, record.result) == (JobStatus.COMPLETED, '{"text":"hellohello"}')

    asyncio.run(run())


FORKED = """
import os, sys
from tests.runtime.example_jobs import echo, text_job
job = text_job(echo)
job.set_database(sys.argv[1])
first = job.later_sync({"text": "parent"})
child = os.fork()
if child == 0:
    second = job.later_sync({"text": "child"})
    sys.stdout.write(str(second) + "\\n")
    sys.stdout.flush()
    os._exit(0)
status = os.waitpid(child, 0)[1]
third = job.later_sync({"text": "parent again"})
sys.stdout.write(f"{first}\\n{third}\\n{status}\\n")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_connects_again_and_keeps_its_parents_connection(url: str) -> None:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED, url]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    *ids, status = done.stdout.split()
    assert status == "0"
    assert len(set(ids)) == 3

    async def texts() -> set[str]:
        backend = Backend(database=url, job_registry=backend_on(None, text_job(echo)).registry)
        await backend.initialize()
        found = {(await read(backend, job_id)).params for job_id in ids}
        await backend.shutdown()
        return found

    assert asyncio.run(texts()) == {f'{{"text":"{text}"}}' for text in ("parent", "child", "parent again")}
