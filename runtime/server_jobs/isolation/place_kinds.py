"""Kinds of places of attempts that plug-ins bring, by the name in `runIn`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ..domain.options import BUILT_IN_PLACES
from ..plug_ins import Seam

if TYPE_CHECKING:
    from ..engine.attempts.places import Place
    from ..engine.backend import Backend


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceSettings:
    """The worker that opens a place."""

    backend: Backend
    """The backend of the worker, with an open database."""
    queues: tuple[str, ...] | None = None
    """The queues of the worker; None: all."""
    drain_timeout: timedelta
    """The time that running jobs have to finish when the worker stops."""
    poll_interval: timedelta
    """How often the worker looks for jobs while it is idle."""
    log_level: str = "info"
    """The lowest level in the log of the worker: `debug`, `info`, `warning` or `error`."""
    logs_json: bool = False
    """Whether the log of the worker is JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceKind:
    """A kind of place: an entry point of the group `server_jobs.places`. Its module should import little.

    The name of the entry point is the name in `runIn`.
    """

    open: Callable[[PlaceSettings], AbstractAsyncContextManager[Place]]
    """Open the place for a worker, until its block ends. Called only if a job of the worker names the place.

    A `PlaceError` with `is_away` means that the place may answer later: until then the worker claims none of its jobs,
    and tries again. Any other error ends the worker.
    """
    summary: str
    """The place in words that follow "runs in", such as `its own container`."""
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    """The JSON Schema of each option of `x-job` that only this place has, by its name.

    Editors and the reference show its `description`. A `title` completes errors about a value: "must be" the title. The
    schema contains the targets of its references. `JobOptions.place_options` has the values.
    """
    needs_shared_database: bool = False
    """Whether handlers run on other machines, which need the database: SQLite and memory are refused."""


PLACES: Seam[PlaceKind] = Seam("server_jobs.places", "a `PlaceKind`", lambda value: isinstance(value, PlaceKind))
"""The places of plug-ins. The names of the built-in places are taken."""


def place_names() -> Sequence[str]:
    """Return the names of all places: those that are built in, then those of plug-ins. Imports no plug-in."""
    return [*BUILT_IN_PLACES, *(name for name in PLACES.names() if name not in BUILT_IN_PLACES)]
