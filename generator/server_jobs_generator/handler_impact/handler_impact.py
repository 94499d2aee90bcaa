"""From models that change to the lines of handlers that have to follow. Handlers are read, never run or written."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from server_jobs.project import Project

from ..files import read_file
from ..output import Finding, State
from .advice import advice_for
from .handler_reader import find_uses
from .held import Models
from .impact import HandlerChange, HandlerImpact, HandlerPatch
from .model_changes import ModelChanges, model_changes
from .shapes import ModelShapes, read_other_names, read_shapes
from .source import Source

_LONGEST = 1024 * 1024


def handler_impact(project: Project, findings: Iterable[Finding], moved: Mapping[str, str]) -> HandlerImpact:
    """What the models that are about to be written mean for the handlers; nothing when no model changes.

    `moved` are the modules of models that have another name now, by the one that handlers know.
    """
    modules = {finding.path: finding for finding in findings if _is_of_models(project, finding)}
    # Where there is no model yet, nothing relies on one.
    models = [finding for finding in modules.values() if finding.state not in (State.EXTRA, State.MISSING)]
    found = (_changes(project, finding, modules, moved) for finding in models)
    changes = {change.spec_name: change for change in found if change}
    if not changes:
        return HandlerImpact()
    # The handler of a job that is gone is told as a whole.
    unused = {f"{project.handlers}/{PurePosixPath(one.path).name}" for one in models if one.file is None}
    before = Models({spec: change.before for spec, change in changes.items()})
    lines: list[HandlerChange] = []
    patches: list[HandlerPatch] = []
    for source in _handlers(project, unused):
        advice = list(advice_for(find_uses(source, before), changes))
        places = [(one.span.start[0], source.column(one.span.start), one.message) for one in advice]
        lines += (HandlerChange(source.path, *place) for place in places)
        if patch := source.patch(one.edit for one in advice if one.edit is not None):
            patches.append(HandlerPatch(source.path, patch))
    return HandlerImpact(tuple(dict.fromkeys(sorted(lines))), tuple(patches))


def _is_of_models(project: Project, finding: Finding) -> bool:
    path = PurePosixPath(finding.path)
    return str(path.parent) == f"{project.output}/models" and path.suffix == ".py"


def _changes(
    project: Project, finding: Finding, modules: Mapping[str, Finding], moved: Mapping[str, str]
) -> ModelChanges:
    name = PurePosixPath(finding.path).stem
    before = (read_file(project.root / finding.path) or b"").decode("utf-8", "replace")
    if finding.file is None and name in moved:
        there = modules.get(f"{project.output}/models/{moved[name]}.py")
        after = there.file.text if there is not None and there.file is not None else before
        return model_changes(name, read_shapes(before), read_shapes(after), moved[name])
    after = finding.file.text if finding.file is not None else ""
    return model_changes(name, read_shapes(before), _shapes(project, after, modules))


def _shapes(project: Project, text: str, modules: Mapping[str, Finding]) -> ModelShapes:
    """The models of a module as it will be, with those of others that have a name in it: a version that is current."""
    found = dict(read_shapes(text))
    for name, module, own_name in read_other_names(text):
        path = f"{project.output}/models/{module}.py"
        there = modules[path].file if path in modules else None
        data = there.text.encode() if there is not None else read_file(project.root / path) or b""
        shape = read_shapes(data.decode("utf-8", "replace")).get(own_name)
        if shape is not None:
            found[name] = replace(shape, name=name)
    return found


def _handlers(project: Project, unused: Container[str]) -> Iterator[Source]:
    """The modules in the folder of handlers, but for those that are links, or cannot be read as text."""
    folder = project.root / project.handlers
    for path in sorted(folder.rglob("*.py")):
        relative = path.relative_to(project.root)
        is_hidden = any(part.startswith(".") or part == "__pycache__" for part in relative.parts)
        if is_hidden or relative.as_posix() in unused or not _is_plain(path):
            continue
        try:
            yield Source.read(relative.as_posix(), path.read_bytes())
        except (OSError, UnicodeDecodeError):
            continue


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and path.stat().st_size <= _LONGEST
