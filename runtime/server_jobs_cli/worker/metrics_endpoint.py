"""The metrics and the health of a worker process, and of all processes of a supervisor. Needs the extra `metrics`."""

from __future__ import annotations

import http.client
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from server_jobs.domain.record import Claim, Outcome
from server_jobs.engine.backend import Backend
from server_jobs.engine.slots import Listener
from server_jobs.engine.worker import Worker
from server_jobs_integrations.prometheus import WorkerMetrics

from .metrics_server import LIVE, METRICS, READY

_SECONDS_PER_SCRAPE = 5.0
_SECONDS_PER_PROBE = 0.8  # Kubernetes waits a second
_SECONDS_TO_START = 60.0


class WorkerEndpoint(Collector):
    """The metrics and the health of one worker process, on this one of several databases.

    The metrics include the default registry of prometheus_client: memory and CPU of the process, and the metrics of
    handlers and libraries.
    """

    def __init__(self, database_name: str | None = None) -> None:
        self._labels = {} if database_name is None else {"database": database_name}
        self._worker: Worker | None = None
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def listener(self, backend: Backend, log: Listener) -> Listener:
        """Return the listener for the worker of this process, which calls `log` too."""
        metrics = WorkerMetrics(backend)
        self._registry.register(metrics)
        return _Listeners(metrics, log)

    def watch(self, worker: Worker) -> None:
        """Report the state of this worker."""
        self._worker = worker

    def collect(self) -> Iterable[Metric]:
        """Return the metrics of the worker itself, and of the default registry."""
        is_ready = int(self.unready() is None)
        yield self._gauge("server_jobs_worker_ready", "1 while this worker claims jobs, else 0.", is_ready)
        if self._worker is not None:
            slots = self._worker.concurrency
            yield self._gauge("server_jobs_worker_slots", "Jobs that this worker runs at most.", slots)
        yield from REGISTRY.collect()

    def _gauge(self, name: str, about: str, value: float) -> Metric:
        gauge = Metric(name, about, "gauge")
        gauge.add_sample(name, self._labels, value)
        return gauge

    def metrics(self) -> bytes:
        return generate_latest(self._registry)

    def stuck(self) -> str | None:
        return None if self._worker is None else self._worker.health.stuck()

    def unready(self) -> str | None:
        return (
            "the worker is starting, or waits for its database"
            if self._worker is None
            else self._worker.health.unready()
        )


class _Listeners:
    """Metrics and log as one listener. The metrics come first, so that they count whatever the log says."""

    def __init__(self, metrics: WorkerMetrics, log: Listener) -> None:
        self._metrics, self._log = metrics, log

    def started(self, claim: Claim) -> None:
        self._metrics.started(claim)
        self._log.started(claim)

    def ended(self, claim: Claim, outcome: Outcome, error: str | None, seconds: float) -> None:
        self._metrics.ended(claim, outcome, error, seconds)
        self._log.ended(claim, outcome, error, seconds)


class Processes(Protocol):
    """The worker processes of a supervisor."""

    def ages(self) -> Mapping[int, float]:
        """Return the running processes by number, each with the seconds since its start."""
        ...

    def unready(self) -> str | None:
        """Return why not all processes should work now, as a sentence; None if they should."""
        ...


@dataclass(frozen=True, slots=True)
class _Answer:
    """The answer of a process. `status` is None if it did not answer in time."""

    status: int | None
    text: str


class SupervisorEndpoint:
    """The metrics and the health of all processes of a supervisor. Each metric has the label `process`.

    `ports` are the ports of the processes at 127.0.0.1, by number.
    """

    def __init__(self, ports: Mapping[int, int]) -> None:
        self._ports = ports
        self._processes: Processes | None = None

    def watch(self, processes: Processes) -> None:
        """Report the state of these processes."""
        self._processes = processes

    def metrics(self) -> bytes:
        answers = self._ask(METRICS, _SECONDS_PER_SCRAPE, self._ages())
        texts = {number: one.text for number, one in answers.items() if one.status == HTTPStatus.OK}
        registry = CollectorRegistry()
        registry.register(_Merged(texts))
        return generate_latest(registry)

    def stuck(self) -> str | None:
        """Return why a process is stuck. A young process without an answer may be starting."""
        ages = self._ages()
        for number, answer in self._ask(LIVE, _SECONDS_PER_PROBE, ages).items():
            if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
                return f"worker[{number}]: {answer.text.strip()}"
            if answer.status is None and ages[number] > _SECONDS_TO_START:
                return f"worker[{number}] does not answer"
        return None

    def unready(self) -> str | None:
        """Return why not all processes claim jobs."""
        if self._processes is None:
            return "the supervisor is starting, or waits for the database"
        if reason := self._processes.unready():
            return reason
        answers = self._ask(READY, _SECONDS_PER_PROBE, self._ages())
        for number in self._ports:
            answer = answers.get(number)
            if answer is None or answer.status is None:
                return f"worker[{number}] is starting" if answer else f"worker[{number}] does not run"
            if answer.status != HTTPStatus.OK:
                return f"worker[{number}]: {answer.text.strip()}"
        return None

    def _ages(self) -> Mapping[int, float]:
        return {} if self._processes is None else self._processes.ages()

    def _ask(self, path: str, seconds: float, numbers: Collection[int]) -> dict[int, _Answer]:
        """Ask these processes at the same time."""
        if not numbers:
            return {}
        with ThreadPoolExecutor(len(numbers)) as threads:
            answers = threads.map(lambda number: _get(self._ports[number], path, seconds), sorted(numbers))
            return dict(zip(sorted(numbers), answers, strict=True))


def _get(port: int, path: str, seconds: float) -> _Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return _Answer(response.status, response.read().decode())
    except (OSError, http.client.HTTPException):
        return _Answer(None, "")
    finally:
        connection.close()


class _Merged(Collector):
    """The metrics of several texts, told apart by the label `process`."""

    def __init__(self, texts: Mapping[int, str]) -> None:
        self._texts = texts

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for number, text in self._texts.items():
            for one in text_string_to_metric_families(text):
                family = families.setdefault(one.name, Metric(one.name, one.documentation, one.type))
                family.samples += [
                    sample._replace(labels={**sample.labels, "process": str(number)}) for sample in one.samples
                ]
        yield from families.values()
