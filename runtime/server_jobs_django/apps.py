"""The Django app `server_jobs_django`."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import pre_migrate
from server_jobs.errors import SchemaMissingError


class ServerJobsConfig(AppConfig):
    """Connects the jobs of the project to Django's database."""

    name = "server_jobs_django"
    label = "server_jobs"
    verbose_name = "Background jobs"

    def ready(self) -> None:
        """Bind the job classes to Django's connection, unless nothing is generated yet; checks report that."""
        from . import checks as checks  # registers them
        from .backend import DjangoBackend
        from .project import has_tasks, is_generated, jobs_registry
        from .setup import set_up
        from .tables import create_without_migrations, enter_schema

        SchemaMissingError.command = "python manage.py migrate"
        pre_migrate.connect(create_without_migrations, sender=self)
        enter_schema(self.get_models())
        if is_generated():
            registry = jobs_registry()
            registry.set_up(set_up)
            if has_tasks():
                from .tasks.declared import register_tasks

                register_tasks(registry)
            registry.bind(DjangoBackend(registry))
