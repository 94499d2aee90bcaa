"""Cloudflare Workers: a cron trigger runs one tick, and the routes of `server_jobs.http` answer requests.

==============================================  ==============
to change                                       open
==============================================  ==============
the entry of a Worker: cron trigger, requests   `entry`
the database of a Worker                        `bindings`
the query budget of an invocation               `query_budget`
the log in Cloudflare's console                 `console`
==============================================  ==============
"""

from __future__ import annotations

from .entry import CloudflareWorkerBackend, CronHandler, WorkerRequest, create_cron_handler, database_of

__all__ = ["CloudflareWorkerBackend", "CronHandler", "WorkerRequest", "create_cron_handler", "database_of"]
