"""Importers, by the entry points of the group `server_jobs.importers`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from server_jobs.plug_ins import Seam

from .found_job import Source


class Reads(Enum):
    """The targets of an importer: modules, which are imported in a process of their own, or files."""

    MODULES = "modules"
    FILES = "files"


@dataclass(frozen=True, slots=True, kw_only=True)
class Importer:
    """Jobs of one kind of source: an entry point of the group `server_jobs.importers`.

    The name of the entry point is the word after `server-jobs import`. Its module should import little: the help of the
    command imports the modules of all importers.
    """

    summary: str
    """The jobs that it finds, for the help, such as `tasks of Celery`."""
    example: str
    """Targets for the help, such as `shop.tasks:app`."""
    reads: Reads
    """The targets: modules, or files."""
    find: Source
    """Return the jobs of the targets."""


IMPORTERS: Seam[Importer] = Seam("server_jobs.importers", "an `Importer`", lambda value: isinstance(value, Importer))
