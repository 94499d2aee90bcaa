"""A plug-in with the place `kubernetes`: one Kubernetes Job per claim, for specs with `"runIn": "kubernetes"`.

`kind` is the entry point, and `opening` opens the place for a worker. `pods` runs claims, and `watcher` reads the
states of all pods with one request. `orphans` stores why a pod failed after its worker died. `manifest` writes the
Kubernetes Job, `pod_state` explains a pod, and `cluster` talks to the API server. Needs
`pip install 'server-jobs[kubernetes]'`, except for `kind`, which the generator imports too.
"""
