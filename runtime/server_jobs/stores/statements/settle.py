"""The error of a released job."""

from __future__ import annotations

RELEASED_ERROR = "COALESCE('replaced by the job ' || jobs.replaced_by, jobs.error)"
RELEASED_ERROR_CLASS = "CASE WHEN jobs.replaced_by IS NULL THEN jobs.error_class END"
