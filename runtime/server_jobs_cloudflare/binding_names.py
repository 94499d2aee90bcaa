"""Names of the bindings of a Worker, which its wrangler.jsonc has too."""

from __future__ import annotations

D1_BINDING = "DB"
ALARM_BINDING, ALARM_CLASS = "JOBS_ALARM", "JobsAlarm"
"""The object beside the database of a Worker that wakes it."""
TENANTS_BINDING, DIRECTORY_BINDING = "TENANTS", "TENANT_DIRECTORY"
"""The objects of tenants, and the object that lists them."""
