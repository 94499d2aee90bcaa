"""Stored jobs as models of Django: to look at them in views, tests and the admin."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from server_jobs.domain.record import JOB_COLUMNS, JobColumn, JobStatus, Outcome

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Moment(models.DateTimeField):
    """A time: milliseconds since the epoch on SQLite, `timestamptz` on PostgreSQL."""

    def get_internal_type(self) -> str:
        """Return a type that Django's backends do not convert."""
        return "BigIntegerField"

    def from_db_value(self, value: object, *_: object) -> object:
        """Return an aware time."""
        return _EPOCH + value * _MILLISECOND if isinstance(value, int) else value

    def get_db_prep_value(self, value: object, connection: BaseDatabaseWrapper, prepared: bool = False) -> object:
        """Return the stored form of a time."""
        moment = value if prepared else self.get_prep_value(value)
        if connection.vendor == "sqlite" and isinstance(moment, datetime):
            return (moment.astimezone(UTC) - _EPOCH) // _MILLISECOND
        return moment


_KINDS = {
    "str": models.TextField,
    "JobStatus": models.TextField,
    "int": models.IntegerField,
    "bool": models.BooleanField,
    "datetime": Moment,
}


def _field_of(column: JobColumn) -> models.Field:
    choices = [(status.value, status.value) for status in JobStatus] if column.type == "JobStatus" else None
    return _KINDS[column.type](
        column.label,
        primary_key=column.name == "id",
        null=column.is_nullable,
        choices=choices,
        help_text=column.about,
    )


class StoredJob(models.Model):
    """A row of the table of jobs, to read: `StoredJob.objects.filter(job_name="SendEmail", status="pending")`.

    Its fields are the columns of the table, as `JobRecord` has them.
    Change jobs with the methods of their class, or with `python manage.py jobs`: they keep the state machine.
    """

    id = _field_of(JOB_COLUMNS["id"])

    class Meta:
        app_label = "server_jobs"
        db_table = "jobs"
        default_permissions = ("view", "change", "delete")
        ordering = ("-id",)
        verbose_name = "job"

    def __str__(self) -> str:
        return f"{self.job_name} {self.id}"


for _column in JOB_COLUMNS.values():
    if _column.name != "id":
        StoredJob.add_to_class(_column.name, _field_of(_column))


class StoredAttempt(models.Model):
    """An attempt that did not complete."""

    pk = models.CompositePrimaryKey("job_id", "slot")
    job_id = models.TextField()
    slot = models.IntegerField()
    number = models.IntegerField()
    attempt = models.IntegerField()
    outcome = models.TextField(choices=[(outcome.value, outcome.value) for outcome in Outcome])
    error = models.TextField(null=True)
    error_class = models.TextField(null=True)
    traceback = models.TextField(null=True)
    worker_id = models.TextField(null=True)
    started_at = Moment()
    ended_at = Moment()

    class Meta:
        app_label = "server_jobs"
        db_table = "job_attempts"
        default_permissions = ()
        ordering = ("number",)

    def __str__(self) -> str:
        return f"attempt {self.attempt} of {self.job_id}"
