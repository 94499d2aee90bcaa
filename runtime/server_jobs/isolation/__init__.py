"""Handlers in their own processes: the side of the worker.

`process_pool` starts and reuses processes, `process` is one process, and `messages` is their protocol. The other side,
inside of the process, is `server_jobs.engine.handler_process`. `place_kinds` describes the places that plug-ins bring.
`source_imports` keeps old bytecode out of a process.
"""
