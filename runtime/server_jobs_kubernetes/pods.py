"""Run the claims of a worker in pods."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta
from types import TracebackType

from server_jobs.domain.clock import exact_length
from server_jobs.errors import DatabaseError

from .claims import ClaimName, PodAttempt, PodFailedError
from .cluster import Cluster
from .errors import ClusterError
from .manifest import PodSettings, manifest_of, name_of
from .pod_state import Crashed, PodState, Running, Succeeded, Waiting
from .watcher import PodWatcher

_logger = logging.getLogger("server_jobs")

_CREATE_PAUSE, _LONGEST_PAUSE = 1.0, 10.0
_DELETE_SECONDS = 5.0
_LIKELY = "it was deleted, its node was drained, or its deadline was over"


class KubernetesPods:
    """One Kubernetes Job per claim.

    `interval` is the time between two reads of the states of all pods.

        settings = PodSettings(spec=pod_spec_of("shop/jobs:1", secret="shop"))
        async with connect(registry) as backend, Cluster() as cluster, KubernetesPods(cluster, settings) as pods:
            await cluster.check_access()
            backend.execution.attempt_factory.places["kubernetes"] = InPod(pods, backend.execution.store)
            worker = Worker(backend)
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
            await worker.run()
    """

    def __init__(self, cluster: Cluster, settings: PodSettings, *, interval: timedelta = timedelta(seconds=1)) -> None:
        self._cluster = cluster
        self._settings = settings
        self._watcher = PodWatcher(cluster, interval)

    async def __aenter__(self) -> KubernetesPods:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._watcher.close()

    async def run(self, attempt: PodAttempt) -> None:
        """As in `Pods`."""
        await _PodRun(self._cluster, self._watcher, self._settings, attempt).run()


class _PodRun:
    """One claim in its pod, from the creation of the Kubernetes Job to its end."""

    def __init__(self, cluster: Cluster, watcher: PodWatcher, settings: PodSettings, attempt: PodAttempt) -> None:
        self._cluster = cluster
        self._watcher = watcher
        self._settings = settings
        self._attempt = attempt
        self._claim = attempt.claim
        self._digest = ClaimName.of(attempt.claim).digest
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + settings.start_timeout.total_seconds()
        self._is_handed_over = False

    async def run(self) -> None:
        """Return when the outcome is stored. Raises `PodFailedError`."""
        try:
            await self._create()
            await self._until_over(await self._until_started())
        except PodFailedError:
            raise
        except BaseException:
            if not self._is_handed_over:
                await self._delete()
            raise
        await self._delete()

    async def _create(self) -> None:
        """Create the Kubernetes Job, also if the API server is away for a while, or has no room."""
        manifest = manifest_of(self._attempt, self._settings)
        pause = _CREATE_PAUSE
        while True:
            try:
                await self._cluster.create_job(manifest)
            except ClusterError as error:
                if error.is_refused or self._loop.time() > self._deadline:
                    raise self._failed(f"could not be created: {error}") from error
                _logger.warning("%s %s: %s", self._claim.job_name, self._claim.id, error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                return

    async def _until_started(self) -> PodState:
        """Return the state of the pod once its container has started, or has ended already."""
        reason = "the cluster has not created it; see kubectl get events"
        has_pod = False
        while True:
            state = await self._watcher.next_state(self._digest)
            match state:
                case Running() | Succeeded() | Crashed():
                    return state
                case Waiting(is_hopeless=True):
                    await self._delete()
                    raise self._failed(f"did not start: {state.reason}")
                case Waiting():
                    reason, has_pod = state.reason, True
                case None if has_pod:
                    raise self._failed(f"disappeared before it started; {_LIKELY}")
                case None:
                    pass
            if self._loop.time() > self._deadline:
                await self._delete()
                raise self._failed(f"did not start within {exact_length(self._settings.start_timeout)}: {reason}")

    async def _until_over(self, started: PodState) -> None:
        """Return when the pod has succeeded, or its claim is not the newest any more."""
        state: PodState | None = started
        lease = self._attempt.lease.total_seconds()
        checked = self._loop.time() + self._settings.boot_timeout.total_seconds()
        while True:
            match state:
                case Succeeded():
                    return
                case Crashed(reason=reason, runs_on=runs_on):
                    if runs_on:  # the cluster would keep the pod
                        await self._delete()
                    raise self._failed(reason)
                case Running() | Waiting() if not self._is_handed_over:
                    self._is_handed_over = True
                    await self._attempt.hand_over(self._settings.boot_timeout)
                case None if await self._claim_is_newest():
                    raise self._failed(f"disappeared; {_LIKELY}")
                case None:
                    return
                case Running() | Waiting():
                    pass
            if self._loop.time() - checked > lease:
                checked = self._loop.time()
                if not await self._claim_is_newest():
                    return
            state = await self._watcher.next_state(self._digest)

    async def _claim_is_newest(self) -> bool:
        try:
            return await self._attempt.is_current()
        except DatabaseError:
            return True  # a write under an older claim is refused anyway

    async def _delete(self) -> None:
        """Delete the Kubernetes Job. If that fails, the pod finds its claim lost, and the cluster deletes it later."""
        name = name_of(self._claim.job_name, ClaimName.of(self._claim))
        with suppress(TimeoutError):
            try:
                async with asyncio.timeout(_DELETE_SECONDS):
                    await self._cluster.delete_job(name)
            except ClusterError as error:
                _logger.warning("the Job %s was not deleted, its time to live will end it: %s", name, error)

    def _failed(self, reason: str) -> PodFailedError:
        return PodFailedError(self._claim.job_name, reason)
