"""The set-up function of the registry, and the start of Django in processes that it did not start itself."""

from __future__ import annotations

import django
from django.apps import apps
from server_jobs.registry import JobRegistry


def set_up(registry: JobRegistry) -> None:
    """Start Django, add its middleware, and import the modules with tasks.

    Workers and handler processes call it before they import handlers.
    """
    if not apps.ready:
        django.setup()
    from .backend import DjangoBackend  # models need Django to be set up
    from .connections import DjangoConnections
    from .project import add_tasks

    registry.use(DjangoConnections(DjangoBackend(registry)))
    add_tasks(registry)
