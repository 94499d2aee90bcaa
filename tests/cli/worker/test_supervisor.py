"""`server-jobs worker --processes`: real processes that are killed, stopped, orphaned and replaced."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from server_jobs import JobStatus
from server_jobs_cli.worker import supervisor as supervising
from server_jobs_cli.worker.supervisor import Supervisor

from tests.cli.shop import ROOT, Shop, run
from tests.cli.started import SLACK, Started
from tests.cli.worker.rough_shop import RoughShop

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

Start = Callable[..., Started]


@pytest.fixture
def rough(shop: Shop) -> RoughShop:
    return RoughShop(shop.path)


@pytest.fixture
def start(rough: RoughShop) -> Iterator[Start]:
    """Start a worker with these options. Its processes end with the test, because they do not outlive a supervisor."""
    started: list[Started] = []

    def begin(*options: str) -> Started:
        started.append(Started(rough.start("worker", "--poll-interval", "50ms", *options)))
        return started[-1]

    yield begin
    for process in started:
        process.kill()


def _pid(supervisor: Started, number: int) -> int:
    return int(supervisor.wait_for(rf"worker\[{number}\] at work, pid (\d+)")[1])


def _pids(supervisor: Started, *numbers: int) -> list[int]:
    found = supervisor.wait_for_all(*(rf"worker\[{number}\] at work, pid (\d+)" for number in numbers))
    return [int(match[1]) for match in found]


def test_a_process_that_is_killed_is_replaced_and_its_job_is_done_by_another_one(
    rough: RoughShop, start: Start
) -> None:
    job_id = rough.enqueue("Nap", seconds=0.5)
    supervisor = start("--processes", "2", "--lease", "500ms", "--concurrency", "1")
    number = int(supervisor.wait_for(rf"worker\[(\d)\] Nap {job_id} started, attempt 1 of 3")[1])
    (pid,) = (int(line.split("pid ")[1]) for line in supervisor.lines if f"worker[{number}] at work" in line)

    os.kill(pid, signal.SIGKILL)

    supervisor.wait_for(rf"warning  worker\[{number}\] was killed by SIGKILL after .*; another one is started at once")
    supervisor.wait_for(rf"info     worker\[{number}\] started again, pid \d+")
    pid = _pid(supervisor, number)
    os.kill(pid, signal.SIGKILL)
    supervisor.wait_for(rf"worker\[{number}\] was killed by SIGKILL after .*; another one is started in 1.0s")
    killed = time.monotonic()
    supervisor.wait_for(rf"worker\[{number}\] started again")
    assert time.monotonic() - killed > 0.9
    _wait_until(lambda: rough.states(job_id)[0][0] is JobStatus.COMPLETED)
    supervisor.signal()
    assert supervisor.wait() == 0, supervisor.text


@pytest.mark.slow
def test_sigterm_lets_jobs_finish_and_releases_the_others(rough: RoughShop, start: Start) -> None:
    short, long = rough.enqueue("Nap", seconds=1), rough.enqueue("Nap", seconds=60)
    supervisor = start("--processes", "2", "--concurrency", "1", "--drain-timeout", "1500ms")
    supervisor.wait_for_all(f"Nap {short} started", f"Nap {long} started")
    waiting = rough.enqueue("Nap")

    sent = supervisor.signal()

    assert supervisor.wait() == 0, supervisor.text
    took = time.monotonic() - sent
    print(f"ended {took:.2f} s after the signal, with 1.5 s to drain")
    assert took < 1.5 + 1 + SLACK
    done = (JobStatus.COMPLETED, 1)
    assert rough.states(short, long, waiting) == [done, (JobStatus.PENDING, 0), (JobStatus.PENDING, 0)]
    assert "stopping 2 processes, with 1.5 s to finish; a second signal stops them at once" in supervisor.text


@pytest.mark.slow
def test_a_signal_to_all_processes_counts_once_and_a_second_one_gives_everything_back(
    rough: RoughShop, start: Start
) -> None:
    short, long = rough.enqueue("Nap", seconds=2), rough.enqueue("Nap", seconds=60)
    supervisor = start("--processes", "2", "--concurrency", "1")
    # One may have claimed both, and releases the waiting one to the other after a second.
    began = (rf"Nap {short} started", rf"Nap {long} started")
    found = supervisor.wait_for_all(*(rf"worker\[{number}\] at work, pid (\d+)" for number in (1, 2)), *began)
    pids = [int(match[1]) for match in found[:2]]
    # Its terminal's Ctrl-C does not reach them.
    assert not {os.getsid(pid) for pid in pids} & {os.getsid(supervisor.process.pid)}

    for pid in (*pids, supervisor.process.pid):  # as systemd does
        os.kill(pid, signal.SIGTERM)
    _wait_until(lambda: rough.states(short) == [(JobStatus.COMPLETED, 1)])
    assert rough.states(long) == [(JobStatus.RUNNING, 1)]
    sent = supervisor.signal(signal.SIGINT)

    assert supervisor.wait() == 0, supervisor.text
    assert time.monotonic() - sent < 1 + SLACK
    assert rough.states(long) == [(JobStatus.PENDING, 0)]


@pytest.mark.slow
def test_a_process_that_does_not_end_is_killed_when_the_time_is_up(rough: RoughShop, start: Start) -> None:
    supervisor = start("--processes", "2", "--drain-timeout", "200ms")
    pids = _pids(supervisor, 1, 2)
    os.kill(pids[1], signal.SIGSTOP)

    sent = supervisor.signal()

    assert supervisor.wait() == 1, supervisor.text
    took = time.monotonic() - sent
    print(f"ended {took:.2f} s after the signal, with 0.2 s to drain")
    assert 0.2 + 0.8 < took < 0.2 + 1 + SLACK
    assert "worker[2] did not end and was killed; others take over its jobs" in supervisor.text


def test_processes_of_a_killed_supervisor_release_unfinished_jobs_and_end(rough: RoughShop, start: Start) -> None:
    job_id = rough.enqueue("Nap", seconds=60)
    supervisor = start("--processes", "2", "--drain-timeout", "200ms")
    supervisor.wait_for_all(r"worker\[1\] at work", r"worker\[2\] at work", f"Nap {job_id} started")

    killed = supervisor.signal(signal.SIGKILL)

    supervisor.wait_until_nobody_prints()
    took = time.monotonic() - killed
    print(f"all gone {took:.2f} s after the supervisor was killed")
    assert took < 0.2 + 1 + SLACK
    assert rough.states(job_id) == [(JobStatus.PENDING, 0)]
    assert "warning  worker[1] the supervisor is gone" in supervisor.text


def test_a_process_without_its_supervisor_ends_during_its_set_up(shop: Shop) -> None:
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "server_jobs_cli", "worker", "--supervised", "1", "--database", shop.url]
    process = Started(
        subprocess.Popen(
            [*command, "--registry", "tests.cli.worker.endless_import:registry"],
            cwd=ROOT,
            stdin=theirs.fileno(),
            stderr=subprocess.PIPE,
            text=True,
        )
    )
    theirs.close()
    try:
        process.wait_for("importing")
        ours.close()
        gone = time.monotonic()
        assert process.wait() == 0
        assert time.monotonic() - gone < 1 + SLACK
    finally:
        process.kill()


@pytest.mark.slow
def test_until_empty_ends_with_the_last_process_and_one_that_exits_in_a_handler_was_not_done(
    rough: RoughShop, start: Start
) -> None:
    jobs = [rough.enqueue("Nap", seconds=0.05) for _ in range(6)]
    poison = rough.enqueue("Leave", "--max-attempts", "1")
    options = ("--processes", "2", "--concurrency", "1", "--lease", "1s", "--until-empty", "--json")
    supervisor = start(*options)

    output, _ = supervisor.process.communicate(timeout=30)

    assert supervisor.process.returncode == 0
    documents = [json.loads(line) for line in output.splitlines()]
    assert rough.states(*jobs) == [(JobStatus.COMPLETED, 1)] * 6
    assert rough.states(poison) == [(JobStatus.FAILED, 1)]  # the workers waited for the end of its lease
    (death,) = [document for document in documents if document.get("event") == "worker_died"]
    assert "exited with status 0 after" in death["message"]
    starts = sorted(document["worker"] for document in documents if document.get("event") == "worker_started")
    assert starts == sorted([1, 2, death["worker"]])
    ended = [document["worker"] for document in documents if document.get("event") == "worker_stopped"]
    assert sorted(ended) == [1, 2]
    assert supervisor.text == ""


@pytest.mark.slow
def test_a_rolling_restart_loses_no_job_and_runs_none_twice(rough: RoughShop, start: Start) -> None:
    options = ("--processes", "2", "--concurrency", "1", "--drain-timeout", "50ms")
    jobs = [rough.enqueue("Nap", seconds=0.3) for _ in range(4)]
    old = start(*options)
    new = start(*options)
    _pids(old, 1, 2)
    _pids(new, 1, 2)
    old.skip()
    jobs += [rough.enqueue("Nap", seconds=0.3) for _ in range(12)]
    old.wait_for("Nap .* started")

    old.signal()

    assert old.wait() == 0, old.text
    jobs += [rough.enqueue("Nap", seconds=0.05) for _ in range(4)]
    _wait_until(lambda: {status for status, _ in rough.states(*jobs)} == {JobStatus.COMPLETED})
    assert rough.states(*jobs) == [(JobStatus.COMPLETED, 1)] * len(jobs)
    print(f"{old.text.count(' released after ')} jobs were released and done by the new processes")


@pytest.mark.slow
def test_a_process_that_is_still_being_set_up_is_stopped_at_once(start: Start) -> None:
    supervisor = start(
        "--processes", "2", "--registry", "tests.cli.worker.endless_import:registry", "--drain-timeout", "60s"
    )
    supervisor.wait_for("importing")
    supervisor.wait_for("importing")
    sent = supervisor.signal()
    assert supervisor.wait() == 0, supervisor.text
    assert time.monotonic() - sent < SLACK


def test_a_set_up_that_cannot_be_used_is_refused_before_any_process_is_started(tmp_path: Path) -> None:
    result = Shop(tmp_path / "nothing.sqlite3").run("worker", "--processes", "2")
    assert result.exit_code == 3
    assert "run `server-jobs migrate`" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--processes", "0"), "Invalid value for '--processes': 0 is not in the range 1<=x<=1000."),
        (("--processes", "2", "--live"), "--live shows one process that is never replaced; leave"),
        (("--processes", "2", "--poll-interval", "0s"), "poll_interval must be longer than zero"),
        (("--supervised", "1"), "--supervised is for the processes that `server-jobs worker --processes` starts"),
    ],
)
def test_wrong_usage_is_reported_at_once(shop: Shop, options: tuple[str, ...], message: str) -> None:
    result = shop.run("worker", *options)
    assert result.exit_code == 2
    assert message in result.stderr


def test_the_help_shows_how_to_run_several_processes() -> None:
    text = run("worker", "--help").stdout
    assert "server-jobs worker --processes 4 --concurrency 10" in text
    assert "--supervised" not in text


class Script:
    """A process that sends the words of a worker: Python without a worker, which starts fast."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "starts"

    def supervisor(self, source: str, *, processes: int = 1, until_empty: bool = True) -> Supervisor:
        """Return a supervisor of the script. In it, `count` is the number of earlier starts; `say` sends a word."""
        head = (
            f"import os, sys, time\nlog = {str(self._log)!r}\n"
            "fd = os.open(log, os.O_CREAT | os.O_APPEND | os.O_RDWR)\n"
            # So that two simultaneous starts never get the same number.
            "os.write(fd, b'.')\ncount = os.lseek(fd, 0, os.SEEK_CUR) - 1\n"
            "def say(words): os.write(0, words)\n"
        )
        command = [sys.executable, "-I", "-S", "-c", head + source]
        return Supervisor([command] * processes, drain_timeout=timedelta(seconds=5), until_empty=until_empty)

    @property
    def starts(self) -> int:
        return self._log.stat().st_size if self._log.exists() else 0


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


async def test_when_nothing_runs_and_nothing_can_be_set_up_its_status_is_handed_on(script: Script) -> None:
    supervisor = script.supervisor("say(b'u'); sys.exit(3)", processes=2)
    assert await asyncio.wait_for(supervisor.run(), 20) == 3


async def test_a_process_that_cannot_be_set_up_is_tried_again_as_long_as_another_one_runs(script: Script) -> None:
    supervisor = script.supervisor(
        """
if count == 1:
    say(b'u')
    sys.exit(3)
say(b'r')
while os.path.getsize(log) < 3:
    time.sleep(0.01)
say(b'd')
""",
        processes=2,
    )
    assert await asyncio.wait_for(supervisor.run(), 20) == 0
    assert script.starts == 3


async def test_a_process_without_a_database_is_started_until_there_is_one(script: Script) -> None:
    supervisor = script.supervisor("count >= 1 or sys.exit(3)\nsay(b'rd')")
    assert await asyncio.wait_for(supervisor.run(), 20) == 0
    assert script.starts == 2


async def test_a_handler_that_exits_with_the_status_of_a_bad_set_up_is_a_crash(script: Script) -> None:
    supervisor = script.supervisor("say(b'r')\ncount >= 1 or os._exit(3)\nsay(b'd')")
    assert await asyncio.wait_for(supervisor.run(), 20) == 0
    assert script.starts == 2


async def test_a_process_that_was_stopped_by_hand_is_replaced_unless_the_queue_was_to_be_emptied(
    script: Script,
) -> None:
    supervisor = script.supervisor("say(b'rd')\ncount == 0 or time.sleep(60)", until_empty=False)
    running = asyncio.create_task(supervisor.run())
    await _until(lambda: script.starts == 2)
    supervisor.abandon()
    supervisor.stop()
    assert await asyncio.wait_for(running, 20) == 0


async def test_a_process_that_cannot_be_started_is_tried_again_and_can_be_stopped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervising, "_FIRST_PAUSE", timedelta(seconds=30))
    supervisor = Supervisor([[str(tmp_path / "nothing")]], drain_timeout=timedelta(seconds=5), until_empty=False)
    running = asyncio.create_task(supervisor.run())
    await _until(lambda: "another one is started in 30.0s" in caplog.text)
    assert "worker[1] could not be started: [Errno 2]" in caplog.text
    supervisor.stop()
    assert await asyncio.wait_for(running, 10) == 0


async def test_a_process_that_does_not_listen_yet_is_ended_by_its_signal(script: Script) -> None:
    supervisor = script.supervisor("time.sleep(60)", until_empty=False)
    running = asyncio.create_task(supervisor.run())
    await _until(lambda: script.starts == 1)
    supervisor.stop()
    assert await asyncio.wait_for(running, 10) == 0


async def test_a_process_that_dies_instead_of_stopping_is_no_success(script: Script) -> None:
    supervisor = script.supervisor("say(b'r')\nos.write(fd, b'.')\nos.read(0, 1)\nos._exit(9)", until_empty=False)
    running = asyncio.create_task(supervisor.run())
    await _until(lambda: script.starts == 2)
    supervisor.stop()
    assert await asyncio.wait_for(running, 20) == 1


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.01)


def _wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)
