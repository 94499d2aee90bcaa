"""Handlers in their own processes, as the worker sees them.

`pool` hands out processes, `process` is one of them, `messages` what they say to each other. The other side, which
runs in such a process, is `server_jobs.engine.handler_process`.
"""
