"""An API server of Kubernetes over HTTP, whose pods are processes of this machine.

It checks every Job against the official schema, demands the token and the permissions of its client, and answers with
the status documents of a real one.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import kubernetes_validate
import uvicorn
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .pod_process import Document, PodProcess

NAMESPACE, TOKEN = "shop", "token-of-the-worker"
WORKER = "shop-worker-5d9c"
VERSION = "1.37"
CPUS = 8


class EmulatedCluster:
    """One namespace with a Secret `shop`, a Node with `CPUS`, the image `shop:1` and the pod of a worker.

    `environment` is that of the image, and `secret` the content of the Secret. `denied` lists requests that the role of
    the worker may not make, such as `create jobs`.
    """

    def __init__(self, folder: Path, project: Path, environment: Mapping[str, str], secret: Mapping[str, str]) -> None:
        self.jobs: dict[str, Document] = {}
        self.pods: dict[str, PodProcess] = {}
        self.requests: list[str] = []
        self.denied: set[str] = set()
        self.holds_pods = False
        """Whether the container of a new pod waits for its image."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._folder, self._project = folder, project
        self._environment, self._secret = environment, secret
        self._deleting: list[threading.Thread] = []
        place = f"/namespaces/{NAMESPACE}"
        routes = [
            Route("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", self._review, methods=["POST"]),
            Route(f"/apis/batch/v1{place}/jobs", self._create, methods=["POST"]),
            Route(f"/apis/batch/v1{place}/jobs/{{name}}", self._delete, methods=["DELETE"]),
            Route(f"/api/v1{place}/pods", self._list, methods=["GET"]),
            Route(f"/api/v1{place}/pods/{{name}}", self._get, methods=["GET"]),
        ]
        config = uvicorn.Config(Starlette(routes=routes), log_level="error", lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=[[self._listener]], daemon=True)

    def __enter__(self) -> EmulatedCluster:
        self._thread.start()
        self.wait_until(lambda: self._server.started)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pod in list(self.pods.values()):
            pod.end()
        for thread in self._deleting:
            thread.join()
        self._server.should_exit = True
        self._thread.join()

    def kubeconfig(self, port: int | None = None) -> Path:
        """Write the configuration of a client, and return its path. `port` is that of a proxy."""
        path = self._folder / f"kubeconfig-{port or self.port}"
        document = {
            "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{port or self.port}"}}],
            "users": [{"name": "worker", "user": {"token": TOKEN}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "worker", "namespace": NAMESPACE}}],
            "current-context": "test",
        }
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return path

    def wait_for_pod(self, number: int = 1, seconds: float = 60.0) -> PodProcess:
        """Wait until that many pods were made, and return the last one."""
        pods: list[PodProcess] = []

        def are_made() -> bool:
            pods[:] = list(self.pods.values())  # another thread may forget one at any moment
            return len(pods) >= number

        self.wait_until(are_made, seconds)
        return pods[number - 1]

    def wait_until(self, condition: object, seconds: float = 60.0) -> None:
        """Wait until the condition is true. Fails after that many seconds."""
        assert callable(condition)
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.05)

    # --- requests ---------------------------------------------------------------------------------------------------

    def _refusal(self, request: Request, verb: str) -> Response | None:
        self.requests.append(verb)
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return _status(401, "Unauthorized", "Unauthorized")
        if verb in self.denied:
            return _status(403, "Forbidden", f"forbidden: User cannot {verb} in the namespace {NAMESPACE!r}")
        return None

    async def _review(self, request: Request) -> Response:
        document = await request.json()
        wanted = document["spec"]["resourceAttributes"]
        verb = f"{wanted['verb']} {wanted['resource']}"
        is_allowed = verb not in self.denied and wanted["namespace"] == NAMESPACE
        return self._refusal(request, "review") or JSONResponse({**document, "status": {"allowed": is_allowed}}, 201)

    async def _create(self, request: Request) -> Response:
        if refusal := self._refusal(request, "create jobs"):
            return refusal
        job: Document = await request.json()
        try:
            kubernetes_validate.validate(job, VERSION, strict=True)
        except kubernetes_validate.ValidationError as error:
            return _status(422, "Invalid", str(error))
        name = job["metadata"]["name"]
        if name in self.jobs:
            return _status(409, "AlreadyExists", f'jobs.batch "{name}" already exists')
        self.jobs[name] = job
        self._schedule(name, job["spec"]["template"])
        return JSONResponse(job, 201)

    async def _delete(self, request: Request) -> Response:
        if refusal := self._refusal(request, "delete jobs"):
            return refusal
        name = request.path_params["name"]
        if self.jobs.pop(name, None) is None:
            return _status(404, "NotFound", f'jobs.batch "{name}" not found')
        for pod in list(self.pods.values()):
            if pod.document["metadata"]["labels"]["job-name"] == name:
                self.delete_pod(pod)
        return JSONResponse({"kind": "Status", "status": "Success"})

    async def _list(self, request: Request) -> Response:
        if refusal := self._refusal(request, "list pods"):
            return refusal
        label, _, values = request.query_params["labelSelector"].partition(" in ")
        wanted = values.strip("()").split(",")
        fields = request.query_params.get("fieldSelector", "").split(",")
        pods = [
            pod.document
            for pod in list(self.pods.values())
            if pod.document["metadata"]["labels"].get(label) in wanted
            and f"status.phase!={pod.document['status']['phase']}" not in fields
        ]
        return JSONResponse({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": pods})

    async def _get(self, request: Request) -> Response:
        if refusal := self._refusal(request, "get pods"):
            return refusal
        if request.path_params["name"] != WORKER:
            return _status(404, "NotFound", "pods not found")
        token = {"name": "kube-api-access", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
        mounts = [{"name": "temporary", "mountPath": "/tmp"}, token]
        container = {
            "name": "worker",
            "image": "shop:1",
            "env": [{"name": "SHOP_MODE", "value": "test"}],
            "envFrom": [{"secretRef": {"name": "shop"}}],
            "volumeMounts": mounts,
        }
        volumes = [{"name": "temporary", "emptyDir": {}}, {"name": "kube-api-access", "projected": {"sources": []}}]
        spec = {"containers": [container], "volumes": volumes, "serviceAccountName": "shop-worker"}
        return JSONResponse({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": WORKER}, "spec": spec})

    # --- what controllers, the scheduler and the kubelet do ---------------------------------------------------------

    def _schedule(self, job: str, template: Document) -> None:
        labels = {**template["metadata"]["labels"], "job-name": job}
        name = f"{job}-{len(self.pods)}"
        document: Document = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "labels": labels}}
        document["spec"] = template["spec"]
        container = document["spec"]["containers"][0]
        pod = PodProcess(document, self._variables(container), self._project, self._folder / f"{name}.log")
        self.pods[name] = pod
        if float(container.get("resources", {}).get("requests", {}).get("cpu", "0")) > CPUS:
            reason = {"reason": "Unschedulable", "message": "0/1 nodes are available: 1 Insufficient cpu."}
            condition = {"type": "PodScheduled", "status": "False", **reason}
            document["status"] = {"phase": "Pending", "conditions": [condition]}
        elif container["image"] != "shop:1":
            message = f'Back-off pulling image "{container["image"]}"'
            pod.set_phase("Pending", {"waiting": {"reason": "ImagePullBackOff", "message": message}})
        elif not self.holds_pods:
            pod.start()

    def _variables(self, container: Document) -> dict[str, str]:
        secrets = [source["secretRef"]["name"] for source in container.get("envFrom", [])]
        assert set(secrets) <= {"shop"}
        named = {one["name"]: one["value"] for one in container.get("env", [])}
        return {**self._environment, **(self._secret if secrets else {}), **named}

    def delete_pod(self, pod: PodProcess) -> None:
        """Stop a pod within its grace period, as when its node is drained, and forget it."""

        def stop() -> None:
            pod.stop(pod.document["spec"]["terminationGracePeriodSeconds"])
            self.pods.pop(pod.name, None)  # the job of a drained pod may be deleted at the same time

        pod.document["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        thread = threading.Thread(target=stop, daemon=True)
        thread.start()
        self._deleting.append(thread)


def _status(code: int, reason: str, message: str) -> Response:
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return JSONResponse({**status, "code": code, "reason": reason, "message": message}, code)
