"""Filters of the admin by job and by queue.

Their choices come from the code, the settings, the counts of workers, and the newest rows, because a look at all rows
would be slow.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from .backend import DjangoBackend
from .models import StoredJob
from .project import complete_registry, has_tasks

_NEWEST = 1_000


class _Group(NamedTuple):
    """A job and a queue of stored jobs."""

    job_name: str
    queue: str


class _Names(admin.SimpleListFilter):
    """A filter with names as choices."""

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        del request, model_admin
        return [(name, name) for name in sorted(set(self._choices()))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[StoredJob]) -> QuerySet[StoredJob]:
        del request
        return queryset.filter(**{self.parameter_name: self.value()}) if self.value() else queryset

    def _choices(self) -> Iterator[str]:
        raise NotImplementedError


class JobFilter(_Names):
    """Filter by job."""

    title = "job"
    parameter_name = "job_name"

    def _choices(self) -> Iterator[str]:
        yield from complete_registry().get_names()
        yield from (group.job_name for group in _stored_groups())


class QueueFilter(_Names):
    """Filter by queue."""

    title = parameter_name = "queue"

    def _choices(self) -> Iterator[str]:
        yield from (registration.job.options.queue for registration in complete_registry().registrations())
        yield from (group.queue for group in _stored_groups())
        if has_tasks():
            from .tasks.declared import stated_queues  # needs Django 6

            yield from stated_queues()


def _stored_groups() -> set[_Group]:
    """Return the jobs and queues that workers have run, and those of the newest rows.

    Whoever may insert rows chooses how many jobs and queues there are, so this reads a limited number of rows.
    """
    backend = DjangoBackend(complete_registry())
    counts = backend.run_blocking(lambda: backend.store.finished_counts(since=None))
    newest = StoredJob.objects.order_by("-pk").values_list("job_name", "queue")[:_NEWEST]
    return {*(_Group(one.job_name, one.queue) for one in counts), *(_Group(*row) for row in newest)}
