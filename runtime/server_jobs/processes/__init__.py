"""Handlers in processes of their own, seen from the worker; `server_jobs.handler_process` is what runs over there."""
