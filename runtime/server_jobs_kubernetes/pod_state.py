"""The state of a pod, as far as the attempt in it is concerned, and its reason in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lightkube.models.core_v1 import ContainerStateTerminated, ContainerStatus
from lightkube.resources.core_v1 import Pod

CONTAINER = "job"
"""The name of the container with the job."""

# The kubelet goes on trying, but only a person or another attempt helps.
_HOPELESS = frozenset(
    {
        *("CreateContainerConfigError", "CreateContainerError", "ErrImageNeverPull", "ImagePullBackOff"),
        *("InvalidImageName", "RunContainerError"),
    }
)
_MOST_MESSAGE = 2_000


@dataclass(frozen=True, slots=True)
class Waiting:
    """The container has not started. `is_hopeless`: it will not start without a change."""

    reason: str
    is_hopeless: bool = False


@dataclass(frozen=True, slots=True)
class Running:
    """The container runs, or may run: its node does not answer."""


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The container exited with status 0: the outcome is stored."""


@dataclass(frozen=True, slots=True)
class Crashed:
    """The container of the job ended without an outcome. `runs_on`: another container of the pod did not end."""

    reason: str
    runs_on: bool = False


PodState = Waiting | Running | Succeeded | Crashed


def state_of(pod: Pod) -> PodState:
    """Return the state of a pod, from its phase and the state of the container of the job."""
    status = pod.status
    container = _container_of_the_job(pod)
    terminated = container.state.terminated if container is not None and container.state is not None else None
    match status.phase if status is not None else None:
        case "Succeeded":
            return Succeeded()
        case "Failed":
            return Crashed("; ".join(_reasons(pod, terminated)) or "failed for an unknown reason")
        # Another container runs on, such as the proxy of a service mesh, which the cluster has added.
        case "Running" if terminated is not None:
            reason = "; ".join(_reasons(pod, terminated))
            return Crashed(reason, runs_on=True) if terminated.exitCode else Succeeded()
        case "Running" | "Unknown":
            return Running()
        case _:
            return _waiting(pod, container)


def _container_of_the_job(pod: Pod) -> ContainerStatus | None:
    statuses = (pod.status.containerStatuses if pod.status is not None else None) or []
    return next((one for one in statuses if one.name == CONTAINER), None)


def _waiting(pod: Pod, container: ContainerStatus | None) -> Waiting:
    waiting = container.state.waiting if container is not None and container.state is not None else None
    if waiting is not None and waiting.reason:
        return Waiting(_with_message(waiting.reason, waiting.message), waiting.reason in _HOPELESS)
    for condition in (pod.status.conditions if pod.status is not None else None) or []:
        if condition.type == "PodScheduled" and condition.status == "False":
            return Waiting(_with_message(condition.reason or "not scheduled", condition.message))
    return Waiting("its container is not created yet")


def _reasons(pod: Pod, terminated: ContainerStateTerminated | None) -> Iterator[str]:
    """Yield why a pod failed: the disruption, the reason of the kubelet, and the end of the container."""
    status = pod.status
    for condition in (status.conditions if status is not None else None) or []:
        if condition.type == "DisruptionTarget" and condition.status == "True":
            yield f"was disrupted: {_with_message(condition.reason or '', condition.message)}"
    if status is not None and status.reason:
        yield f"was ended: {_with_message(status.reason, status.message)}"
    if terminated is not None:
        yield _end_of(terminated)


def _end_of(terminated: ContainerStateTerminated) -> str:
    code = terminated.exitCode
    signal = f" (signal {code - 128})" if code > 128 else ""
    if terminated.reason == "OOMKilled":
        return f"was killed because it used more memory than its limit: OOMKilled, exit code {code}{signal}"
    return _with_message(f"exited with code {code}{signal} before it stored an outcome", terminated.message)


def _with_message(reason: str, message: str | None) -> str:
    text = (message or "").strip()[-_MOST_MESSAGE:]
    return f"{reason}: {text}" if text else reason
