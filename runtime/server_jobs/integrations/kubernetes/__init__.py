"""Handlers in pods: one Kubernetes Job per claim, for specs with `"runIn": "kubernetes"`.

`pods` runs claims, `watcher` reads the states of all pods with one request, `manifest` writes the Kubernetes Job,
`pod_state` explains a pod, and `cluster` talks to the API server. Needs `pip install 'server-jobs[kubernetes]'`.
"""

from .cluster import Cluster
from .manifest import PodSettings, pod_spec_of, spec_like
from .pods import KubernetesPods

__all__ = ["Cluster", "KubernetesPods", "PodSettings", "pod_spec_of", "spec_like"]
