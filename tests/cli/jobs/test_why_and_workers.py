"""`server-jobs why`, `workers`, and the history in `show` and `doctor`, with workers that are killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from typing import cast

from server_jobs import JobStatus
from server_jobs.domain.ids import new_job_id

from tests.cli.shop import Shop


def rows(value: object) -> list[dict[str, object]]:
    return cast("list[dict[str, object]]", value)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def killed_in_the_middle_of_a_job(shop: Shop) -> tuple[str, int]:
    """Start a worker, kill it while it runs a job, and return the job and the process."""
    job_id = shop.enqueue("Nap", "--max-attempts", "3", seconds=600)
    worker = shop.start("worker", "--lease", "1s", "--queues", "default,mail")
    wait_until(lambda: is_running(shop, job_id))
    os.kill(worker.pid, signal.SIGKILL)
    worker.communicate()
    return job_id, worker.pid


def is_running(shop: Shop, job_id: str) -> bool:
    return shop.record(job_id).status is JobStatus.RUNNING


def stop(worker: subprocess.Popen[str]) -> None:
    worker.send_signal(signal.SIGTERM)
    worker.communicate()


def test_a_living_worker_is_listed_until_it_stops(shop: Shop) -> None:
    assert shop.run("workers").stderr == "no worker has reported; start one with `server-jobs worker`\n"
    worker = shop.start("worker", "--concurrency", "7", "--queues", "mail")
    wait_until(lambda: bool(shop.json("workers")))

    (found,) = rows(shop.json("workers"))
    assert (found["pid"], found["alive"], found["concurrency"], found["queues"]) == (worker.pid, True, 7, ["mail"])
    assert {"job_name": "Shout", "spec_version": 1} in cast("list[object]", found["known_jobs"])
    (header, line) = shop.run("workers").stdout.splitlines()
    assert header.split() == ["id", "host", "pid", "state", "running", "started", "last", "seen", "version", "queues"]
    assert line.split()[3:5] == ["alive", "0/7"]
    assert "1 workers are alive, and run 0 jobs in 7 slots" in shop.run("doctor").output

    stop(worker)
    assert shop.json("workers") == []


def test_a_killed_worker_is_reported_with_what_it_held(shop: Shop) -> None:
    job_id, pid = killed_in_the_middle_of_a_job(shop)
    wait_until(lambda: not rows(shop.json("workers"))[0]["alive"])

    (dead,) = rows(shop.json("workers"))
    assert (dead["pid"], dead["running"]) == (pid, 1)
    died = rf"the worker {dead['id']} on \S+, process {pid}, died, and was seen last .* ago; it held {job_id}"
    assert re.search(died, shop.run("doctor").output)
    assert f"process {pid}, whose worker has died" in shop.run("why", job_id).stdout

    shop.run("pause", "default")
    wait_until(lambda: shop.run("tick").exit_code == 0 and not is_running(shop, job_id))
    text = shop.run("show", job_id).stdout
    assert re.search(rf"^attempt 1 expired, .* after \S+, worker {dead['id']}$", text, re.MULTILINE)
    assert re.search(died, shop.run("doctor").output)


def test_ticks_are_one_worker_until_they_stop(shop: Shop) -> None:
    shop.run("tick", "--concurrency", "7")
    shop.run("tick", "--concurrency", "7")
    job_id = shop.enqueue("Shout")

    (found,) = rows(shop.json("workers"))
    assert (found["pid"], found["alive"], found["concurrency"], found["queues"]) == (None, True, 7, None)
    (_, line) = shop.run("workers").stdout.splitlines()
    assert line.split()[2:5] == ["tick", "alive", "-/7"]
    assert re.search(r"the last tick reported \d+s ago, on \S+", shop.run("doctor").output)
    assert "the next tick runs it, and the last one reported at" in shop.run("why", job_id).stdout

    earlier = {"by": 7_200_000}
    shop.execute("UPDATE job_workers SET last_seen_at = last_seen_at - :by, expires_at = expires_at - :by", **earlier)

    assert re.search(r"no worker is alive, and the last tick reported 2h ago, on \S+", shop.run("doctor").output)
    assert re.search(r"- no worker is alive \(since .*, 2h ago\)", shop.run("why", job_id).stdout)
    assert shop.run("workers").stdout.splitlines()[1].split()[3] == "dead"


def test_a_tick_by_hand_does_not_count_as_dead_while_a_worker_lives(shop: Shop) -> None:
    shop.run("tick")
    shop.execute("UPDATE job_workers SET expires_at = last_seen_at - 1")
    worker = shop.start("worker")
    wait_until(lambda: len(rows(shop.json("workers"))) == 2)

    text = shop.run("doctor").output
    stop(worker)
    assert "1 workers are alive" in text
    assert "tick reported" not in text


def test_the_tracebacks_of_failed_attempts_are_shown_without_secrets(shop: Shop) -> None:
    job_id = shop.enqueue("Shout", text="fail", secret="hunter2 day")
    shop.run("worker", "--until-empty", "--poll-interval", "10ms")

    document = cast("dict[str, object]", shop.json("show", job_id))
    attempts = rows(document["attempts"])
    assert [(one["attempt"], one["outcome"], one["error_class"]) for one in attempts] == [
        (1, "failed", "BadDayError"),
        (2, "failed", "BadDayError"),
    ]
    assert document["error_class"] == "BadDayError"
    assert 'raise BadDayError("a ' in str(attempts[0]["traceback"])
    assert attempts[0]["worker_id"] == document["worker_id"]
    text = shop.run("show", job_id).stdout
    assert "attempt 1 failed, " in text
    assert "attempt 2 failed, " in text
    assert "\x1b" not in text


def test_retry_keeps_the_attempts_and_delete_does_not(shop: Shop) -> None:
    job_id = shop.enqueue("Shout", "--max-attempts", "1", text="fail")
    shop.run("tick")
    shop.run("retry", job_id)
    shop.run("tick")
    assert len(rows(cast("dict[str, object]", shop.json("show", job_id))["attempts"])) == 2
    shop.run("delete", job_id)
    assert shop.run("show", job_id).exit_code == 1


def test_why_names_each_reason_with_its_advice(shop: Shop) -> None:
    job_id = shop.enqueue("Shout", "--delay", "1h")
    shop.run("pause", "mail")

    lines = shop.run("why", job_id).stdout.splitlines()
    assert lines[0] == f"Shout {job_id} is pending:"
    assert re.fullmatch(r"- its queue mail is paused \(since .*, \d+s ago\)", lines[1])
    assert lines[2] == "  `server-jobs resume mail` lets its jobs be claimed again"
    assert lines[3] == "- no worker is alive"
    assert re.fullmatch(r"- it is not due yet \(until .*, in 59m\)", lines[5])
    document = cast("dict[str, object]", shop.json("why", job_id))
    assert [reason["cause"] for reason in rows(document["reasons"])] == ["queue paused", "no worker", "not due"]
    assert "its queue mail is paused" in shop.run("show", job_id).stdout


def test_why_of_an_unknown_job_fails(shop: Shop) -> None:
    result = shop.run("why", new_job_id())
    assert result.exit_code == 1
    assert "there is no job" in result.stderr
