"""The pods of a worker, for jobs with `"runIn": "kubernetes"`."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from server_jobs.engine.backend import Backend
from server_jobs.errors import ClusterError
from server_jobs.named_databases import NamedBackend

from .starting import WorkerOptions
from .worker_log import EVENTS

POD_VARIABLE = "JOBS_POD"
"""Name of the environment variable with the name of the pod of this worker."""
_AWAY = {"event": "cluster_away"}
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 10.0
_ANSWER_SECONDS = 10.0

_logger = logging.getLogger(EVENTS)


@asynccontextmanager
async def pods_of(backend: Backend, options: WorkerOptions) -> AsyncIterator[None]:
    """Let the worker of this backend start pods while the block runs, if a job needs them.

    If the API server is away, the worker claims no job for pods until it answers, and runs its other jobs. Raises
    `ClusterError` if there is no access to a cluster or a permission is missing.
    """
    jobs = backend.execution.attempt_factory.jobs_for_pods(backend.name, options.queues)
    if not jobs:
        if backend.execution.attempt_factory.jobs_for_pods(backend.name):
            _await_pods(backend)
        yield
        return
    async with AsyncExitStack() as parts:
        start = await _start_of(parts, backend, options)
        try:
            await start()
        except ClusterError as error:
            if not error.is_away:
                raise
            _logger.error("the API server is away, so these jobs wait: %s: %s", ", ".join(jobs), error, extra=_AWAY)  # noqa: TRY400  one line
            _await_pods(backend)
            backend.execution.attempt_factory.unready = frozenset(jobs)
            parts.push_async_callback(_cancelled, asyncio.create_task(_start_later(start, backend)))
        yield


def _await_pods(backend: Backend) -> None:
    """Start no pods yet."""
    from server_jobs.isolation.pods import NoPods  # few workers need pods

    backend.execution.attempt_factory.pods = NoPods()


async def _start_of(parts: AsyncExitStack, backend: Backend, options: WorkerOptions) -> Callable[[], Awaitable[None]]:
    """Return a function that starts the pods, until `parts` are closed. It raises `ClusterError`."""
    from server_jobs_kubernetes import (  # an extra
        Cluster,
        KubernetesPods,
        OrphanedPods,
        PodSettings,
        spec_like,
    )

    cluster = await parts.enter_async_context(Cluster())
    own_pod = _own_pod()

    async def start() -> None:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await cluster.check_access()
                own = await cluster.pod(own_pod)
        except TimeoutError:
            text = f"the API server did not answer within {_ANSWER_SECONDS:g} s"
            raise ClusterError(text, is_away=True) from None
        settings = PodSettings(
            spec=spec_like(own),
            start_timeout=options.pod_start_timeout,
            drain_timeout=options.drain_timeout,
            options=(*_database(backend), "--log-level", options.log_level, *(("--json",) if options.as_json else ())),
        )
        pods = KubernetesPods(cluster, settings, interval=options.poll_interval)
        backend.execution.attempt_factory.pods = await parts.enter_async_context(pods)
        await parts.enter_async_context(OrphanedPods(cluster, backend))

    return start


def _database(backend: Backend) -> Sequence[str]:
    """Return the option that chooses the database of this backend, if the project names several."""
    return ("--database", backend.database_name) if isinstance(backend, NamedBackend) else ()


async def _start_later(start: Callable[[], Awaitable[None]], backend: Backend) -> None:
    """Start the pods once the API server answers. A refusal is logged once, and tried again as well."""
    pause, refusal = _FIRST_PAUSE, ""
    while True:
        await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  spreads load only
        pause = min(_LONGEST_PAUSE, pause * 2)
        try:
            await start()
        except ClusterError as error:
            if not error.is_away and str(error) != refusal:
                refusal = str(error)
                _logger.error("jobs for pods cannot run, trying again: %s", error)  # noqa: TRY400  one line
        else:
            backend.execution.attempt_factory.unready = frozenset()
            _logger.warning("the API server answers, and jobs for pods run", extra={"event": "cluster_back"})
            return


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _own_pod() -> str:
    name = os.environ.get(POD_VARIABLE)
    if not name:
        raise ClusterError(
            f"{POD_VARIABLE} is not set, and the pods of jobs get the image and the environment of the pod of their "
            "worker; set it to metadata.name with a fieldRef, see docs/how-to/kubernetes-jobs.md"
        )
    return name
