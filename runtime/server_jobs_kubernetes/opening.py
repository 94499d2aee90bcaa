"""The pods of a worker inside a cluster: they get its image and its environment."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from server_jobs.engine.backend import Backend
from server_jobs.errors import InvalidOptionError
from server_jobs.isolation.place_kinds import PlaceSettings
from server_jobs.named_databases import NamedBackend

from .cluster import Cluster
from .errors import ClusterError
from .manifest import DEFAULT_START_TIMEOUT, PodSettings, spec_like
from .orphans import OrphanedPods
from .place import InPod
from .pods import KubernetesPods

POD_VARIABLE = "JOBS_POD"
"""Name of the environment variable with the name of the pod of this worker."""
START_TIMEOUT_VARIABLE = "JOBS_POD_START_TIMEOUT"
"""Name of the environment variable with the time that a pod has to start, such as `15m`."""
_ANSWER_SECONDS = 10.0


@asynccontextmanager
async def open_pods(settings: PlaceSettings) -> AsyncIterator[InPod]:
    """Open the place for a worker in a pod, and fail the attempts of orphaned pods while the block runs.

    Raises `ClusterError` if there is no access to a cluster, a permission is missing, or the API server is away.
    """
    backend = settings.backend
    async with Cluster() as cluster:
        pod_settings = await _pod_settings(cluster, settings, _own_pod())
        async with (
            KubernetesPods(cluster, pod_settings, interval=settings.poll_interval) as pods,
            OrphanedPods(cluster, backend),
        ):
            yield InPod(pods, backend.execution.store)


async def _pod_settings(cluster: Cluster, settings: PlaceSettings, own_pod: str) -> PodSettings:
    start_timeout = _start_timeout()
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            await cluster.check_access()
            own = await cluster.pod(own_pod)
    except TimeoutError:
        text = f"the API server did not answer within {_ANSWER_SECONDS:g} s"
        raise ClusterError(text, is_away=True) from None
    log = ("--log-level", settings.log_level, *(("--json",) if settings.logs_json else ()))
    return PodSettings(
        spec=spec_like(own),
        start_timeout=start_timeout,
        drain_timeout=settings.drain_timeout,
        options=(*_database(settings.backend), *log),
    )


def _database(backend: Backend) -> Sequence[str]:
    """Return the option that chooses the database of this backend, if the project names several."""
    return ("--database", backend.database_name) if isinstance(backend, NamedBackend) else ()


def _start_timeout() -> timedelta:
    text = os.environ.get(START_TIMEOUT_VARIABLE)
    if not text:
        return DEFAULT_START_TIMEOUT
    from click import BadParameter  # few workers set the variable
    from server_jobs_cli.console.options import duration

    try:
        return duration(text)
    except BadParameter as error:
        raise InvalidOptionError(f"{START_TIMEOUT_VARIABLE}: {error.message}") from None


def _own_pod() -> str:
    name = os.environ.get(POD_VARIABLE)
    if not name:
        raise ClusterError(
            f"{POD_VARIABLE} is not set, and the pods of jobs get the image and the environment of the pod of their "
            "worker; set it to metadata.name with a fieldRef, see docs/how-to/kubernetes-jobs.md"
        )
    return name
