"""A process that has run enough jobs, or uses too much memory, is replaced between two jobs."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from server_jobs import InvalidOptionError, JobStatus, Worker
from server_jobs.engine.attempts.factory import HANDLER_PROGRAM
from server_jobs.engine.backend import Backend
from server_jobs.isolation import limits
from server_jobs.isolation.limits import MEGABYTE, ProcessLimits, resident_memory
from server_jobs.isolation.process_pool import HandlerProcesses

from tests.conformance.stores import create_sqlite_file
from tests.runtime.example_jobs import SOON, Gate, TextJob, backend_on, echo, read, status_of, text_job, turns
from tests.runtime.processes import handlers
from tests.runtime.processes.handlers import Echo, Report, order_job, registry_of
from tests.runtime.processes.test_handler_processes import call, is_gone

PARAMS = {"text": "hello"}


def processes_with(**limits: int) -> HandlerProcesses:
    return HandlerProcesses(HANDLER_PROGRAM, registry_of(), limits=ProcessLimits(**limits))


@pytest.mark.slow
async def test_a_handler_process_is_replaced_after_its_jobs_also_if_it_is_killed_meanwhile(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "server_jobs")
    processes = processes_with(max_jobs=2)
    pids: list[int] = []
    for _ in range(3):
        pids += [(await call(processes, Echo)).pid for _ in range(2)]
        with suppress(ProcessLookupError):
            os.kill(pids[-1], signal.SIGKILL)
    assert list(Counter(pids).values()) == [2, 2, 2]
    assert processes.ids() == []
    for pid in set(pids):
        await is_gone(pid)
    assert f"handler process {pids[0]} ends: it has run 2 jobs" in caplog.text
    await processes.close()


@pytest.mark.slow
async def test_a_handler_process_that_leaks_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "server_jobs")
    job = order_job(handlers.keep)
    without = processes_with(max_jobs=10)
    assert len({(await call(without, job)).pid for _ in range(5)}) == 1
    await without.close()
    processes = processes_with(max_memory=150 * MEGABYTE)
    pids = [(await call(processes, job)).pid for _ in range(5)]
    assert 2 <= len(set(pids)) <= 4
    assert "MB, and may use 150 MB" in caplog.text
    await processes.close()


async def test_a_worker_replaces_handler_processes_and_goes_on(tmp_path: Path) -> None:
    create_sqlite_file(tmp_path / "jobs.sqlite3")
    url = f"sqlite:///{tmp_path / 'jobs.sqlite3'}"
    backend = Backend(database=url, job_registry=registry_of(Echo), poll_interval=SOON)
    jobs = await Echo.using(backend).later_many([PARAMS] * 7)
    worker = Worker(backend, concurrency=2, until_empty=True, limits=ProcessLimits(max_jobs=2))
    await asyncio.wait_for(worker.run(), 60)
    reports = [Report.model_validate_json((await read(backend, job)).result or "") for job in jobs]
    assert max(Counter(report.pid for report in reports).values()) == 2
    assert worker.health.reached_limit is None
    await backend.shutdown()


async def ended_by(job: TextJob, backend: Backend, limits: ProcessLimits) -> tuple[str | None, Counter[JobStatus]]:
    """Run a worker with these limits on seven jobs. Return its reason to end, and the jobs by status."""
    jobs = await job.later_many([PARAMS] * 7)
    worker = Worker(backend, concurrency=2, until_empty=True, limits=limits)
    await asyncio.wait_for(worker.run(), 20)
    records = [await read(backend, one) for one in jobs]
    assert all(record.attempt_count == (record.status is JobStatus.COMPLETED) for record in records)
    return worker.health.reached_limit, Counter(record.status for record in records)


async def test_a_worker_ends_after_its_jobs_and_releases_the_others() -> None:
    job = text_job(echo)
    reason, statuses = await ended_by(job, backend_on(None, job), ProcessLimits(max_jobs=3))
    assert reason == "it has run 3 jobs"
    assert statuses == {JobStatus.COMPLETED: 3, JobStatus.PENDING: 4}


async def test_a_worker_that_uses_too_much_memory_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    used = iter([150, 250, 250])
    monkeypatch.setattr(limits, "resident_memory", lambda: next(used) * MEGABYTE)
    job = text_job(echo)
    reason, statuses = await ended_by(job, backend_on(None, job), ProcessLimits(max_memory=200 * MEGABYTE))
    assert reason == "it uses 250 MB, and may use 200 MB"
    assert statuses[JobStatus.COMPLETED] >= 1


async def test_a_worker_that_reached_a_limit_waits_for_its_jobs_beyond_the_drain_timeout() -> None:
    gate = Gate()
    job = text_job(gate)
    backend = backend_on(None, job)
    running, waiting = [await job.later(PARAMS) for _ in range(2)]
    worker = Worker(backend, concurrency=2, drain_timeout=timedelta(0), limits=ProcessLimits(max_jobs=1))
    task = asyncio.create_task(worker.run())
    await turns()
    assert worker.health.unready() == "the worker claims no more jobs, because it has run 1 job"
    assert not task.done()
    gate.opened.set()
    await asyncio.wait_for(task, 20)
    assert await status_of(backend, running) is JobStatus.COMPLETED
    assert (await read(backend, waiting)).attempt_count == 0
    assert gate.cancelled == 0


def test_memory_is_measured_now_and_without_proc_as_its_peak(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = resident_memory()
    kept = b"x" * 60 * MEGABYTE
    assert resident_memory() - before > 50 * MEGABYTE
    del kept
    assert resident_memory() - before < 30 * MEGABYTE
    monkeypatch.setattr(limits, "_STATM", tmp_path / "missing")
    assert resident_memory() - before > 50 * MEGABYTE


def test_limits_below_one_are_refused() -> None:
    with pytest.raises(InvalidOptionError, match="max_jobs must be between 1 and"):
        ProcessLimits(max_jobs=0)
    with pytest.raises(InvalidOptionError, match="max_memory must be between 1 and"):
        ProcessLimits(max_memory=-1)
