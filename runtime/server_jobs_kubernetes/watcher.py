"""The states of all pods of a worker, read with one request per round."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from contextvars import Context
from datetime import timedelta

from .cluster import CLAIM_LABEL, Cluster
from .errors import ClusterError
from .pod_state import PodState, state_of

_logger = logging.getLogger("server_jobs")

_MOST_CLAIMS = 100  # in one request, whose URL lists them
_LONGEST_PAUSE = 10.0


class PodWatcher:
    """Reads the states of the pods that somebody waits for, once per `interval`, and with pauses after errors."""

    def __init__(self, cluster: Cluster, interval: timedelta) -> None:
        self._cluster = cluster
        self._interval = interval.total_seconds()
        self._waiting: dict[asyncio.Future[PodState | None], str] = {}
        self._task: asyncio.Task[None] | None = None
        self._failures = 0

    async def next_state(self, digest: str) -> PodState | None:
        """Return the state of the pod of this claim in the next round; None if there is no pod.

        Waits as long as the API server does not answer.
        """
        answer: asyncio.Future[PodState | None] = asyncio.get_running_loop().create_future()
        self._waiting[answer] = digest
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._read_on(), context=Context())
        try:
            return await answer
        finally:
            self._waiting.pop(answer, None)

    async def close(self) -> None:
        """End the reading."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _read_on(self) -> None:
        while True:
            await asyncio.sleep(min(_LONGEST_PAUSE, self._interval * 2**self._failures))
            if not self._waiting:
                return
            asked = dict(self._waiting)  # a pod that somebody asks for from now on belongs to the next round
            try:
                states = await self._states(sorted(set(asked.values())))
            except ClusterError as error:
                self._note_failure(error)
                continue
            self._note_success()
            for answer, digest in asked.items():
                if not answer.done():
                    answer.set_result(states.get(digest))

    async def _states(self, digests: list[str]) -> dict[str, PodState]:
        states: dict[str, PodState] = {}
        for start in range(0, len(digests), _MOST_CLAIMS):
            for pod in await self._cluster.pods_of(digests[start : start + _MOST_CLAIMS]):
                labels = (pod.metadata.labels if pod.metadata is not None else None) or {}
                states[labels.get(CLAIM_LABEL, "")] = state_of(pod)
        return states

    def _note_failure(self, error: ClusterError) -> None:
        if not self._failures:
            _logger.error("the pods of this worker cannot be read, trying again: %s", error)
        self._failures = min(self._failures + 1, 10)

    def _note_success(self) -> None:
        if self._failures:
            _logger.warning("the pods of this worker can be read again")
        self._failures = 0
