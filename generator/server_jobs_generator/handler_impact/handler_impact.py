"""From models that change to the lines of handlers that have to follow. Handlers are read, never run or written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from server_jobs.project import Project

from ..files import read_file
from ..output import Finding
from .advice import advice_for
from .handler_reader import find_uses
from .held import Models
from .impact import HandlerChange, HandlerImpact
from .model_changes import ModelChanges, model_changes
from .shapes import read_shapes
from .source import Source

_LONGEST = 1024 * 1024


def handler_impact(project: Project, findings: Iterable[Finding]) -> HandlerImpact:
    """What the models that are about to be written mean for the handlers; nothing when no model changes."""
    changes = {change.spec_name: change for change in _changes_of_models(project, findings) if change}
    if not changes:
        return HandlerImpact()
    models = Models({spec: change.before for spec, change in changes.items()})
    found: list[HandlerChange] = []
    patch: list[str] = []
    for source in _handlers(project):
        advice = list(advice_for(find_uses(source, models), changes))
        found += (
            HandlerChange(source.path, one.span.start[0], source.column(one.span.start), one.message) for one in advice
        )
        patch += source.patch(one.edit for one in advice if one.edit is not None)
    return HandlerImpact(tuple(dict.fromkeys(sorted(found))), "".join(patch))


def _changes_of_models(project: Project, findings: Iterable[Finding]) -> Iterator[ModelChanges]:
    for finding in findings:
        path = PurePosixPath(finding.path)
        if str(path.parent) == f"{project.output}/models" and path.suffix == ".py" and finding.file is not None:
            before = (read_file(project.root / path) or b"").decode("utf-8", "replace")
            yield model_changes(path.stem, read_shapes(before), read_shapes(finding.file.text))


def _handlers(project: Project) -> Iterator[Source]:
    """The modules in the folder of handlers, but for those that are links, or cannot be read as text."""
    folder = project.root / project.handlers
    for path in sorted(folder.rglob("*.py")):
        relative = path.relative_to(project.root)
        if any(part.startswith(".") or part == "__pycache__" for part in relative.parts) or not _is_plain(path):
            continue
        try:
            yield Source(relative.as_posix(), path.read_bytes().decode())
        except (OSError, UnicodeDecodeError):
            continue


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and path.stat().st_size <= _LONGEST
