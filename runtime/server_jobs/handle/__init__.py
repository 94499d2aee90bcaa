"""Handles of enqueued jobs, of batches and of schedules."""

from __future__ import annotations

from .jobs import Batch, JobHandle, completion_job
from .schedules import ScheduleHandle

__all__ = ["Batch", "JobHandle", "ScheduleHandle", "completion_job"]
