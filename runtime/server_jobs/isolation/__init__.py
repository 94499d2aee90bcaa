"""Handlers in their own processes or pods: the side of the worker.

`process_pool` starts and reuses processes, `process` is one process, and `messages` is their protocol. The other side,
inside of the process, is `server_jobs.engine.handler_process`. `pods` is the interface to a cluster, which
`server_jobs_kubernetes` implements.
"""
