"""The pods of a worker, for jobs with `"runIn": "kubernetes"`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from server_jobs.engine.backend import Backend
from server_jobs.engine.sharded.shard_backend import shard_backends
from server_jobs.errors import ClusterError, InvalidOptionError
from server_jobs.isolation.pods import NoPods

from .starting import WorkerOptions

POD_VARIABLE = "JOBS_POD"
"""Name of the environment variable with the name of the pod of this worker."""


@asynccontextmanager
async def pods_of(backend: Backend, options: WorkerOptions) -> AsyncIterator[None]:
    """Let the worker of this backend start pods while the block runs, if a job needs them.

    Raises `ClusterError` if the cluster cannot be reached or a permission is missing.
    """
    jobs = backend.attempt_factory.jobs_for_pods(backend.name, options.queues)
    if not jobs:
        if backend.attempt_factory.jobs_for_pods(backend.name):
            backend.attempt_factory.pods = NoPods()
        yield
        return
    if shard_backends(backend):
        raise InvalidOptionError(
            f'"runIn": "kubernetes" of {jobs} does not work with several databases; use another runIn, or one database'
        )
    # An extra.
    from server_jobs.integrations.kubernetes import Cluster, KubernetesPods, OrphanedPods, PodSettings, spec_like

    async with Cluster() as cluster:
        await cluster.check_access()
        settings = PodSettings(
            spec=spec_like(await cluster.pod(_own_pod())),
            start_timeout=options.pod_start_timeout,
            drain_timeout=options.drain_timeout,
            options=("--log-level", options.log_level, *(("--json",) if options.as_json else ())),
        )
        async with KubernetesPods(cluster, settings, interval=options.poll_interval) as pods:
            backend.attempt_factory.pods = pods
            async with OrphanedPods(cluster, backend):
                yield


def _own_pod() -> str:
    name = os.environ.get(POD_VARIABLE)
    if not name:
        raise ClusterError(
            f"{POD_VARIABLE} is not set, and the pods of jobs get the image and the environment of the pod of their "
            "worker; set it to metadata.name with a fieldRef, see docs/how-to/kubernetes-jobs.md"
        )
    return name
