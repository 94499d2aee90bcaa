"""Pods whose worker died: another worker stores why a pod failed, and deletes a pod that can do nothing any more."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from contextvars import Context
from types import TracebackType

from lightkube.resources.core_v1 import Pod
from server_jobs.engine.backend import Backend
from server_jobs.errors import ServerJobsError

from .claims import ClaimName, PodAttempt, PodFailedError
from .cluster import CLAIM_LABEL, JOB_LABEL, Cluster
from .errors import ClusterError
from .manifest import name_of
from .place import InPod
from .pod_state import Crashed, PodState, Waiting, state_of
from .taking_over import take_over

_logger = logging.getLogger("server_jobs")

_ROUNDS_PER_LEASE = 4


class OrphanedPods:
    """Fails the attempts of crashed pods that no worker watches, while its block runs.

    Deletes a pod that has not started if its job has a newer claim or is finished.

    The worker of a pod sees its end within seconds, so a crashed pod that has no outcome in the next round is an
    orphan. The first round, at the start, takes every crashed pod for one: this worker may follow one that died. The
    fencing token decides between two workers that find the same pod.
    """

    def __init__(self, cluster: Cluster, backend: Backend) -> None:
        self._cluster = cluster
        self._backend = backend
        self._pause = backend.config.lease.total_seconds() / _ROUNDS_PER_LEASE
        self._seen: set[ClaimName] = set()
        self._settled: set[ClaimName] = set()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> OrphanedPods:
        await self.look(at_once=True)
        self._task = asyncio.get_running_loop().create_task(self._watch(), context=Context())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def look(self, *, at_once: bool = False) -> None:
        """Take a round: fail the attempts of orphans that the last round has seen too, or of all with `at_once`."""
        states = await self._states()
        for name, state in states.items():
            match state:
                case Crashed(reason=reason) if at_once or name in self._seen:
                    await self._fail(name, reason)
                case Waiting():
                    await self._delete_if_superseded(name)
                case _:
                    pass
        self._seen = set(states)
        self._settled &= self._seen

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._pause)
            await self.look()

    async def _states(self) -> dict[ClaimName, PodState]:
        """Return the states of the pods that this worker does not watch."""
        try:
            pods = await self._cluster.pods_not_running()
        except ClusterError:
            return {}  # the watcher of the pods logs it
        own = {ClaimName.of(attempt.claim) for attempt in self._backend.execution.runner.attempts()}
        return {name: state_of(pod) for pod in pods if (name := _claim_of(pod)) not in own}

    async def _fail(self, name: ClaimName, reason: str) -> None:
        if name in self._settled:
            return
        try:
            execution = self._backend.execution
            if (attempt := await take_over(execution, name)) is not None:
                attempt.place = InPod(_CrashedPod(reason), execution.store)
                await execution.run(attempt)
        except ServerJobsError as error:
            _logger.warning("job %s: the failure of its pod was not stored: %s", name.job_id, error)
        else:
            self._settled.add(name)

    async def _delete_if_superseded(self, name: ClaimName) -> None:
        with suppress(ServerJobsError):  # tried again in the next round
            record = await self._backend.store.get(name.job_id)
            # Without a record, the pod may belong to another database.
            if record is not None and not name.is_newest(record):
                await self._cluster.delete_job(name_of(record.job_name, name))


class _CrashedPod:
    """A pod that has crashed, in the place of the cluster."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    async def run(self, attempt: PodAttempt) -> None:
        raise PodFailedError(attempt.claim.job_name, self._reason)


def _claim_of(pod: Pod) -> ClaimName:
    labels = (pod.metadata.labels if pod.metadata is not None else None) or {}
    return ClaimName(labels.get(JOB_LABEL, ""), labels.get(CLAIM_LABEL, ""))
