"""The check of a request at the Worker, before it may wake the object of a tenant."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

from .routes import WorkerRequest, tokens_in


def is_admitted(request: WorkerRequest, env: object, tenant: str) -> bool:
    """Return whether a request has a valid token, signed link or cookie of the dashboard.

    The object checks the request again, with its scopes. The Worker answers other requests itself, so that they wake no
    object, whatever tenant they name.
    """
    from server_jobs_http.app import names_a_caller  # an extra that a cron trigger does not need

    scope = _scope_of(request, env, tenant)
    return names_a_caller(scope, tokens_in(scope))


def _scope_of(request: WorkerRequest, env: object, tenant: str) -> dict[str, Any]:
    """Return the part of an ASGI scope that the checks read."""
    parts = urlsplit(request.url)
    return {
        "type": "http",
        "method": request.method,
        "path": unquote(parts.path),
        "root_path": f"/_jobs/tenants/{tenant}",
        "query_string": parts.query.encode("ascii", "replace"),
        "headers": [(name.lower().encode(), value.encode()) for name, value in request.headers.items()],
        "env": env,
    }
