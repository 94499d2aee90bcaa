"""The list of all routes."""

from __future__ import annotations

from ..described_route import DescribedRoute, routing_table
from . import schedules
from .batches import enqueue_batch, show_batch
from .bulk import BULK
from .enqueuing import enqueue
from .events import batch_events, events
from .jobs import cancel, delete, list_jobs, retry, show
from .metrics import metrics
from .operations import attempts, explain, health, openapi, status, trigger, workers

DESCRIBED: tuple[DescribedRoute, ...] = (
    trigger,
    status,
    health,
    metrics,
    openapi,
    list_jobs,
    *BULK,
    show,
    delete,
    enqueue,
    cancel,
    retry,
    attempts,
    explain,
    show_batch,
    enqueue_batch,
    batch_events,
    workers,
    schedules.list_schedules,
    schedules.add,
    schedules.remove,
    schedules.change,
    schedules.pause,
    schedules.resume,
    schedules.run,
    events,
)
"""All routes, in the order of the OpenAPI document."""

ROUTES = routing_table(DESCRIBED)
