"""The two routes of the original package, closed unless a token is configured. Knows no web framework."""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

from .backend import Backend
from .record import JobQuery, JobRecord
from .worker import tick

_logger = logging.getLogger("server_jobs")

TRIGGER = "/_jobs/trigger"
STATUS = "/_jobs/status"
SHORTEST_TOKEN = 32
_RECENT = 10


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP status and a JSON body."""

    status: int
    body: str


async def answer(
    backend: Backend,
    *,
    method: str,
    path: str,
    headers: Mapping[str, str],
    token: str | None,
    budget: timedelta | None = None,
) -> Answer:
    """Answer `POST /_jobs/trigger` (one tick) and `GET /_jobs/status` (counts and recent jobs).

    Without a token of at least 32 characters both are 404, as is every other path; with one, a request needs
    `Authorization: Bearer TOKEN`. Bodies show no params, results or errors of jobs. `budget` is that of the tick.
    """
    refused = refusal(method=method, path=path, headers=headers, token=token)
    if refused is not None:
        return refused
    return await (_trigger(backend, budget) if path == TRIGGER else _status(backend))


def refusal(*, method: str, path: str, headers: Mapping[str, str], token: str | None) -> Answer | None:
    """The answer to a request that may not be served; None for one that may. Touches no backend."""
    allowed = {TRIGGER: "POST", STATUS: "GET"}.get(path)
    if allowed is None or not _is_configured(token):
        return _answer(404, {"error": "not found"})
    if not _is_authorized(headers, token or ""):
        return _answer(401, {"error": "a bearer token is needed"})
    if method != allowed:
        return _answer(405, {"error": f"use {allowed}"})
    return None


async def _trigger(backend: Backend, budget: timedelta | None) -> Answer:
    done = await tick(backend, budget=budget)
    return _answer(
        200,
        {
            "status": "triggered",
            "expired": done.expired,
            "scheduled": done.scheduled,
            "completed": done.completed,
            "failed": done.failed,
        },
    )


async def _status(backend: Backend) -> Answer:
    await backend.initialize()
    counts = await backend.store.count_jobs()
    recent = await backend.store.list_jobs(JobQuery(limit=_RECENT))
    return _answer(
        200,
        {
            "counts": [{"job_name": count.job_name, "status": count.status, "count": count.count} for count in counts],
            "jobs": [_summary(record) for record in recent],
        },
    )


def _summary(record: JobRecord) -> dict[str, object]:
    return {
        "id": record.id,
        "job_name": record.job_name,
        "status": record.status,
        "progress": record.progress,
        "attempt_count": record.attempt_count,
        "created_at": record.created_at.isoformat(),
    }


def _is_configured(token: str | None) -> bool:
    if token and len(token) < SHORTEST_TOKEN:
        _logger.error("the token has %d characters; at least %d are needed: closed", len(token), SHORTEST_TOKEN)
    return token is not None and len(token) >= SHORTEST_TOKEN


def _is_authorized(headers: Mapping[str, str], token: str) -> bool:
    header = next((value for name, value in headers.items() if name.lower() == "authorization"), "")
    scheme, _, given = header.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(_digest(given.strip()), _digest(token))


def _digest(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogatepass")).digest()


def _answer(status: int, body: object) -> Answer:
    return Answer(status, json.dumps(body))
