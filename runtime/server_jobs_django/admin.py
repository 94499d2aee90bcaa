"""Stored jobs in Django's admin: look at them, retry, cancel and delete them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from typing import TypeVar, cast

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.html import format_html, format_html_join
from django.views.decorators.csrf import csrf_protect
from server_jobs.domain.record import JOB_COLUMNS, Cancellation, Deletion, JobRecord, JobStatus, Retrial, Shown
from server_jobs.domain.record.audit import LONGEST_AUDIT_PAGE, AuditQuery
from server_jobs.inspection.job_document import shown_params
from server_jobs.stores.sql.store import SqlStore

from .backend import DjangoBackend
from .filters import JobFilter, QueueFilter
from .models import StoredAttempt, StoredJob
from .project import complete_registry, jobs_registry

T = TypeVar("T")
_SHOWN_CHARACTERS = 80
_PLACED = frozenset(
    {"progress_message", "correlation_id", "unique_key", "params", "result", "error"},
)
"""The details with a place of their own on the page of a job."""
_DONE: frozenset[str] = frozenset({Retrial.RETRIED, Cancellation.CANCELLED, Cancellation.REQUESTED, Deletion.DELETED})
_TEXTS: Mapping[str, str] = {
    Retrial.NOT_RETRYABLE: "not retried, because only failed and cancelled jobs are",
    Retrial.DUPLICATE: "not retried, because an unfinished job has the same unique key",
    Cancellation.REQUESTED: "asked to stop",
    Cancellation.FINISHED: "finished already",
    Deletion.RUNNING: "running, and not deleted",
}


@admin.register(StoredJob)
class StoredJobAdmin(admin.ModelAdmin):
    """Jobs are read-only. The permission `change` allows to retry and cancel them, and `delete` to delete them.

    The audit log of the jobs names the user of each change.
    """

    list_display = ("id", "job_name", "queue", "status", "attempts", "created_at", "completed_at", "short_error")
    list_filter = ("status", JobFilter, QueueFilter, "created_at")
    search_fields = ("id", "correlation_id")
    search_help_text = "The id of a job, or a correlation id."
    show_full_result_count = False
    actions = ("retry", "cancel")
    fields = (
        *("id", "job_name", "status", "queue", "priority", "attempts", "progress", "progress_message"),
        *("created_at", "scheduled_for", "completed_at", "correlation_id", "unique_key"),
        *(name for name, one in JOB_COLUMNS.items() if one.shown is Shown.DETAILS and name not in _PLACED),
        *("shown_params", "shown_result", "error", "failed_attempts"),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody: code enqueues jobs."""
        del request
        return False

    def has_change_permission(self, request: HttpRequest, obj: StoredJob | None = None) -> bool:
        """Nobody: a form would overwrite what a worker writes at the same time."""
        del request, obj
        return False

    def has_view_permission(self, request: HttpRequest, obj: StoredJob | None = None) -> bool:
        """Return whether the user may see jobs, or change them."""
        return super().has_view_permission(request, obj) or self.has_operate_permission(request)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may retry and cancel jobs."""
        return bool(super().has_change_permission(request))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[StoredJob], search_term: str
    ) -> tuple[QuerySet[StoredJob], bool]:
        """Find the job with this id, or the jobs with this correlation id, which may have spaces."""
        del request
        term = search_term.strip()
        return queryset.filter(Q(pk=term) | Q(correlation_id=term)) if term else queryset, False

    @method_decorator(csrf_protect)
    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: Mapping[str, object] | None = None,
    ) -> HttpResponse:
        """Show a job, with buttons to retry or cancel it."""
        mine = StoredJob.objects.filter(pk=unquote(object_id))
        is_allowed = self.has_operate_permission(request)
        for name, act in (("_retry", self.retry), ("_cancel", self.cancel)):
            if request.method == "POST" and name in request.POST:
                if not is_allowed:
                    raise PermissionDenied
                act(request, mine)
                return HttpResponseRedirect(request.get_full_path())
        status = mine.values_list("status", flat=True).first() if is_allowed else None
        buttons = {
            "can_retry": status in (JobStatus.FAILED, JobStatus.CANCELLED),
            "can_cancel": status in (JobStatus.PENDING, JobStatus.RUNNING),
        }
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **buttons})

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: Mapping[str, object] | None = None
    ) -> HttpResponse:
        """Show the audit log of a job, which has the changes of other programs too."""
        query = AuditQuery(target=unquote(object_id), limit=LONGEST_AUDIT_PAGE)
        backend = DjangoBackend(jobs_registry())
        entries = [
            {
                "action_time": entry.at,
                "user": {"get_username": entry.actor.removeprefix("user:")},
                "get_change_message": entry.action if entry.detail is None else f"{entry.action} ({entry.detail})",
            }
            for entry in backend.run_blocking(lambda: backend.store.audit_log(query))
        ]
        page = self.get_paginator(request, entries, LONGEST_AUDIT_PAGE).get_page(1)
        return super().history_view(request, object_id, {**(extra_context or {}), "action_list": page})

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: object = None) -> HttpResponse:
        """Ask before the job is deleted. A running job stays."""
        if StoredJob.objects.filter(pk=object_id, status=JobStatus.RUNNING).exists():
            self.message_user(request, "A running job cannot be deleted. Cancel it first.", messages.ERROR)
            return HttpResponseRedirect(
                reverse("admin:server_jobs_storedjob_change", args=[object_id], current_app=self.admin_site.name)
            )
        return super().delete_view(request, object_id, extra_context)

    @admin.action(description="Retry selected jobs", permissions=["operate"])
    def retry(self, request: HttpRequest, queryset: QuerySet[StoredJob]) -> None:
        """Make failed and cancelled jobs pending again."""
        self._change(request, queryset, lambda store, ids, by: store.retry_many(ids, by=by))

    @admin.action(description="Cancel selected jobs", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[StoredJob]) -> None:
        """Cancel pending jobs, and ask running ones to stop."""
        self._change(request, queryset, lambda store, ids, by: store.cancel_many(ids, by=by))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[StoredJob]) -> None:
        """Delete jobs with their attempts, except running ones."""
        self._change(request, queryset, lambda store, ids, by: store.delete(ids, by=by))

    def delete_model(self, request: HttpRequest, obj: StoredJob) -> None:
        """Delete one job."""
        self._change(request, StoredJob.objects.filter(pk=obj.pk), lambda store, ids, by: store.delete(ids, by=by))

    @admin.display(description="attempts")
    def attempts(self, job: StoredJob) -> str:
        """Return the attempts that count, of all that are allowed."""
        return f"{job.attempt_count} of {job.max_attempts}"

    @admin.display(description="error")
    def short_error(self, job: StoredJob) -> str:
        """Return the start of the error."""
        return (job.error or "")[:_SHOWN_CHARACTERS]

    @admin.display(description="params")
    def shown_params(self, job: StoredJob) -> str:
        """Return the params without their redacted values."""
        shown = shown_params(cast("JobRecord", job), complete_registry())
        return _indented(shown.text) if shown.text is not None else f"hidden: {shown.reason}"

    @admin.display(description="result")
    def shown_result(self, job: StoredJob) -> str | None:
        """Return the result."""
        return _indented(job.result) if job.result is not None else None

    @admin.display(description="failed attempts")
    def failed_attempts(self, job: StoredJob) -> str:
        """Return the attempts that did not complete."""
        attempts = StoredAttempt.objects.filter(job_id=job.id)
        rows = (
            (one.attempt, one.outcome, _to_the_second(one.ended_at), one.traceback or one.error or "")
            for one in attempts
        )
        return str(format_html_join("", "<p>attempt {}: {} at {}</p><pre>{}</pre>", rows)) or "none"

    def _change(
        self,
        request: HttpRequest,
        queryset: QuerySet[StoredJob],
        change: Callable[[SqlStore, Sequence[str], str], Coroutine[object, object, Sequence[StrEnum]]],
    ) -> None:
        backend, ids = DjangoBackend(jobs_registry()), list(queryset.values_list("pk", flat=True))
        answers = backend.run_blocking(lambda: change(backend.store, ids, f"user:{request.user.get_username()}"))
        found = Counter(answer.value for answer in answers)
        text = ", ".join(f"{count} {_TEXTS.get(answer, answer)}" for answer, count in sorted(found.items()))
        is_done = found.keys() <= _DONE
        self.message_user(request, f"Jobs: {text or 'none'}.", messages.SUCCESS if is_done else messages.WARNING)


def _indented(text: str) -> str:
    """Return JSON on several lines. A text that is not JSON stays as it is."""
    with suppress(ValueError, RecursionError):
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return str(format_html("<pre>{}</pre>", text))


def _to_the_second(moment: datetime) -> str:
    """Return a time with its seconds, which the format of the settings may lack."""
    return f"{timezone.template_localtime(moment):%Y-%m-%d %H:%M:%S %Z}"
