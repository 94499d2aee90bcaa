"""The set-up function of the registry, and the start of Django in processes that it did not start itself."""

from __future__ import annotations

import django
from django.apps import apps
from server_jobs.registry import JobRegistry

from .project import has_tasks, jobs_registry


def set_up(registry: JobRegistry) -> None:
    """Start Django, add its middleware, and import the modules with tasks.

    Workers and handler processes call it before they import handlers.
    """
    if not apps.ready:
        django.setup()
    from .backend import DjangoBackend  # models need Django to be set up
    from .connections import DjangoConnections

    registry.use(DjangoConnections(DjangoBackend(registry)))
    add_tasks(registry)


def add_tasks(registry: JobRegistry) -> None:
    """Import the modules that declare tasks, which adds them to the generated registry. Raises `ProjectError`.

    Does nothing for another registry, such as that of a handler process, which imports only its handler.
    """
    if has_tasks() and registry is jobs_registry():
        from .tasks.declared import load_tasks  # needs Django 6

        load_tasks()
