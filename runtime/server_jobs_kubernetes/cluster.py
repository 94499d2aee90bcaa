"""The API server of a Kubernetes cluster: the few requests that a worker makes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import cast

from httpx2 import HTTPError, HTTPStatusError
from lightkube import ApiError, AsyncClient
from lightkube.core.exceptions import ConfigError
from lightkube.models.authorization_v1 import ResourceAttributes, SelfSubjectAccessReviewSpec
from lightkube.operators import not_in
from lightkube.resources.authorization_v1 import SelfSubjectAccessReview
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Pod
from lightkube.types import CascadeType

from .errors import ClusterError

CLAIM_LABEL, JOB_LABEL = "server-jobs/claim", "server-jobs/job-id"
MANAGED = ("app.kubernetes.io/managed-by", "server-jobs")
"""The label of all pods of jobs."""
PERMISSIONS = (("batch", "jobs", "create"), ("batch", "jobs", "delete"), ("", "pods", "get"), ("", "pods", "list"))
"""The permissions that the service account of a worker needs: API group, resource and verb."""
_GONE, _EXISTS = 404, "AlreadyExists"
# A token may be replaced; the others say so themselves.
_MAY_CHANGE = (401, 408, 409, 429)
_OVERLOADED = (408, 429)
_QUOTA = "exceeded quota"
"""In the reason of a 403, which becomes another one when jobs end."""
# lightkube raises the last two for an answer that no API server gives, such as the page of a proxy.
_FAILURES = (HTTPError, ConfigError, ValueError, LookupError)
_DONE_OR_AT_WORK = ("Running", "Succeeded")


class Cluster:
    """A connection to the API server, with the service account of this pod, or else with `KUBECONFIG`.

    Raises `ClusterError` if there is no configuration. Close it with `async with`.
    """

    def __init__(self, client: AsyncClient | None = None) -> None:
        try:
            self._client = client or AsyncClient()
        except (ConfigError, OSError, KeyError, AssertionError) as error:
            place = os.environ.get("KUBECONFIG") or "no service account is mounted, and KUBECONFIG is not set"
            raise ClusterError(f"there is no access to a Kubernetes cluster ({place}): {error}") from error
        self.namespace = str(self._client.namespace)
        """The namespace of the pods, from the service account or from the context of the configuration."""

    async def __aenter__(self) -> Cluster:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def check_access(self) -> None:
        """Raise `ClusterError` if the role of this worker lacks a permission; the message names each."""
        missing = [
            f"{verb} {resource}" for group, resource, verb in PERMISSIONS if not await self._may(group, resource, verb)
        ]
        if missing:
            raise ClusterError(
                f"this worker may not {', '.join(missing)} in the namespace {self.namespace}; "
                "bind its service account to a Role with these verbs, see docs/how-to/kubernetes-jobs.md",
                is_refused=True,
            )

    async def _may(self, group: str, resource: str, verb: str) -> bool:
        attributes = ResourceAttributes(group=group, resource=resource, verb=verb, namespace=self.namespace)
        review = SelfSubjectAccessReview(spec=SelfSubjectAccessReviewSpec(resourceAttributes=attributes))
        try:
            answer = await self._client.create(review)
        except _FAILURES as error:
            raise _error_of("check its permissions", error) from error
        return answer.status is not None and answer.status.allowed

    async def pod(self, name: str) -> Pod:
        """Return the pod with this name."""
        try:
            return await self._client.get(Pod, name)
        except _FAILURES as error:
            raise _error_of(f"read the pod {name}", error) from error

    async def create_job(self, manifest: Mapping[str, object]) -> None:
        """Create a Kubernetes Job. Does nothing if an earlier call, whose answer was lost, has created it."""
        job = cast("Job", Job.from_dict(dict(manifest)))
        try:
            await self._client.create(job)
        except _FAILURES as error:
            if not (isinstance(error, ApiError) and error.status.reason == _EXISTS):
                raise _error_of("create a Job", error) from error

    async def delete_job(self, name: str) -> None:
        """Delete a Kubernetes Job and its pods. Does nothing if it is gone."""
        try:
            await self._client.delete(Job, name, cascade=CascadeType.BACKGROUND)
        except _FAILURES as error:
            if not (isinstance(error, ApiError) and error.response.status_code == _GONE):
                raise _error_of(f"delete the Job {name}", error) from error

    async def pods_of(self, claims: Iterable[str]) -> list[Pod]:
        """Return the pods with one of these values in `CLAIM_LABEL`."""
        try:
            return [pod async for pod in self._client.list(Pod, labels={CLAIM_LABEL: list(claims)})]
        except _FAILURES as error:
            raise _error_of("list pods", error) from error

    async def pods_not_running(self) -> list[Pod]:
        """Return the pods of jobs that have not started or have failed, of all workers in the namespace."""
        label, value = MANAGED
        try:
            found = self._client.list(Pod, labels={label: [value]}, fields={"status.phase": not_in(_DONE_OR_AT_WORK)})
            return [pod async for pod in found]
        except _FAILURES as error:
            raise _error_of("list pods", error) from error


def _status_error(error: BaseException | None) -> HTTPStatusError | None:
    """Return the answer with an error status, which lightkube may have failed to read."""
    while error is not None and not isinstance(error, HTTPStatusError):
        error = error.__context__
    return error


def _error_of(what: str, error: Exception) -> ClusterError:
    refusal = _status_error(error)
    if refusal is None:
        problem = f"{type(error).__name__}: {error}"
        if isinstance(error, HTTPError | ConfigError):
            text = f"the API server did not answer a request to {what}: {problem}"
            return ClusterError(text, is_away=isinstance(error, HTTPError))
        text = f"the answer of the API server to a request to {what} cannot be read: {problem}"
        return ClusterError(text, is_away=True)  # a proxy answers for it
    status = refusal.response.status_code
    reason = (refusal.status.message if isinstance(refusal, ApiError) else None) or refusal.response.reason_phrase
    is_refused = 400 <= status < 500 and status not in _MAY_CHANGE and _QUOTA not in reason
    is_away = status >= 500 or status in _OVERLOADED
    text = f"the API server answered {status} to a request to {what}: {reason}"
    return ClusterError(text, is_refused=is_refused, is_away=is_away)
