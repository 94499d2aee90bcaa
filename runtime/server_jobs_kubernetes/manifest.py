"""The Kubernetes Job of a claim."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

from lightkube.resources.core_v1 import Pod
from server_jobs.definition import AnyDefinition

from .claims import ClaimName, PodAttempt
from .cluster import CLAIM_LABEL, JOB_LABEL, MANAGED
from .pod_options import PodOptions
from .pod_state import CONTAINER

DEFAULT_START_TIMEOUT = timedelta(minutes=5)
_KILLED_AFTER = timedelta(seconds=2)
"""Time for the pod to release its job after the drain timeout."""

Manifest = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSettings:
    """How the pods of a worker look and run.

    `spec` is the pod spec to start from, with one container. A job may have another image in its spec, and its own
    resources. A pod that has not started after `start_timeout` fails the attempt. When its container has started, a pod
    has a lease and `boot_timeout` to import the project. `drain_timeout` is the time of a handler to finish when its
    pod is stopped. The cluster deletes a pod that crashed after `keep_failed`. `options` are further arguments of
    `server-jobs run`.
    """

    spec: Mapping[str, object] = field(default_factory=dict[str, object])
    start_timeout: timedelta = DEFAULT_START_TIMEOUT
    boot_timeout: timedelta = timedelta(minutes=1)
    drain_timeout: timedelta = timedelta(seconds=8)
    keep_failed: timedelta = timedelta(minutes=10)
    options: tuple[str, ...] = ()


def name_of(job_name: str, claim: ClaimName) -> str:
    """Return the name of the Kubernetes Job of this claim."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "-", job_name).strip("-").lower()
    return f"{words[:30].rstrip('-') or 'job'}-{claim.digest}"


def manifest_of(attempt: PodAttempt, settings: PodSettings) -> Manifest:
    """Return the Kubernetes Job that runs the claim of this attempt."""
    claim, job, lease = attempt.claim, attempt.job, attempt.lease
    name = ClaimName.of(claim)
    labels = {
        MANAGED[0]: MANAGED[1],
        JOB_LABEL: _label(claim.id),
        "server-jobs/job-name": _label(claim.job_name),
        "server-jobs/attempt": str(claim.attempt),
        CLAIM_LABEL: name.digest,
    }
    spec: Manifest = {
        "backoffLimit": 0,
        "ttlSecondsAfterFinished": _seconds(settings.keep_failed),
        "template": _template(labels, _container(name, job, lease, settings), settings),
    }
    if job.options.timeout is not None:
        # The pod itself ends a handler that is late. This ends a pod that cannot.
        late = settings.start_timeout + job.options.timeout + settings.drain_timeout + 2 * lease
        spec["activeDeadlineSeconds"] = _seconds(late)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name_of(claim.job_name, name), "labels": labels},
        "spec": spec,
    }


def spec_like(pod: Pod) -> Manifest:
    """Return the pod spec for jobs of the worker in this pod: with its image, its environment and its volumes.

    The container of the worker is the default one for kubectl: the one in the annotation, which a service mesh sets, or
    else the first. The token of its service account stays behind, so that handlers cannot start pods.
    """
    spec = cast("Manifest", pod.to_dict().get("spec") or {})
    default = ((pod.metadata.annotations if pod.metadata is not None else None) or {}).get(_DEFAULT_CONTAINER)
    containers = cast("list[Manifest]", spec["containers"])
    own = next((one for one in containers if one["name"] == default), containers[0])
    container = {key: own[key] for key in _SHARED_BY_CONTAINERS if key in own}
    all_mounts = cast("list[Manifest]", own.get("volumeMounts") or [])
    mounts = [mount for mount in all_mounts if not str(mount["mountPath"]).startswith(_TOKENS)]
    container["volumeMounts"] = mounts
    used = {mount["name"] for mount in mounts}
    shared = {key: spec[key] for key in _SHARED_BY_PODS if key in spec}
    volumes = [one for one in cast("list[Manifest]", spec.get("volumes") or []) if one["name"] in used]
    return {**shared, "volumes": volumes, "containers": [container]}


def pod_spec_of(image: str, secret: str) -> Manifest:
    """Return the pod spec for jobs of a worker outside of the cluster: an image, and a Secret with its environment."""
    container: Manifest = {
        "image": image,
        "envFrom": [{"secretRef": {"name": secret}}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return {"containers": [container]}


_SHARED_BY_CONTAINERS = ("env", "envFrom", "image", "imagePullPolicy", "resources", "securityContext", "workingDir")
_SHARED_BY_PODS = ("imagePullSecrets", "nodeSelector", "securityContext", "serviceAccountName", "tolerations")
_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
_TOKENS = "/var/run/secrets/kubernetes.io/"


def _template(labels: Mapping[str, str], container: Manifest, settings: PodSettings) -> Manifest:
    """Return the pod template: the spec of the settings, with the container of the job over its container."""
    (shared, *_) = cast("list[Manifest]", settings.spec.get("containers") or [{}])
    return {
        "metadata": {"labels": dict(labels)},
        "spec": {
            **settings.spec,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": _seconds(settings.drain_timeout + _KILLED_AFTER),
            "containers": [{**shared, **container}],
        },
    }


def _container(name: ClaimName, job: AnyDefinition, lease: timedelta, settings: PodSettings) -> Manifest:
    arguments = ("run", "--claim", str(name), "--lease", _text(lease))
    drain = ("--drain-timeout", _text(settings.drain_timeout))
    container: Manifest = {
        "name": CONTAINER,
        "command": [_literal(word) for word in ("server-jobs", *arguments, *drain, *settings.options)],
        # The last lines of the log are the reason in the error of an attempt that crashed.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    options = PodOptions.of(job.options)
    if options.image is not None:
        container["image"] = options.image
    if options.requests or options.limits:
        stated = {"requests": options.requests, "limits": options.limits}
        container["resources"] = {part: dict(quantities) for part, quantities in stated.items() if quantities}
    return container


def _literal(word: str) -> str:
    """Return a word of a command in which Kubernetes expands no `$(VARIABLE)`."""
    return word.replace("$", "$$")


def _label(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "-", text)[:63].strip("-_.")


def _seconds(length: timedelta) -> int:
    return math.ceil(length.total_seconds())


def _text(length: timedelta) -> str:
    return f"{length.total_seconds():.3f}s"
