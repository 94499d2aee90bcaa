"""Records of handlers and libraries in the log of a worker, and applications that configure logging themselves."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from tests.cli.shop import ROOT, Shop
from tests.cli.worker.talking_jobs import LIBRARY
from tests.prepared import prepared_program
from tests.slow import slow

MODULE = "tests.cli.worker.talking_jobs"
PLACES = ("InLoop", slow("InThread"), slow("InProcess"))


@dataclass(frozen=True)
class TalkingShop(Shop):
    """The jobs of `talking_jobs`, behind a module that configures logging first."""

    def enqueue(self, job: str, *arguments: str, text: str = "hello", **params: object) -> str:
        return super().enqueue(job, *arguments, "--registry", f"{MODULE}:registry", text=text, **params)

    def work(self, *options: str, configuration: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a worker until the queue is empty.

        The module of the registry starts with `configuration`. Handler processes import it too.
        """
        folder = self.path.parent
        (folder / "application.py").write_text(
            f"import logging, logging.config\n{configuration}\n"
            "from tests.cli.worker.talking_jobs import registry_with, talk\n"
            "def in_process(params, context): return talk(params, context)\n"
            "registry = registry_with(in_process)\n"
        )
        places = ("--project", str(folder), "--registry", "application:registry", "--database", self.url)
        return subprocess.run(
            [prepared_program(), "worker", "--until-empty", *options, *places],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", **environment},
            capture_output=True,
            text=True,
            check=True,
        )


@pytest.fixture
def talking(shop: Shop) -> TalkingShop:
    return TalkingShop(shop.path)


def lines_of(text: str) -> list[str]:
    """Return the lines without their times."""
    return [line[20:] for line in text.splitlines()]


@pytest.mark.parametrize("name", PLACES)
def test_records_of_a_handler_are_in_the_log_with_the_ids_of_its_job(talking: TalkingShop, name: str) -> None:
    job_id = talking.enqueue(name, "--correlation-id", "order-17")
    lines = lines_of(talking.work().stderr)

    ids = f"[{name} {job_id} attempt 1 order-17]"
    begin = lines.index(f"info     {ids} {MODULE}: by the\\nmodule")
    assert lines[begin + 1 : begin + 5] == [
        f"info     {ids} by the root",
        f"warning  {ids} {LIBRARY}: by the library",
        f"info     {ids} by the context {{'rows': 3}}",
        f"error    {ids} {MODULE}: by an error",
    ]
    assert len([line for line in lines if ids in line]) == 5
    assert "for developers" not in "".join(lines)


@pytest.mark.parametrize("name", PLACES)
def test_in_json_each_record_is_an_object_with_the_ids_and_the_traceback(talking: TalkingShop, name: str) -> None:
    job_id = talking.enqueue(name, "--correlation-id", "order-17")
    done = talking.work("--json")

    lines = [cast("dict[str, object]", json.loads(line)) for line in done.stdout.splitlines()]
    ids = {"job_name": name, "job_id": job_id, "attempt": 1, "correlation_id": "order-17"}
    told = [line for line in lines if "event" not in line and line.items() >= ids.items()]
    assert [(line["level"], line["logger"], line["message"]) for line in told] == [
        ("info", MODULE, "by the\nmodule"),
        ("info", "root", "by the root"),
        ("warning", LIBRARY, "by the library"),
        ("info", "server_jobs.job", f"{name}: by the context {{'rows': 3}}"),
        ("error", MODULE, "by an error"),
    ]
    assert told[0]["customer"] == 7
    trace = str(told[-1]["traceback"])
    assert trace.startswith("Traceback (most recent call last):\n  File ")
    assert trace.endswith("KeyError: 'caught'")
    assert done.stderr == ""


@pytest.mark.parametrize("name", PLACES)
def test_the_level_of_the_log_is_that_of_handlers_too(talking: TalkingShop, name: str) -> None:
    talking.enqueue(name)
    assert "for developers" in talking.work("--log-level", "debug").stderr
    talking.enqueue(name)
    text = talking.work(SERVER_JOBS_LOG_LEVEL="warning").stderr
    assert "by the library" in text
    assert "by the root" not in text
    talking.enqueue(name)
    assert "by the library" not in talking.work("--log-level", "error").stderr


def test_processes_of_a_worker_log_for_their_handlers(talking: TalkingShop) -> None:
    job_id = talking.enqueue("InLoop")
    assert f"[InLoop {job_id} attempt 1] by the root" in talking.work("--processes", "2").stderr


@pytest.mark.parametrize("name", PLACES)
def test_a_retry_and_the_last_failure_have_one_record_each(talking: TalkingShop, name: str) -> None:
    job_id = talking.enqueue(name, text="fail")
    lines = [json.loads(line) for line in talking.work("--json", "--poll-interval", "10ms").stdout.splitlines()]
    retried, final = [line for line in lines if "no good" in line["message"]]
    assert (retried["level"], retried["event"], retried["status"], retried["attempt"]) == (
        *("warning", "failed", "pending"),
        1,
    )
    assert retried["retry_after"] > 0
    assert (final["level"], final["event"], final["status"], final["attempt"]) == ("error", "failed", "failed", 2)
    assert "retry_after" not in final
    for line in (retried, final):
        assert (line["job_id"], line["job_name"], line["max_attempts"]) == (job_id, name, 2)
        assert line["traceback"].endswith("ValueError: no good")
        assert line["seconds"] >= 0


def test_an_error_that_is_not_retried_is_final_in_its_first_attempt(talking: TalkingShop) -> None:
    job_id = talking.enqueue("InThread", text="never")
    text = talking.work().stderr
    assert f"error    InThread {job_id} failed for good in attempt 1 of 2 after " in text
    assert "server_jobs.domain.outcomes.DoNotRetryError: never again\n" in text  # the end of its traceback
    assert text.count(f"InThread {job_id} failed") == 1


APPLICATION = (
    "logging.config.dictConfig({'version': 1, 'disable_existing_loggers': False, 'formatters': {'own': {'format': "
)
APPLICATION += "'OWN %(job_name)s %(attempt)s %(message)s'}}, 'filters': {'job': {'()': 'server_jobs.JobLogFilter'}}, "
APPLICATION += "'handlers': {'own': {'class': 'logging.StreamHandler', 'formatter': 'own', 'filters': ['job']}}, "


@pytest.mark.parametrize("name", PLACES)
def test_an_application_that_configures_the_root_logger_keeps_its_format(talking: TalkingShop, name: str) -> None:
    job_id = talking.enqueue(name)
    done = talking.work(configuration=APPLICATION + "'root': {'level': 'INFO', 'handlers': ['own']}})")
    lines = done.stderr.splitlines()
    assert f"OWN {name} 1 by the root" in lines
    assert f"OWN {name} 1 by the library" in lines
    assert done.stderr.count("by the root") == 1
    assert f"info     {name} {job_id} started, attempt 1 of 2" in lines_of(done.stderr)  # the worker's own log stays


def test_basic_configuration_at_import_is_not_ignored(talking: TalkingShop) -> None:
    talking.enqueue("InLoop")
    done = talking.work(configuration="logging.basicConfig(format='OWN %(message)s', level='DEBUG')")
    assert "OWN for developers" in done.stderr.splitlines()
    assert done.stderr.count("by the root") == 1


@pytest.mark.parametrize("name", PLACES)
def test_a_logger_that_the_application_prints_is_not_printed_twice(talking: TalkingShop, name: str) -> None:
    talking.enqueue(name)
    loggers = f"'loggers': {{'{MODULE}': {{'level': 'DEBUG', 'handlers': ['own']}}}}}})"
    done = talking.work(configuration=APPLICATION + loggers)
    assert f"OWN {name} 1 for developers" in done.stderr.splitlines()
    assert done.stderr.count("by an error") == 1
    assert f"{name} " in done.stderr
    assert "attempt 1] by the root" in done.stderr  # of another logger


def test_a_record_for_a_file_of_the_application_is_in_the_log_too(talking: TalkingShop) -> None:
    talking.enqueue("InLoop")
    file = talking.path.with_suffix(".log")
    done = talking.work(configuration=f"logging.getLogger({MODULE!r}).addHandler(logging.FileHandler({str(file)!r}))")
    assert file.read_text().count("by an error") == 1
    assert done.stderr.count("by an error") == 1


@pytest.mark.parametrize("name", PLACES)
def test_a_configuration_that_disables_loggers_does_not_silence_the_context(talking: TalkingShop, name: str) -> None:
    talking.enqueue(name)
    assert "by the context" in talking.work(configuration="logging.config.dictConfig({'version': 1})").stderr


def test_requests_of_the_engine_are_no_records_of_the_application(talking: TalkingShop, tmp_path: Path) -> None:
    talking.enqueue("InLoop")
    request = "logging.getLogger('httpx')"
    done = talking.work(
        configuration="import threading, time\n"
        "def ask():\n"
        "    while not logging.root.handlers: time.sleep(0.001)\n"
        f"    {request}.info('POST to Turso'); {request}.warning('slow'); logging.info('a thread')\n"
        "threading.Thread(target=ask, daemon=True).start()"
    )
    assert "httpx: slow" in done.stderr
    assert "a thread" in done.stderr
    assert "POST" not in done.stderr
