"""Cloudflare Workers: a cron trigger runs one tick, and the routes of `server_jobs_http` answer requests.

==============================================  ==============
to change                                       open
==============================================  ==============
the entry of a Worker: cron trigger, requests   `entry`
its routes: tokens and settings                 `routes`
the object that wakes it at exact times         `alarm`
ticks that go on after their alarm, pauses      `background`
the database of a Worker                        `bindings`
the entry of a Worker with tenants              `tenants`
the object of a tenant: store, alarm, routes    `tenant_object`
the list of tenants                             `tenant_directory`
a tenant as a database of the command line      `pipeline`
the query budget of an invocation               `query_budget`
the log in Cloudflare's console                 `console`
==============================================  ==============
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from server_jobs.on_demand import imported_when_used

if TYPE_CHECKING:
    from .alarm import AlarmClock
    from .entry import CloudflareWorkerBackend, CronHandler, create_cron_handler, database_of
    from .routes import WorkerRequest

__all__ = [
    "AlarmClock",
    "CloudflareWorkerBackend",
    "CronHandler",
    "WorkerRequest",
    "create_cron_handler",
    "database_of",
]

# The generator and the command line import names of bindings and addresses, and nothing that runs jobs.
__getattr__ = imported_when_used(
    __name__,
    AlarmClock="alarm",
    CloudflareWorkerBackend="entry",
    CronHandler="entry",
    WorkerRequest="routes",
    create_cron_handler="entry",
    database_of="entry",
)
