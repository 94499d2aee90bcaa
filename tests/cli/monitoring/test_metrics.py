"""`server-jobs worker --metrics-port`: metrics and probes of one process, and of several behind one port."""

from __future__ import annotations

import http.client
import os
import re
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from server_jobs import JobStatus
from server_jobs_cli.worker import metrics_endpoint, metrics_server
from server_jobs_cli.worker.metrics_endpoint import SupervisorEndpoint
from server_jobs_cli.worker.metrics_server import listen, serving

from tests.cli.monitoring.flooded_jobs import SABOTAGE
from tests.cli.shop import Shop
from tests.cli.started import Started

Start = Callable[..., Started]
Answer = tuple[int, str]


@pytest.fixture
def start(shop: Shop) -> Iterator[Start]:
    started: list[Started] = []

    def begin(*options: str) -> Started:
        started.append(Started(shop.start("worker", "--poll-interval", "50ms", "--metrics-port", "0", *options)))
        return started[-1]

    yield begin
    for process in started:
        process.kill()


def port_of(worker: Started) -> int:
    return int(worker.wait_for(r"serving http://127\.0\.0\.1:(\d+)/metrics, /live and /ready")[1])


def ask(port: int, path: str, method: str = "GET") -> Answer:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read().decode().strip()


def become(port: int, path: str, answer: Answer) -> None:
    deadline = time.monotonic() + 20
    while (found := ask(port, path)) != answer:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)


def samples(port: int) -> Mapping[tuple[str, str], list[Mapping[str, str]]]:
    """Return the labels of each metric by its name and value."""
    found: dict[tuple[str, str], list[Mapping[str, str]]] = {}
    for family in text_string_to_metric_families(ask(port, "/metrics")[1] + "\n"):
        for sample in family.samples:
            found.setdefault((sample.name, f"{sample.value:g}"), []).append(sample.labels)
    return found


def test_a_worker_serves_its_metrics_and_is_ready_until_it_stops(shop: Shop, start: Start) -> None:
    good, bad = shop.enqueue("Shout"), shop.enqueue("Shout", text="fail")
    worker = start()
    port = port_of(worker)
    become(port, "/ready", (200, "ready"))
    while {shop.record(good).status, shop.record(bad).status} != {JobStatus.COMPLETED, JobStatus.FAILED}:
        time.sleep(0.02)
    nap = shop.enqueue("Nap", seconds=60)
    worker.wait_for(f"Nap {nap} started")

    found = samples(port)

    shout = {"queue": "mail", "job_name": "Shout"}
    assert found["server_jobs_worker_attempts_total", "1"] == [{**shout, "outcome": "completed"}]
    assert found["server_jobs_worker_attempts_total", "2"] == [{**shout, "outcome": "failed"}]
    for kind in ("completed", "failed", "retried"):
        assert shout in found[f"server_jobs_worker_{kind}_total", "1"]
    assert found["server_jobs_worker_running_jobs", "1"] == [{"queue": "default", "job_name": "Nap"}]
    assert {**shout, "le": "+Inf"} in found["server_jobs_worker_run_seconds_bucket", "3"]
    assert {**shout, "le": "3600.0"} in found["server_jobs_worker_wait_seconds_bucket", "3"]
    assert found["server_jobs_worker_ready", "1"] == found["server_jobs_worker_slots", "5"] == [{}]
    assert any(name == "process_resident_memory_bytes" for name, _ in found)
    assert ask(port, "/live") == (200, "alive")
    assert ask(port, "/metrics", "HEAD") == (200, "")
    assert ask(port, "/") == (404, "the paths are /metrics, /live and /ready")
    worker.signal()
    become(port, "/ready", (503, "the worker is stopping; jobs that still run: 1"))
    assert ask(port, "/live") == (200, "alive")
    worker.signal()
    assert worker.wait() == 0, worker.text


@pytest.mark.slow
def test_a_worker_that_waits_for_its_database_is_alive_and_not_ready(start: Start) -> None:
    port = port_of(start("--database", "postgresql://nobody@127.0.0.1:1/none"))

    assert ask(port, "/live") == (200, "alive")
    assert ask(port, "/ready") == (503, "the worker is starting, or waits for its database")
    assert samples(port)["server_jobs_worker_ready", "0"] == [{}]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_one_port_serves_the_metrics_of_all_processes_also_of_a_new_one(
    shop: Shop, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVER_JOBS_METRICS_PORT", "0")  # the processes inherit it
    shop.enqueue_many("Shout", 40)
    supervisor = start("--processes", "2", "--concurrency", "3")
    port = port_of(supervisor)
    first = supervisor.wait_for_all(r"worker\[1\] at work, pid (\d+)", r"worker\[2\] at work, pid (\d+)")[0]
    become(port, "/ready", (200, "ready"))
    while any(record.status is not JobStatus.COMPLETED for record in shop.records()):
        time.sleep(0.02)

    found = samples(port)

    assert found["server_jobs_worker_slots", "3"] == [{"process": "1"}, {"process": "2"}]
    done = {
        labels["process"]: float(value)
        for (name, value), all_labels in found.items()
        for labels in all_labels
        if name == "server_jobs_worker_wait_seconds_count"
    }
    assert sum(done.values()) == 40
    assert found["server_jobs_worker_ready", "1"] == [{"process": "1"}, {"process": "2"}]
    os.kill(int(first[1]), signal.SIGKILL)
    supervisor.wait_for(r"worker\[1\] started again")
    assert ask(port, "/live") == (200, "alive")
    supervisor.wait_for(r"worker\[1\] at work")
    become(port, "/ready", (200, "ready"))
    assert samples(port)["server_jobs_worker_ready", "1"] == [{"process": "1"}, {"process": "2"}]
    supervisor.signal()
    assert supervisor.wait() == 0, supervisor.text
    assert supervisor.text.count("/metrics") == 1


@dataclass
class Process:
    """A worker process, as its supervisor asks it."""

    reason: str | None = None
    is_stuck: bool = False

    def metrics(self) -> bytes:
        raise RuntimeError("a collector of the application")

    def stuck(self) -> str | None:
        return self.reason if self.is_stuck else None

    def unready(self) -> str | None:
        return self.reason


@dataclass
class Running:
    """The processes that run."""

    found: Mapping[int, float]
    reason: str | None = None

    def ages(self) -> Mapping[int, float]:
        return self.found

    def unready(self) -> str | None:
        return self.reason


def test_a_supervisor_names_the_process_that_is_stuck_or_not_ready(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_SECONDS_PER_SCRAPE", "_SECONDS_PER_PROBE"):
        monkeypatch.setattr(metrics_endpoint, name, 0.5)
    first, second, processes = Process(), Process(), Running({1: 1, 2: 1})
    with listen("127.0.0.1", 0) as one, listen("127.0.0.1", 0) as two, listen("127.0.0.1", 0) as silent:
        ports = {number: each.getsockname()[1] for number, each in enumerate((one, two, silent), 1)}
        endpoint = SupervisorEndpoint(ports)
        with serving(one, first), serving(two, second):
            assert endpoint.unready() == "the supervisor is starting, or waits for the database"
            endpoint.watch(processes)
            assert (endpoint.unready(), endpoint.stuck()) == ("worker[3] does not run", None)
            processes.found = {1: 1, 2: 1, 3: 59}
            assert (endpoint.unready(), endpoint.stuck()) == ("worker[3] is starting", None)
            processes.found = {1: 1, 2: 1, 3: 61}
            assert endpoint.stuck() == "worker[3] does not answer"
            second.reason = "no database"
            assert endpoint.unready() == "worker[2]: no database"
            second.is_stuck = True
            assert endpoint.stuck() == "worker[2]: no database"
            processes.reason = "the supervisor is stopping"
            assert endpoint.unready() == "the supervisor is stopping"
            # A collector that fails hides its own process only.
            assert endpoint.metrics() == b""
            assert ask(ports[1], "/metrics") == (500, "a collector failed; the log of the worker has the error")
    assert "a collector of the application" in caplog.text


def test_an_address_that_is_taken_is_wrong_usage(shop: Shop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for options in ((), ("--processes", "2")):
            result = shop.run("worker", "--until-empty", "--metrics-port", str(port), *options)
            assert result.exit_code == 2
            assert re.search(rf"--metrics-port: 127.0.0.1:{port} cannot be used: Address already in use", result.stderr)


def test_a_missing_package_names_its_extra(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "server_jobs_cli.worker.metrics_endpoint", raising=False)
    monkeypatch.delitem(sys.modules, "server_jobs_integrations.prometheus", raising=False)
    for name in [*sys.modules]:
        if name.partition(".")[0] == "prometheus_client":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)

    result = shop.run("worker", "--until-empty", "--metrics-port", "0")

    assert result.exit_code == 3
    assert "pip install 'server-jobs[metrics]'" in result.stderr


class _Fixed:
    """Metrics that count how often they were made."""

    def __init__(self) -> None:
        self.made = 0

    def metrics(self) -> bytes:
        self.made += 1
        return b"up 1\n"

    def stuck(self) -> str | None:
        return None

    def unready(self) -> str | None:
        return None


@pytest.mark.parametrize("sent", [b"", b"GET /met", b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 5_000])
def test_many_slow_connections_take_no_threads_and_others_are_answered(sent: bytes) -> None:
    listening = listen("127.0.0.1", 0)
    port = listening.getsockname()[1]
    with serving(listening, _Fixed()), ExitStack() as stack:
        assert ask(port, "/ready") == (200, "ready")
        before, files = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(200):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            with suppress(OSError):
                connection.sendall(sent)
        for path, answer in (("/metrics", "up 1"), ("/live", "alive"), ("/ready", "ready")):
            assert ask(port, path) == (200, answer)

        assert threading.active_count() <= before + 3
        assert len(list(Path("/proc/self/fd").iterdir())) <= files + 200 + 40


def test_requests_at_the_same_time_share_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_server, "_REUSE", 100)  # a busy machine needs seconds for twenty requests

    class Slow(_Fixed):
        def metrics(self) -> bytes:
            time.sleep(0.2)
            return super().metrics()

    listening, slow = listen("127.0.0.1", 0), Slow()
    port = listening.getsockname()[1]
    with serving(listening, slow), ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda _: ask(port, "/metrics"), range(20)))

    assert answers == [(200, "up 1")] * 20
    assert slow.made == 1


def test_a_connection_without_a_request_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_server, "_SECONDS_FOR_HEAD", 0.1)
    listening = listen("127.0.0.1", 0)
    address = listening.getsockname()[:2]
    with serving(listening, _Fixed()), socket.create_connection(address, timeout=30) as connection:
        assert connection.recv(10) == b""


def flood(shop: Shop, start: Start) -> None:
    """Send half a request on 1,050 connections to a worker that may open 512 files and runs jobs in processes."""
    worker = start("--registry", "tests.cli.monitoring.flooded_jobs:registry", "--concurrency", "4")
    port, pid = port_of(worker), worker.process.pid
    become(port, "/ready", (200, "ready"))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (512, 512))
    with ExitStack() as stack:
        for _ in range(1_050):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            with suppress(OSError):
                connection.send(b"GET /metrics HTTP/1.1\r\n")
        shop.enqueue_many("Spell", 40)
        assert ask(port, "/live") == (200, "alive")
        while (found := {record.status for record in shop.records()}) != {JobStatus.COMPLETED}:
            assert JobStatus.FAILED not in found
            assert "server_jobs_worker_ready 1.0" in ask(port, "/metrics")[1]
        threads = int(Path(f"/proc/{pid}/status").read_text().partition("Threads:")[2].split()[0])
        assert threads < 30
    worker.signal()
    assert worker.wait() == 0, worker.text


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="prlimit")
def test_a_thousand_half_requests_do_not_disturb_jobs_in_processes(
    shop: Shop, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    flood(shop, start)
    monkeypatch.setenv(SABOTAGE, "1")
    with pytest.raises(OSError, match="timed out"):
        flood(shop, start)
