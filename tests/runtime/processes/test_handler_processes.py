"""Handlers in their own processes behave as in the worker, and their failures stay in the process."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel
from server_jobs import (
    Cancel,
    EarlierVersion,
    InvalidOptionError,
    InvalidParamsError,
    InvalidResultError,
    JobContext,
    JobOptions,
    JobQuery,
    JobStatus,
    Snooze,
    Worker,
    create_job_registry,
    define_job,
)
from server_jobs.domain.ids import schedule_id, slot_job_id
from server_jobs.domain.options import BUILT_IN_PLACES
from server_jobs.domain.outcomes import DoNotRetryError, RetryAfterError
from server_jobs.domain.record import Claim, Completed, Failed
from server_jobs.engine.attempts.attempt import Attempt, Stop
from server_jobs.engine.attempts.factory import HANDLER_PROGRAM
from server_jobs.engine.attempts.leases import LeaseKeeper
from server_jobs.engine.attempts.places import InProcess
from server_jobs.engine.worker_backend import PollingBackend
from server_jobs.isolation import process
from server_jobs.isolation.process_pool import HandlerProcesses
from server_jobs.isolation.raised import HandlerCrashedError, HandlerProcessError
from server_jobs.memory import InMemoryBackend
from server_jobs.stores.memory import MemoryStore
from server_jobs_cli.console.log import LineFormatter

from tests.conformance.stores import create_sqlite_file
from tests.runtime.example_jobs import SOON, read
from tests.runtime.processes import handlers
from tests.runtime.processes.handlers import (
    Echo,
    Enqueue,
    EnqueuePlainly,
    FailOnce,
    Order,
    OrderJob,
    PlainEcho,
    Report,
    order_job,
    registry_of,
)

ROOT = Path(__file__).parents[3]
PATIENCE = 30
"""Seconds that a step takes only if it never happens."""


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """Yield one event loop for the module: processes live as long as the loop that started them."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def processes(runner: asyncio.Runner) -> Iterator[HandlerProcesses]:
    """Yield processes that several tests share."""
    processes = HandlerProcesses(HANDLER_PROGRAM, registry_of(Echo))
    yield processes
    runner.run(processes.close())


async def call(processes: HandlerProcesses, job: OrderJob, *, text: str = "hello", path: Path | None = None) -> Report:
    """Run the handler of that job in a process, and return its report."""
    result = await outcome(processes, job, text=text, path=path)
    assert isinstance(result, str)
    return Report.model_validate_json(result)


async def outcome(
    processes: HandlerProcesses,
    job: OrderJob,
    *,
    text: str = "hello",
    path: Path | None = None,
    context: JobContext | None = None,
) -> object:
    params = Order.model_construct(text=text, path=path).model_dump_json()
    assert job.handler is not None
    return await processes.run(job, job.handler, params, context or JobContext(job_name=job.job_name, job_id="1"))


async def notes(path: Path, count: int = 1) -> list[str]:
    """Return the handler's notes once there are that many lines."""
    async with asyncio.timeout(PATIENCE):
        while True:
            lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
            if len(lines) >= count:
                return lines
            await asyncio.sleep(0.005)


def is_alive(pid: int) -> bool:
    """Return whether that process runs. A zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # it may end between opening and reading
        return False


async def is_gone(pid: int) -> None:
    """Wait until that process has ended."""
    async with asyncio.timeout(PATIENCE):
        while is_alive(pid):
            await asyncio.sleep(0.005)


async def ended_while_it_runs(processes: HandlerProcesses, job: OrderJob, path: Path, *, cancels: int = 1) -> list[int]:
    """Start a handler, cancel the call, and return the processes that the handler had noted."""
    task = asyncio.create_task(outcome(processes, job, path=path))
    pids = [int(pid) for pid in (await notes(path))[0].split()]
    for _ in range(cancels):
        task.cancel()
        await asyncio.sleep(0)
    done, _ = await asyncio.wait({task}, timeout=PATIENCE)
    assert done
    assert task.cancelled()
    return pids


# --- calling it ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("job", [Echo, PlainEcho])
async def test_a_handler_runs_in_another_process(processes: HandlerProcesses, job: OrderJob) -> None:
    report = await call(processes, job)
    assert report.text == "hello"
    assert report.pid != os.getpid()


async def test_one_process_after_the_other_runs_handlers_of_any_job(processes: HandlerProcesses) -> None:
    pids = {(await call(processes, job)).pid for job in (Echo, PlainEcho, Echo)}
    assert len(pids) == 1


@pytest.mark.slow
async def test_there_are_as_many_processes_as_handlers_run_at_one_time(processes: HandlerProcesses) -> None:
    for _ in range(2):
        reports = await asyncio.gather(*(call(processes, PlainEcho) for _ in range(3)))
        assert len({report.pid for report in reports}) == 3
    assert len(processes.ids()) == 3


async def test_the_context_is_that_of_the_attempt(processes: HandlerProcesses) -> None:
    context = JobContext(job_name="Describe", job_id="job 5", attempt=3, correlation_id="day 7")
    result = await outcome(processes, handlers.Describe, context=context)
    assert json.loads(str(result))["more"] == {
        "job_id": "job 5",
        "attempt": 3,
        "correlation_id": "day 7",
        "slot": "None",
        "idempotency_key": "job 5",
        "database": "None",
        "jobs": False,
        "folder": str(Path.cwd()),
    }


async def test_the_handler_of_a_slot_knows_it(processes: HandlerProcesses) -> None:
    job_id = slot_job_id(schedule_id("Describe", "daily"), datetime(2026, 3, 1, 9, tzinfo=UTC))
    context = JobContext(job_name="Describe", job_id=job_id, correlation_id="Describe/daily")
    result = await outcome(processes, handlers.Describe, context=context)
    assert json.loads(str(result))["more"]["slot"] == "2026-03-01 09:00:00+00:00"


@pytest.mark.slow
async def test_modules_are_found_where_the_worker_finds_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shop_of_this_test.py").write_text(
        "from tests.runtime.processes.handlers import Report, report\n"
        "def handle(order, context) -> Report:\n"
        "    return report(__file__)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import shop_of_this_test  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

    processes = HandlerProcesses(HANDLER_PROGRAM, registry_of())
    report = await call(processes, order_job(shop_of_this_test.handle))
    assert report.text == str(tmp_path / "shop_of_this_test.py")
    await processes.close()


async def test_progress_arrives_while_the_handler_runs_and_the_last_one_with_its_result(
    processes: HandlerProcesses, tmp_path: Path
) -> None:
    context = JobContext(job_name="TakeOrder", job_id="1")
    gate = tmp_path / "gate"
    task = asyncio.create_task(outcome(processes, order_job(handlers.progress), path=gate, context=context))
    async with asyncio.timeout(PATIENCE):
        while context.progress_message != "step 999":
            await asyncio.sleep(0.005)
    assert context.progress == 999 % 60
    gate.touch()
    await task
    assert (context.progress, context.progress_message) == (99, "nearly")


async def test_log_records_of_a_process_reach_the_worker(
    processes: HandlerProcesses, caplog: pytest.LogCaptureFixture
) -> None:
    context = JobContext(job_name="TakeOrder", job_id="1", attempt=2, correlation_id="c")
    with caplog.at_level(logging.INFO):
        fresh = HandlerProcesses(HANDLER_PROGRAM, registry_of())  # it has the log levels of its start
        await outcome(fresh, order_job(handlers.log), context=context)
        await fresh.close()
    first, second, third = caplog.records
    assert first.name == "server_jobs.job"
    assert first.getMessage() == "TakeOrder: from the context {'number': 5, 'path': PosixPath('a')}"
    assert (vars(first)["job_id"], vars(first)["attempt"], vars(first)["correlation_id"]) == ("1", 2, "c")
    assert vars(first)["data"] == {"number": 5, "path": "a"}
    assert (second.name, second.levelname, second.getMessage()) == ("shop.events", "WARNING", "from elsewhere")
    assert vars(second)["shop"] == "north"
    assert (second.filename, second.funcName) == ("handlers.py", "log")
    assert second.process not in (None, os.getpid())
    assert third.getMessage() == "from the root, with a trace ?"
    assert logging.Formatter().format(third).endswith("ValueError: no good: hello")


async def test_a_large_result_fits_through_and_one_that_is_too_large_is_refused_as_here(
    processes: HandlerProcesses,
) -> None:
    assert len((await call(processes, order_job(handlers.report_much), text='"' * 20)).text) == 20 * 20_000
    with pytest.raises(InvalidResultError, match=r"bytes; at most 1,048,576 are stored"):
        await call(processes, order_job(handlers.report_too_much))


# --- what handlers return and raise ----------------------------------------------------------------------------------


FAILING = (
    handlers.fail,
    handlers.fail_late,
    handlers.end,
    handlers.end_late,
    handlers.run_out,
    handlers.await_cancelled,
    handlers.close,
    handlers.close_late,
    handlers.say_nothing,
    handlers.misreport,
    handlers.refuse_for_good,
    handlers.ask_for_time,
)


@pytest.fixture(scope="module")
def stored_errors(runner: asyncio.Runner) -> dict[str, dict[str, str | None]]:
    """Return the stored errors of one attempt with each handler, by where it ran."""
    return {run_in: runner.run(errors_of(FAILING, run_in)) for run_in in BUILT_IN_PLACES}


async def errors_of(failing: Sequence[Callable[..., object]], run_in: str) -> dict[str, str | None]:
    jobs = [order_job(handler, handler.__name__, run_in=run_in) for handler in failing]
    backend = PollingBackend(database=MemoryStore(), job_registry=registry_of(*jobs))
    ids = {job.job_name: await job.using(backend).later({"text": "hello"}) for job in jobs}
    for claim in (await backend.poll_and_claim(limit=100)).claimed_jobs:
        await backend.execute(claim)
    errors = {name: (await read(backend, job_id)).error for name, job_id in ids.items()}
    await backend.shutdown()
    return errors


@pytest.mark.parametrize("handler", FAILING)
def test_an_error_is_stored_as_if_it_had_happened_here(
    stored_errors: dict[str, dict[str, str | None]], handler: Callable[..., object]
) -> None:
    there, here = (stored_errors[run_in][handler.__name__] for run_in in ("process", "worker"))
    assert there is not None
    assert there == here


async def test_params_are_refused_as_here(processes: HandlerProcesses) -> None:
    with pytest.raises(InvalidParamsError) as caught:
        await outcome(processes, Echo, text="much longer than twenty")
    with pytest.raises(InvalidParamsError) as expected:
        Echo.new_job({"text": "much longer than twenty"})
    assert caught.value.problems == expected.value.problems
    assert "much longer" in str(caught.value)


class OldOrder(BaseModel):
    """Params of version 1."""

    words: str


def renamed(params: OldOrder) -> Order:
    return Order(text=params.words)


@pytest.mark.parametrize(
    ("version", "params", "error"),
    [
        (1, '{"words":"hello"}', None),
        (2, '{"text":"hello"}', None),
        (1, '{"words":"much longer than twenty"}', "UNREADABLE: UpcastError: "),
        (2, '{"text":"much longer than twenty"}', "UNREADABLE: InvalidParamsError: "),
    ],
)
async def test_rows_are_upcast_before_they_get_there_and_parked_if_they_cannot_be_read(
    processes: HandlerProcesses, version: int, params: str, error: str | None
) -> None:
    job = define_job(
        name="Echo",
        params=Order,
        result=Report,
        handler=handlers.echo,
        options=JobOptions(version=2, run_in="process"),
        earlier=(EarlierVersion(1, OldOrder, renamed),),
    )
    attempt = Attempt(
        claim=Claim("1", "Echo", version, params, 1, 3, None, "token"),
        job=job,
        handler=handlers.echo,
        context=JobContext(job_name="Echo", job_id="1"),
        claimed=0.0,
        lease=timedelta(minutes=5),
        place=InProcess(processes),
    )
    backend = InMemoryBackend(job_registry=create_job_registry())
    settlement = await attempt.run(backend, LeaseKeeper(backend.store, backend.clock))
    if error is None:
        assert isinstance(settlement, Completed)
        assert Report.model_validate_json(settlement.result).text == "hello"
    else:
        assert isinstance(settlement, Failed)
        assert (settlement.error.startswith(error), settlement.retry_after) == (True, None)


async def test_values_that_are_redacted_are_not_shown(processes: HandlerProcesses) -> None:
    with pytest.raises(InvalidParamsError, match="a value that is not shown") as caught:
        await outcome(processes, order_job(handlers.echo, "Secret"), text="much longer than twenty")
    assert "much longer" not in str(caught.value)


async def test_snooze_and_cancel_come_back_as_they_were_returned(processes: HandlerProcesses) -> None:
    assert await outcome(processes, order_job(handlers.snooze)) == Snooze(timedelta(hours=1, microseconds=5))
    assert await outcome(processes, order_job(handlers.cancel)) == Cancel("not any more")


async def test_errors_that_decide_about_the_next_attempt_still_do(processes: HandlerProcesses) -> None:
    with pytest.raises(DoNotRetryError):
        await outcome(processes, order_job(handlers.refuse_for_good))
    with pytest.raises(RetryAfterError) as caught:
        await outcome(processes, order_job(handlers.ask_for_time))
    assert caught.value.delay == timedelta(minutes=7)


async def test_the_traceback_is_that_of_the_handler(processes: HandlerProcesses) -> None:
    with pytest.raises(HandlerProcessError) as caught:
        await outcome(processes, order_job(handlers.fail_late))
    lines = str(caught.value.__cause__).strip().splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert "handlers.py" in lines[1]
    assert lines[-1] == "ValueError: no good: hello"
    fields = {"name": "server_jobs", "msg": "failed", "exc_info": (None, caught.value, None)}
    shown = LineFormatter().format(logging.makeLogRecord(fields))
    assert [line.strip() for line in shown.splitlines()[1:]] == [line.strip() for line in lines]


# --- crashes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (handlers.exit_at_once, "exited with status 7 before the handler returned"),
        (handlers.read_nowhere, "was ended by signal 11 (SIGSEGV) before the handler returned"),
        (handlers.kill_itself, "was ended by signal 9 (SIGKILL) before the handler returned; the system ends"),
        (handlers.garble, "wrote to the channel of the engine, and was ended"),
    ],
)
async def test_a_crash_fails_that_one_attempt_and_says_how_it_ended(
    processes: HandlerProcesses, handler: Callable[..., object], reason: str
) -> None:
    with pytest.raises(HandlerCrashedError) as caught:
        await outcome(processes, order_job(handler))
    expected = f"HandlerCrashedError: the process that ran the handler of TakeOrder {reason}"
    assert caught.value.description.startswith(expected)
    assert (await call(processes, Echo)).text == "hello"


async def test_a_crash_is_noticed_although_a_copy_of_the_process_lives_on(
    processes: HandlerProcesses, tmp_path: Path
) -> None:
    crash = asyncio.create_task(outcome(processes, order_job(handlers.leave_a_copy), path=tmp_path / "notes"))
    (copy,) = await notes(tmp_path / "notes")
    try:
        with pytest.raises(HandlerCrashedError):
            await asyncio.wait_for(crash, PATIENCE)
    finally:
        os.kill(int(copy), signal.SIGKILL)


async def test_messages_of_a_process_are_validated_before_they_are_stored() -> None:
    processes = HandlerProcesses(HANDLER_PROGRAM, registry_of())
    with pytest.raises(InvalidResultError, match="/text: contains a NUL character"):
        await outcome(processes, order_job(handlers.forge))
    await processes.close()


async def test_memory_that_runs_out_fails_that_one_attempt() -> None:
    processes = HandlerProcesses(HANDLER_PROGRAM, registry_of())
    with pytest.raises(HandlerProcessError, match="MemoryError"):
        await outcome(processes, order_job(handlers.hold_too_much))
    await processes.close()


async def test_handlers_in_other_processes_are_not_disturbed_by_a_crash(
    processes: HandlerProcesses, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    other = asyncio.create_task(call(processes, order_job(handlers.progress), path=gate))
    with pytest.raises(HandlerCrashedError):
        await outcome(processes, order_job(handlers.kill_itself))
    gate.touch()
    assert (await other).pid in processes.ids()


async def test_a_process_that_died_while_it_waited_costs_no_attempt(processes: HandlerProcesses) -> None:
    pid = (await call(processes, Echo)).pid
    os.kill(pid, signal.SIGKILL)
    report = await call(processes, Echo)
    assert report.pid != pid
    assert not is_alive(pid)


# --- ending it from outside ------------------------------------------------------------------------------------------


async def test_a_handler_that_spins_is_ended_by_its_timeout(processes: HandlerProcesses, tmp_path: Path) -> None:
    context = JobContext(job_name="TakeOrder", job_id="1")
    with pytest.raises(HandlerProcessError) as caught:
        await outcome(processes, order_job(handlers.spin, seconds=0.3), path=tmp_path / "notes", context=context)
    assert caught.value.description == "TimeoutError: the handler did not return within its timeout of 300ms"
    assert context.cancelled
    (pid,) = await notes(tmp_path / "notes")
    assert not is_alive(int(pid))


@pytest.mark.slow
async def test_starting_and_importing_is_not_the_time_of_the_handler(
    processes: HandlerProcesses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow_shop_of_this_test.py").write_text(
        "import os, time\n"
        f"time.sleep(1 if os.getpid() != {os.getpid()} else 0)\n"
        "from tests.runtime.processes.handlers import report\n"
        "def handle(order, context):\n"
        "    return report('at last')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import slow_shop_of_this_test  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

    processes = HandlerProcesses(HANDLER_PROGRAM, registry_of())
    job = order_job(slow_shop_of_this_test.handle, seconds=0.9)
    assert (await call(processes, job)).text == "at last"
    await processes.close()


@pytest.mark.parametrize("handler", [handlers.spin, handlers.spin_in_the_loop, handlers.refuse_to_end])
async def test_a_handler_that_ignores_its_end_is_killed_with_its_children(
    processes: HandlerProcesses, tmp_path: Path, handler: Callable[..., object]
) -> None:
    for pid in await ended_while_it_runs(processes, order_job(handler), tmp_path / "notes"):
        await is_gone(pid)


@pytest.mark.parametrize(
    ("handler", "last_words", "polite", "firm"),
    [
        (handlers.wait, "tidied up", PATIENCE, 0),
        (handlers.spin_with_care, "cancelled", PATIENCE, 0),
        (handlers.clean_up_when_terminated, "cleaned up", 0.01, PATIENCE),
    ],
)
async def test_a_handler_is_asked_before_it_is_killed(
    processes: HandlerProcesses,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    handler: Callable[..., object],
    last_words: str,
    polite: float,
    firm: float,
) -> None:
    monkeypatch.setattr(process, "POLITE_SECONDS", polite)
    monkeypatch.setattr(process, "FIRM_SECONDS", firm)
    (pid,) = await ended_while_it_runs(processes, order_job(handler), tmp_path / "notes")
    assert await notes(tmp_path / "notes", 2) == [str(pid), last_words]
    assert not is_alive(pid)


async def test_a_caller_that_is_cancelled_twice_does_not_wait(
    processes: HandlerProcesses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "POLITE_SECONDS", 10 * PATIENCE)
    job = order_job(handlers.refuse_to_end)
    for pid in await ended_while_it_runs(processes, job, tmp_path / "notes", cancels=2):
        await is_gone(pid)


async def test_a_signal_to_the_whole_group_does_not_end_a_handler(processes: HandlerProcesses, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    context = JobContext(job_name="TakeOrder", job_id="1")
    task = asyncio.create_task(outcome(processes, order_job(handlers.progress), path=gate, context=context))
    async with asyncio.timeout(PATIENCE):
        while not context.progress:
            await asyncio.sleep(0.005)
    for pid in processes.ids():
        os.kill(pid, signal.SIGTERM)
    gate.touch()
    assert await task


@pytest.mark.slow
async def test_idle_processes_are_ended_after_a_while() -> None:
    processes = HandlerProcesses(HANDLER_PROGRAM, registry_of(), idle_time=timedelta(milliseconds=50))
    pid = (await call(processes, Echo)).pid
    await is_gone(pid)
    assert processes.ids() == []
    assert (await call(processes, Echo)).pid != pid
    await processes.close()


async def test_closing_ends_all_processes(tmp_path: Path) -> None:
    processes = HandlerProcesses(HANDLER_PROGRAM, registry_of())
    idle = (await call(processes, Echo)).pid
    path = tmp_path / "notes"
    tasks = [asyncio.create_task(outcome(processes, order_job(handlers.spin), path=path)) for _ in range(2)]
    pids = await notes(path, 2)
    assert str(idle) in pids
    await processes.close()
    assert not any(is_alive(int(pid)) for pid in pids)
    assert all(isinstance(error, HandlerCrashedError) for error in await asyncio.gather(*tasks, return_exceptions=True))


@pytest.mark.slow
async def test_each_event_loop_has_its_own_processes(processes: HandlerProcesses) -> None:
    here = (await call(processes, Echo)).pid
    there = (await asyncio.to_thread(asyncio.run, call(processes, Echo))).pid
    assert there != here
    assert not is_alive(there)
    assert (await call(processes, Echo)).pid == here


@pytest.mark.slow
def test_processes_end_with_their_event_loop() -> None:
    processes = HandlerProcesses(HANDLER_PROGRAM, registry_of())
    first = asyncio.run(call(processes, Echo)).pid
    assert not is_alive(first)
    assert asyncio.run(call(processes, Echo)).pid != first


# --- a worker --------------------------------------------------------------------------------------------------------


@pytest.fixture
def url(tmp_path: Path) -> str:
    create_sqlite_file(tmp_path / "jobs.sqlite3")
    return f"sqlite:///{tmp_path / 'jobs.sqlite3'}"


async def test_handlers_enqueue_and_read_jobs_of_the_workers_database(url: str) -> None:
    backend = PollingBackend(database=url, job_registry=registry_of(Enqueue, EnqueuePlainly, Echo, PlainEcho))
    for job in (Enqueue, EnqueuePlainly):
        await job.using(backend).later({"text": "a"}, correlation_id="day 7")
    for claim in (await backend.poll_and_claim()).claimed_jobs:
        result = await backend.execute(claim)
        assert result.success, result.error
        record = await read(backend, claim.id)
        report = Report.model_validate_json(record.result or "")
        later = await read(backend, str(report.more["later"]))
        assert (later.job_name, later.status) == ("Echo", JobStatus.PENDING)
        assert later.correlation_id == "day 7"
        if claim.job_name == "Enqueue":
            assert (report.text, report.more["pid_of_now"], report.more["found"]) == ("now", report.pid, 4)
    assert len(await backend.store.list_jobs(JobQuery(job_name="Echo"))) == 3
    await backend.shutdown()


async def test_a_worker_goes_on_beside_handlers_that_compute_and_crash(url: str) -> None:
    async def tick(order: Order, context: JobContext) -> Report:
        return handlers.report("tick")

    ticker = order_job(tick, "Tick", run_in="worker")
    backend = PollingBackend(
        database=url, job_registry=registry_of(ticker, handlers.Spin, FailOnce), poll_interval=SOON
    )
    spinning = await handlers.Spin.using(backend).later({})
    worker = Worker(backend, concurrency=4)
    working = asyncio.create_task(worker.run())
    failing = await FailOnce.using(backend).later({})
    for _ in range(5):
        job = await ticker.using(backend).later({})
        assert (await job.result(timeout=timedelta(seconds=PATIENCE))).ok
    assert (await failing.result(timeout=timedelta(seconds=PATIENCE))).metadata.attempt_count == 2
    assert (await read(backend, spinning)).status is JobStatus.RUNNING
    worker.stop()
    worker.stop()
    await working
    assert (await read(backend, spinning)).status is JobStatus.PENDING
    await backend.shutdown()


async def test_jobs_interrupted_by_shutdown_are_released_and_their_processes_end(url: str, tmp_path: Path) -> None:
    backend = PollingBackend(database=url, job_registry=registry_of(handlers.Spin), poll_interval=SOON)
    path = tmp_path / "notes"
    job_id = await handlers.Spin.using(backend).later({"path": str(path)})
    worker = Worker(backend, drain_timeout=timedelta(0))
    working = asyncio.create_task(worker.run())
    (pid,) = await notes(path)
    worker.stop()
    await working
    await is_gone(int(pid))
    record = await read(backend, job_id)
    assert (record.status, record.attempt_count) == (JobStatus.PENDING, 0)
    await backend.shutdown()


async def test_a_running_job_that_is_cancelled_is_ended(url: str, tmp_path: Path) -> None:
    backend = PollingBackend(database=url, job_registry=registry_of(handlers.Spin))
    path = tmp_path / "notes"
    job = await handlers.Spin.using(backend).later({"path": str(path)})
    (claim,) = (await backend.poll_and_claim()).claimed_jobs
    executing = asyncio.create_task(backend.execute(claim))
    (pid,) = await notes(path)
    await job.cancel()
    (attempt,) = backend.execution.runner.attempts()
    attempt.stop(Stop.CANCELLED)  # as the next heartbeat would
    await executing
    assert not is_alive(int(pid))
    assert (await read(backend, job)).status is JobStatus.CANCELLED
    await backend.shutdown()


@pytest.mark.slow
async def test_a_run_that_is_not_persisted_runs_in_a_process_too(url: str) -> None:
    backend = PollingBackend(database=url, job_registry=registry_of(Echo, FailOnce))
    result = await Echo.using(backend).now({"text": "at once"}, persist=False)
    assert result.data.text == "at once"
    assert result.data.pid != os.getpid()
    failed = await FailOnce.using(backend).now({}, persist=False)
    assert "SIGKILL" in (failed.error or "")
    last = await Echo.using(backend).now({"text": "the last one"}, persist=False)
    await backend.shutdown()
    assert not is_alive(last.data.pid)


async def test_the_memory_backend_runs_all_handlers_in_this_process() -> None:
    async def handle(order: Order, context: JobContext) -> Report:
        return handlers.report(str(context.database))

    job = order_job(handle)
    backend = InMemoryBackend(job_registry=registry_of(job), database="a mock")
    with job.bound_to(backend):
        result = await job.now({})
    assert (result.data.text, result.data.pid) == ("a mock", os.getpid())
    await Worker(backend, until_empty=True).run()


# --- what another process can import ---------------------------------------------------------------------------------


def outer() -> Callable[..., object]:
    def inner(order: Order, context: JobContext) -> Report:
        return handlers.report("")

    return inner


def handle_in_the_program(order: Order, context: JobContext) -> Report:
    return handlers.report("")


handle_in_the_program.__module__ = "__main__"


def covered(order: Order, context: JobContext) -> Report:
    return handlers.report("")


original, covered = covered, outer()  # type: ignore[assignment]


class Counter:
    def __call__(self, order: Order, context: JobContext) -> Report:
        return handlers.report("")

    def count(self, order: Order, context: JobContext) -> Report:
        return handlers.report("")


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (outer(), "outer.inner is defined inside a function"),
        (lambda order, context: None, "it is a lambda, which has no name"),
        (handle_in_the_program, "handle_in_the_program is defined in the program itself, which other processes do not"),
        (original, f"{__name__} has something else, or nothing, under the name covered"),
        (Counter(), "it is an object of Counter, and only what has a name is found"),
        (Counter().count, "has something else, or nothing, under the name Counter.count"),
    ],
)
async def test_a_worker_refuses_to_start_with_a_handler_that_processes_cannot_import(
    url: str, handler: Callable[..., object], reason: str
) -> None:
    backend = PollingBackend(database=url, job_registry=registry_of(order_job(handler)))
    with pytest.raises(InvalidOptionError) as caught:
        await Worker(backend, until_empty=True).run()
    await backend.shutdown()
    assert str(caught.value).startswith("the handler of TakeOrder cannot run in its own process: ")
    assert reason in str(caught.value)
    assert str(caught.value).endswith(
        "; define it at the top level of a module that can be imported, or set runIn to worker"
    )


async def test_models_must_be_importable_too(url: str) -> None:
    class Local(Order):
        pass

    job = define_job(name="A", params=Local, result=Report, handler=handlers.echo, options=JobOptions(run_in="process"))
    backend = PollingBackend(database=url, job_registry=create_job_registry().register(job))
    with pytest.raises(InvalidOptionError, match="the params model of A cannot run in its own process"):
        backend.execution.check_handlers()


def test_nothing_of_it_is_loaded_until_a_handler_is_to_run_in_a_process() -> None:
    program = (
        "import sys, asyncio; from tests.runtime import example_jobs as e; "
        "b = e.backend_on(None, e.text_job(e.echo)); b.execution.check_handlers(); "
        "print(sorted(name for name in sys.modules if name.startswith('server_jobs.isolation')))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    modules = ("server_jobs.isolation", "server_jobs.isolation.raised")
    assert done.stdout.strip() == str([*modules])


# --- ends ------------------------------------------------------------------------------------------------------------


async def test_a_killed_worker_takes_its_processes_along(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    command = [sys.executable, "-m", "tests.runtime.processes.lonely_parent", str(path)]
    parent = subprocess.Popen(command, cwd=ROOT)
    try:
        pids = [int(pid) for line in await notes(path, 3) for pid in line.split()]
    finally:
        parent.kill()
        parent.wait()
    assert len(pids) == 4
    for pid in pids:
        await is_gone(pid)
