"""Import Python targets in a process of their own, because a module may do anything while it is imported.

It may end its process, start threads, print, and change `sys.path`. None of that reaches the command.
"""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import TypeAdapter
from server_jobs.errors import ProjectError, ServerJobsError
from server_jobs.isolation.source_imports import import_from_source

from .found_job import ImportSourceError, reason
from .imported import Imported, imported
from .importer import IMPORTERS, Importer, Reads

_STANDARD_ERROR = 2


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What to import. `targets`, `folders` as for `Source`, `schema` and `only` as for `imported`."""

    importer: str
    """The name of the importer."""
    targets: tuple[str, ...]
    folders: tuple[str, ...]
    schema: str
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Call:
    request: ImportRequest
    path: tuple[str, ...]
    reply: str


@dataclass(frozen=True, slots=True)
class _Reply:
    """The specs, or the message of an error."""

    imported: Imported | None = None
    refused: str | None = None
    unusable: str | None = None


_CALL = TypeAdapter(_Call)
_REPLY = TypeAdapter(_Reply)


def imported_apart(request: ImportRequest) -> Imported:
    """Import modules in a new process, and files in this one. Output of the modules goes to standard error.

    Raises `ImportSourceError` and `ProjectError` as `Source` and `imported` do, and `ProjectError` for a module that
    ends its process.
    """
    if _importer(request).reads is Reads.FILES:
        return import_here(request)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "reply.json"
        call = _CALL.dump_json(_Call(request, tuple(sys.path), str(file))).decode()
        command = [sys.executable, "-P", "-c", f"from {__name__} import answer; answer()", call]
        status = subprocess.run(  # noqa: S603  this Python, and the call as JSON
            command, stdin=subprocess.DEVNULL, stdout=_STANDARD_ERROR, check=False
        ).returncode
        text = file.read_bytes() if file.is_file() else b"{}"
    reply = _REPLY.validate_json(text)
    if reply.imported is not None:
        return reply.imported
    if reply.refused is not None:
        raise ImportSourceError(reply.refused)
    ended = f"with the status {status}" if status >= 0 else f"by the signal {-status}"
    targets = ", ".join(request.targets)
    raise ProjectError(
        reply.unusable or f"{targets} ended the process {ended} while it was imported; move that code into a function"
    )


def answer() -> None:
    """Import as the call in the last argument says, write the reply, and end the process with all its threads."""
    call = _CALL.validate_json(sys.argv.pop())
    sys.path[:] = call.path
    import_from_source(call.request.folders)
    warnings.filterwarnings("ignore", module="pydantic")  # about types that the result lists
    Path(call.reply).write_bytes(_REPLY.dump_json(_reply(call.request)))
    os._exit(0)


def _reply(request: ImportRequest) -> _Reply:
    try:
        return _Reply(imported=import_here(request))
    except ImportSourceError as error:
        return _Reply(refused=str(error))
    except ServerJobsError as error:
        return _Reply(unusable=str(error))
    except BaseException as error:  # noqa: BLE001  objects of a module may raise anything
        return _Reply(unusable=f"{', '.join(request.targets)} cannot be imported: {reason(error)}")


def import_here(request: ImportRequest) -> Imported:
    """Import in this process."""
    found = _importer(request).find(request.targets, request.folders)
    return imported(found, request.schema, request.only)


def _importer(request: ImportRequest) -> Importer:
    importer = IMPORTERS.find(request.importer)
    if importer is None:
        raise ProjectError(f"there is no importer {request.importer!r}; install the package that brings it")
    return importer
