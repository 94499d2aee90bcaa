"""The Kubernetes Job of a claim, and the words for the state of its pod."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import kubernetes_validate
import pytest
from lightkube.resources.core_v1 import Pod
from server_jobs import JobOptions
from server_jobs.definition import AnyDefinition
from server_jobs.domain.record import Claim
from server_jobs_kubernetes.claims import ClaimName
from server_jobs_kubernetes.manifest import PodSettings, manifest_of, pod_spec_of, spec_like
from server_jobs_kubernetes.pod_state import Crashed, PodState, Running, Succeeded, Waiting, state_of

from tests.runtime.example_jobs import echo, text_job

from .cluster import VERSION
from .pod_process import expanded

CLAIM = Claim(
    id="01a22bce-6d56-7000-8252-e68841e89cef",
    job_name="RenderReport",
    spec_version=1,
    params='{"text":"a secret"}',
    attempt=2,
    max_attempts=3,
    correlation_id=None,
    token="the-token-of-this-claim",
)


class Attempt:
    """An attempt of a worker."""

    claim = CLAIM
    lease = timedelta(seconds=60)

    def __init__(self, **options: Any) -> None:
        self.job: AnyDefinition = text_job(echo, options=JobOptions(run_in="kubernetes", **options))

    async def hand_over(self, boot: timedelta) -> None:
        """Do nothing."""

    async def is_current(self) -> bool:
        return True


SETTINGS = PodSettings(spec=pod_spec_of("shop:1", secret="shop"))


def container_of(manifest: dict[str, Any]) -> dict[str, Any]:
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    return dict(container)


def test_the_job_fits_the_official_schema() -> None:
    resources = {"requests": {"cpu": "500m"}, "limits": {"memory": "2Gi", "nvidia.com/gpu": "1"}}
    manifest: Any = manifest_of(
        Attempt(timeout=timedelta(hours=1), place_options={"image": "shop/gpu:2", "resources": resources}), SETTINGS
    )
    kubernetes_validate.validate(manifest, VERSION, strict=True)
    assert container_of(manifest)["image"] == "shop/gpu:2"
    assert container_of(manifest)["resources"] == {
        "requests": {"cpu": "500m"},
        "limits": {"memory": "2Gi", "nvidia.com/gpu": "1"},
    }
    assert manifest["spec"]["backoffLimit"] == 0
    assert manifest["spec"]["activeDeadlineSeconds"] == 3600 + 300 + 8 + 2 * 60
    assert len(manifest["metadata"]["name"]) <= 63


def test_the_job_names_its_claim_and_holds_neither_params_nor_token() -> None:
    manifest: Any = manifest_of(Attempt(), SETTINGS)
    text = json.dumps(manifest)
    assert "a secret" not in text
    assert CLAIM.token not in text
    labels = manifest["spec"]["template"]["metadata"]["labels"]
    assert labels["server-jobs/job-id"] == CLAIM.id
    assert labels["server-jobs/attempt"] == "2"
    name = ClaimName.of(CLAIM)
    assert labels["server-jobs/claim"] == name.digest
    assert container_of(manifest)["command"][:4] == ["server-jobs", "run", "--claim", str(name)]
    assert ClaimName.parse(str(name)) == name


@pytest.mark.parametrize("hostile", ["$(SERVER_JOBS_DATABASE_URL)", "$$(SERVER_JOBS_DATABASE_URL)", "$", "a$$b", "-x"])
def test_kubernetes_expands_nothing_in_the_command(hostile: str) -> None:
    class Stored(Attempt):
        claim = CLAIM._replace(id=hostile)

    manifest: Any = manifest_of(Stored(), replace(SETTINGS, options=("--log-level", hostile)))

    command = expanded(container_of(manifest)["command"], {"SERVER_JOBS_DATABASE_URL": "postgresql://secret"})
    assert command[3] == str(ClaimName.of(Stored.claim))
    assert command[-1] == hostile


def test_the_pod_of_a_job_is_like_the_pod_of_its_worker_without_its_permissions() -> None:
    token = {"name": "token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    worker = {
        "name": "worker",
        "image": "shop:1",
        "command": ["server-jobs", "worker"],
        "env": [{"name": "MODE", "value": "test"}],
        "envFrom": [{"secretRef": {"name": "shop"}}],
        "livenessProbe": {"httpGet": {"path": "/live", "port": 9464}},
        "resources": {"limits": {"memory": "512Mi"}},
        "securityContext": {"readOnlyRootFilesystem": True},
        "volumeMounts": [{"name": "temporary", "mountPath": "/tmp"}, token],
    }
    spec = {
        "containers": [worker, {"name": "proxy", "image": "proxy:1"}],
        "imagePullSecrets": [{"name": "registry"}],
        "nodeName": "node-7",
        "serviceAccountName": "shop-worker",
        "volumes": [{"name": "temporary", "emptyDir": {}}, {"name": "token", "projected": {"sources": []}}],
    }
    shared = spec_like(Pod.from_dict({"metadata": {"name": "worker-1"}, "spec": spec}))  # type: ignore[arg-type]
    manifest: Any = manifest_of(Attempt(), PodSettings(spec=shared))
    kubernetes_validate.validate(manifest, VERSION, strict=True)
    pod = manifest["spec"]["template"]["spec"]
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert pod["volumes"] == [{"name": "temporary", "emptyDir": {}}]
    assert pod["automountServiceAccountToken"] is False
    assert "nodeName" not in pod
    container = container_of(manifest)
    assert container["volumeMounts"] == [{"name": "temporary", "mountPath": "/tmp"}]
    assert container["env"] == [{"name": "MODE", "value": "test"}]
    assert container["resources"] == {"limits": {"memory": "512Mi"}}
    assert "livenessProbe" not in container
    assert container["command"][:2] == ["server-jobs", "run"]


def test_a_container_that_a_service_mesh_puts_first_is_not_the_one_of_the_worker() -> None:
    containers = [{"name": "proxy", "image": "proxy:1"}, {"name": "worker", "image": "shop:1"}]
    annotations = {"kubectl.kubernetes.io/default-container": "worker"}
    metadata = {"name": "worker-1", "annotations": annotations}
    pod = Pod.from_dict({"metadata": metadata, "spec": {"containers": containers}})
    manifest: Any = manifest_of(Attempt(), PodSettings(spec=spec_like(pod)))  # type: ignore[arg-type]
    assert container_of(manifest)["image"] == "shop:1"


def pod_with(phase: str, state: object = None, **status: object) -> Pod:
    container = {"name": "job", "image": "", "imageID": "", "ready": False, "restartCount": 0, "state": state}
    document = {
        "spec": {"containers": [{"name": "istio-proxy"}, {"name": "job"}]},
        "status": {"phase": phase, "containerStatuses": [container] if state else [], **status},
    }
    return Pod.from_dict(document)  # type: ignore[return-value]


UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node"}
DISRUPTED = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": "preempted"}


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        (pod_with("Pending"), Waiting("its container is not created yet")),
        (pod_with("Pending", conditions=[UNSCHEDULABLE]), Waiting("Unschedulable: no node")),
        (
            pod_with("Pending", {"waiting": {"reason": "ErrImagePull", "message": "not found"}}),
            Waiting("ErrImagePull: not found"),
        ),
        (pod_with("Pending", {"waiting": {"reason": "InvalidImageName"}}), Waiting("InvalidImageName", True)),
        (pod_with("Running", {"running": {}}), Running()),
        (pod_with("Unknown"), Running()),
        (pod_with("Running", {"terminated": {"exitCode": 0}}), Succeeded()),
        (
            pod_with("Running", {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}),
            Crashed(
                "was killed because it used more memory than its limit: OOMKilled, exit code 137 (signal 9)",
                runs_on=True,
            ),
        ),
        (pod_with("Succeeded", {"terminated": {"exitCode": 0}}), Succeeded()),
        (pod_with("Failed"), Crashed("failed for an unknown reason")),
        (
            pod_with("Failed", {"terminated": {"exitCode": 3, "reason": "Error", "message": "last line\n"}}),
            Crashed("exited with code 3 before it stored an outcome: last line"),
        ),
        (
            pod_with("Failed", {"terminated": {"exitCode": 143, "reason": "Error"}}, conditions=[DISRUPTED]),
            Crashed(
                "was disrupted: PreemptionByScheduler: preempted; "
                "exited with code 143 (signal 15) before it stored an outcome"
            ),
        ),
    ],
)
def test_the_state_of_a_pod_has_its_reason(pod: Pod, expected: PodState) -> None:
    assert state_of(pod) == expected
