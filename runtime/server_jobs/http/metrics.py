"""Metrics for Prometheus, in its text format (version 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from starlette.requests import Request
from starlette.responses import Response

from .. import __version__
from .gate import backend_of

_MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[Mapping[str, str], int]


async def metrics(request: Request) -> Response:
    """Return jobs by name and status, due jobs, and paused queues."""
    backend = backend_of(request)
    counts = await backend.store.count_jobs()
    due = await backend.store.count_due(backend.request(limit=1))
    paused = await backend.store.paused_queues()
    lines = [
        *_gauge(
            "server_jobs_jobs",
            "Stored jobs.",
            (({"job_name": one.job_name, "status": one.status}, one.count) for one in counts),
        ),
        *_gauge(
            "server_jobs_parked_jobs",
            "Failed jobs whose params cannot be read.",
            (({"job_name": one.job_name}, one.parked) for one in counts if one.parked),
        ),
        *_gauge("server_jobs_due_jobs", "Pending jobs that are due and that this registry runs.", [({}, due)]),
        *_gauge("server_jobs_paused_queue", "Queues that are paused.", (({"queue": one.name}, 1) for one in paused)),
        *_gauge("server_jobs_info", "The version of this package.", [({"version": __version__}, 1)]),
    ]
    return Response("\n".join(lines) + "\n", media_type=_MEDIA_TYPE)


def _gauge(name: str, about: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} gauge"
    for labels, value in samples:
        shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"{name}{{{shown}}} {value}" if shown else f"{name} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
