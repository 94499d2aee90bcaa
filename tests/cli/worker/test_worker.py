"""`server-jobs worker`: its jobs and its output as text, as JSON, and live on a terminal."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest
from server_jobs import JobStatus

from tests.cli.shop import REGISTRY, ROOT, Shop
from tests.prepared import prepared_program
from tests.slow import slow


def test_a_worker_runs_queued_jobs_and_logs_each(shop: Shop) -> None:
    good = shop.enqueue("Shout")
    bad = shop.enqueue("Shout", text="fail")
    result = shop.run("worker", "--until-empty", "--poll-interval", "10ms")
    assert (result.exit_code, result.stdout) == (0, "")
    for line in (
        f"info     Shout {good} started, attempt 1 of 2\n",
        f"info     Shout {good} completed in ",
        f"info     [Shout {good} attempt 1] shouted\n",
        f"info     Shout {bad} started, attempt 2 of 2\n",
        "info     stopped: 1 completed, 2 failed attempts, 0 released\n",
    ):
        assert line in result.stderr
    assert [record.status for record in shop.records()] == [JobStatus.FAILED, JobStatus.COMPLETED]


def test_each_failed_attempt_has_one_line_that_says_whether_it_was_the_last(shop: Shop) -> None:
    job_id = shop.enqueue("Shout", text="fail")
    text = shop.run("worker", "--until-empty", "--poll-interval", "10ms").stderr
    retried, final = [line.partition(" ")[2].partition(" ")[2] for line in text.splitlines() if " failed " in line][:2]
    assert re.match(
        rf"warning  Shout {job_id} failed in attempt 1 of 2 after \S+, retry in \S+: BadDayError: a .* day", retried
    )
    assert re.match(
        rf"error    Shout {job_id} failed for good in attempt 2 of 2 after \S+: BadDayError: a .* day", final
    )
    assert text.count(f"Shout {job_id} ") == 4  # two starts and two ends
    assert text.count("Traceback") == 2


def test_the_traceback_starts_at_the_handler(shop: Shop) -> None:
    shop.enqueue("Shout", "--max-attempts", "1", text="fail")
    text = shop.run("worker", "--until-empty").stderr
    assert 'raise BadDayError("a' in text
    assert "executor.py" not in text
    assert "\x1b" not in text


def test_a_worker_logs_its_settings_at_the_start(shop: Shop) -> None:
    text = shop.run("worker", "--until-empty", "--concurrency", "7", "--queues", "mail,mial").stderr
    assert f"on {shop.url}, 7 at a time from mail, mial\n" in text
    assert "jobs: Shout v1, Nap v1, Hang v1, Block v1, Brief v1\n" in text
    assert "the handler of Stub is still a stub; its jobs are not claimed" in text
    assert "no job here uses the queue 'mial'; did you mean 'mail'?" in text


def test_stubs_and_other_queues_are_left_alone(shop: Shop) -> None:
    stub, nap = shop.enqueue("Stub"), shop.enqueue("Nap")
    shop.run("worker", "--until-empty", "--queues", "mail")
    assert {shop.record(job_id).status for job_id in (stub, nap)} == {JobStatus.PENDING}


@pytest.mark.parametrize(("option", "name"), [("--lease", "lease"), ("--poll-interval", "poll_interval")])
def test_a_duration_of_nothing_is_wrong_usage(shop: Shop, option: str, name: str) -> None:
    result = shop.run("worker", option, "0s")
    assert result.exit_code == 2
    assert f"{name} must be longer than zero" in result.stderr


def test_a_worker_without_a_database_does_not_start(tmp_path: Path) -> None:
    result = Shop(tmp_path / "nothing.sqlite3").run("worker")
    assert result.exit_code == 3
    assert "run `server-jobs migrate`" in result.stderr


def test_with_json_every_line_is_an_object(shop: Shop) -> None:
    job_id = shop.enqueue("Shout", "--correlation-id", "c1", "--max-attempts", "1", text="fail")
    result = shop.run("worker", "--until-empty", "--json")
    lines = [cast("dict[str, object]", json.loads(line)) for line in result.stdout.splitlines()]
    events = {line["event"]: line for line in lines if "event" in line}
    assert list(events) == ["worker_started", "started", "failed", "worker_stopped"]
    failed = events["failed"]
    assert (failed["job_id"], failed["job_name"], failed["attempt"], failed["correlation_id"]) == (
        job_id,
        "Shout",
        1,
        "c1",
    )
    assert str(failed["error"]).startswith("BadDayError")
    assert events["worker_stopped"]["failed"] == 1
    assert result.stderr == ""


def test_an_address_for_metrics_without_a_port_is_wrong_usage(shop: Shop) -> None:
    result = shop.run("worker", "--metrics-host", "0.0.0.0", "--until-empty")
    assert result.exit_code == 2
    assert "--metrics-host needs --metrics-port" in result.stderr


@pytest.mark.parametrize(("option", "error"), [("--until-empty", "SchemaMissingError"), ("--nothing", "UsageError")])
def test_with_json_the_error_of_a_start_is_one_line_too(option: str, error: str, tmp_path: Path) -> None:
    result = Shop(tmp_path / "nothing.sqlite3").run("worker", "--json", option)
    (line,) = result.stdout.splitlines()
    assert json.loads(line)["error"]["type"] == error


def test_a_snoozed_job_is_no_failure(shop: Shop) -> None:
    job_id = shop.enqueue("Shout", text="snooze")
    text = shop.run("worker", "--until-empty").stderr
    assert re.search(rf"info     Shout {job_id} snoozed after .*: snoozed by its handler for 1:00:00\n", text)
    assert "stopped: 0 completed, 0 failed attempts, 1 snoozed, 0 released\n" in text
    assert "warning" not in text.partition(" started, ")[2]
    shop.enqueue("Shout", text="snooze")
    assert shop.json("tick") == {"expired": 0, "late": 0, "scheduled": 0, "completed": 0, "failed": 0, "unfired": 0}


def test_a_huge_error_is_cut_before_it_is_logged(shop: Shop) -> None:
    shop.enqueue("Shout", "--max-attempts", "1", text="huge")
    result = shop.run("worker", "--until-empty")
    assert "BadDayError: xxx" in result.stderr
    assert len(result.stderr) < 50_000
    shop.enqueue("Shout", "--max-attempts", "1", text="huge")
    assert len(shop.run("worker", "--until-empty", "--json").stdout) < 200_000


def test_many_jobs_are_summed_up_by_the_second(shop: Shop) -> None:
    shop.enqueue_many("Nap", 100)
    text = shop.run("worker", "--until-empty").stderr
    alone, sums = text.count(" completed in "), re.findall(r"info     Nap: (\d+) completed, .* on average\n", text)
    assert alone >= 1
    assert sums
    assert alone + sum(map(int, sums)) == 100


def test_the_level_is_that_of_the_option(shop: Shop) -> None:
    for level, lines in (("debug", 3), ("info", 3), ("warning", 0), ("error", 0)):
        job_id = shop.enqueue("Shout")
        text = shop.run("worker", "--until-empty", "--log-level", level, "--queues", "mail").stderr
        assert text.count(f"Shout {job_id}") == lines, text


def test_live_without_a_terminal_prints_plain_lines(shop: Shop) -> None:
    job_id = shop.enqueue("Shout")
    result = shop.run("worker", "--until-empty", "--live")
    assert f"Shout {job_id} completed" in result.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_live_on_a_terminal_shows_running_jobs_and_ends_with_plain_lines(shop: Shop) -> None:
    nap = shop.enqueue("Nap", seconds=0.5)
    bad = shop.enqueue("Shout", "--max-attempts", "1", text="fail")
    output = on_a_terminal("worker", "--until-empty", "--live", "--registry", REGISTRY, "--database", shop.url)
    assert f"Nap {nap} completed" in output
    assert f"Shout {bad} failed for good in attempt 1 of 1" in output
    assert "10%" in output
    assert f"…{nap[-8:]}" in output
    assert "[red]napping[/red]" in output
    assert "the handler of Stub is still a stub; its jobs are not claimed" in output
    assert output.count("BadDayError") == 1
    assert "\x1b]0;title" not in output
    assert "1 running" in output
    assert "Traceback" not in output
    assert output.rstrip().endswith("stopped: 1 completed, 1 failed attempts, 0 released")


def on_a_terminal(*arguments: str) -> str:
    """Return the output of a command on a terminal of 140 columns."""
    import pty
    import termios

    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (40, 140))
    environment = {**os.environ, "TERM": "xterm-256color"}
    with subprocess.Popen(
        [sys.executable, "-m", "server_jobs_cli", *arguments],
        cwd=ROOT,
        env=environment,
        stdin=follower,
        stdout=follower,
        stderr=follower,
    ):
        os.close(follower)
        output = b""
        while chunk := _read(leader):
            output += chunk
    os.close(leader)
    return output.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux reports the end of the last writer so
        return b""


def test_a_worker_that_ends_reports_jobs_leased_to_others(shop: Shop) -> None:
    job_id = shop.enqueue("Shout")
    shop.execute(
        "UPDATE jobs SET status = 'running', attempt_count = 1, fencing_token = 'of-a-dead-worker',"
        " worker_expires_at = updated_at + 3600000 WHERE id = :id",
        id=job_id,
    )

    text = shop.run("worker", "--until-empty").stderr

    assert "leased to other workers: 1;" in text
    assert shop.record(job_id).status is JobStatus.RUNNING


@pytest.mark.parametrize("options", [(), slow(("--json",)), ("--processes", "2")])
@pytest.mark.parametrize("settings", ['{"version": 1}', slow('{"version": 1, "disable_existing_loggers": False}')])
def test_an_application_that_configures_logging_at_import_keeps_the_workers_log(
    shop: Shop, settings: str, options: tuple[str, ...]
) -> None:
    shop.enqueue("Shout")
    folder = str(shop.path.parent)
    (shop.path.parent / "configured.py").write_text(
        f"import logging.config\nlogging.config.dictConfig({settings})\n"
        "from tests.cli.shop_jobs import registry as registry\n"
    )
    places = ("--project", folder, "--registry", "configured:registry", "--database", shop.url)
    done = subprocess.run(
        [prepared_program(), "worker", "--until-empty", *options, *places],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"},
        capture_output=True,
        text=True,
        check=True,
    )
    log = done.stdout if "--json" in options else done.stderr
    assert "started, attempt 1 of 2" in log
    assert ("Shout: shouted" if "--json" in options else "attempt 1] shouted") in log
    assert "completed in" in log
