"""The place `kubernetes`, for workers and for the generator, which do without the client of the API server."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from server_jobs.isolation.place_kinds import PlaceKind, PlaceSettings

from .errors import ClusterError
from .pod_options import SCHEMAS

if TYPE_CHECKING:
    from server_jobs.engine.attempts.places import Place


def _open(settings: PlaceSettings) -> AbstractAsyncContextManager[Place]:
    try:
        from .opening import open_pods
    except ModuleNotFoundError as error:
        raise ClusterError(
            f"a worker that starts pods needs the package {error.name}; install it with: "
            "pip install 'server-jobs[kubernetes]'"
        ) from None
    return open_pods(settings)


KUBERNETES = PlaceKind(open=_open, summary="its own pod", options=SCHEMAS, needs_shared_database=True)
