"""Handlers in pods: one Kubernetes Job per claim, for specs with `"runIn": "kubernetes"`.

`pods` runs claims, and `watcher` reads the states of all pods with one request. `orphans` stores why a pod failed after
its worker died. `manifest` writes the Kubernetes Job, `pod_state` explains a pod, and `cluster` talks to the API
server. Needs `pip install 'server-jobs[kubernetes]'`.
"""

from .cluster import Cluster
from .manifest import PodSettings, pod_spec_of, spec_like
from .orphans import OrphanedPods
from .pods import KubernetesPods

__all__ = ["Cluster", "KubernetesPods", "OrphanedPods", "PodSettings", "pod_spec_of", "spec_like"]
