"""Names of environment variables with secrets. Separate from the routes, which are an extra."""

from __future__ import annotations

TOKEN_VARIABLE = "JOBS_TOKEN"  # noqa: S105  its name
NAMED_TOKENS_VARIABLE = "JOBS_TOKENS"
PREVIOUS_TOKEN_VARIABLE = "JOBS_TOKEN_PREVIOUS"  # noqa: S105  its name
SESSION_SECRET_VARIABLE = "JOBS_SESSION_SECRET"  # noqa: S105  its name
KEY_SECRET_VARIABLE = "JOBS_KEY_SECRET"  # noqa: S105  its name
