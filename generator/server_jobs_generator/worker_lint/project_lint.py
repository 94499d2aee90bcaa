"""Looks at the handlers, at what they import, and at what their specs ask for, with a Cloudflare Worker in mind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path, PurePosixPath

from server_jobs.project import Project

from server_jobs_generator.problems.verdict import Verdict

from ..read.document import read_document
from ..read.spec_files import SpecFile, read_spec_files
from .code_lint import CodeLint, plain_handler
from .configuration import check_configuration, missing_configuration
from .exclusions import read_exclusions
from .finding import CodeFinding
from .import_lint import ImportLint
from .modules import Modules, imported
from .packages import read_packages
from .rules import PROCESS_HANDLER, RULES
from .source import Source
from .upload import Upload, read_upload


def check_worker(project: Project) -> tuple[CodeFinding, ...]:
    """Everything that cannot work, or may not be meant, in reading order. Nothing of the project is imported."""
    modules, upload = Modules(project.root), read_upload(project)
    specs = [file for file in _spec_files(project) if not file.is_shared]
    jobs = [f"{project.handlers_package}.{file.spec_name}" for file in specs]
    started = _reached(modules, jobs, at_import=True)
    every = started | _reached(modules, [*started, *_handler_modules(project)], at_import=False)
    exclusions = read_exclusions(upload.settings)
    imports = ImportLint(modules, upload, read_packages(upload.dependencies), exclusions)
    found = [*chain.from_iterable(map(imports.check, every.values()))]
    for name, source in every.items():
        found.extend([*source.findings, *CodeLint(modules).check(source, at_import=name in started)])
    found.extend(chain.from_iterable(plain_handler(every[name]) for name in jobs if name in every))
    found = _not_excused(found, every.values())
    found.extend([*missing_configuration(project, upload), *check_configuration(project, upload)])
    found.extend([*modules.findings, *upload.findings, *chain.from_iterable(map(_check_options, specs))])
    return tuple(sorted({_settled(finding, upload) for finding in found}))


def _spec_files(project: Project) -> list[SpecFile]:
    files = read_spec_files(project.root, project.root / project.specs)
    return [file for file in files if isinstance(file, SpecFile)]


def _handler_modules(project: Project) -> Iterator[str]:
    """The import names of everything in the handlers' folder."""
    folder = project.root / project.handlers
    for path in sorted(folder.rglob("*.py")):
        parts = _import_name(path.relative_to(folder))
        if not path.is_dir() and all(part.isidentifier() for part in parts):
            yield ".".join([project.handlers_package, *parts])


def _import_name(path: Path) -> tuple[str, ...]:
    return path.parent.parts if path.name == "__init__.py" else path.with_suffix("").parts


def _reached(modules: Modules, names: Iterable[str], *, at_import: bool) -> dict[str, Source]:
    """These modules and all of the project that they import; with `at_import`, while they are imported themselves."""
    reached: dict[str, Source] = {}
    waiting = [parent for name in names for parent in (name, *_parents(name))]
    while waiting:
        source = modules.read(waiting.pop())
        if source is not None and source.name not in reached:
            reached[source.name] = source
            for place in modules.places_of(source):
                if place.at_import or not at_import:
                    waiting.extend(name for name in imported(place, source.package) if modules.is_local(name))
    return reached


def _parents(name: str) -> list[str]:
    return [str(parent).replace("/", ".") for parent in PurePosixPath(name.replace(".", "/")).parents if parent.name]


def _not_excused(findings: Iterable[CodeFinding], sources: Iterable[Source]) -> list[CodeFinding]:
    excused = {(source.path, line) for source in sources for line in source.excused}
    return [finding for finding in findings if (finding.path, finding.line) not in excused]


def _check_options(spec: SpecFile) -> Iterator[CodeFinding]:
    document = read_document(spec.path, spec.data).document
    options = document.value.get("x-job") if document is not None and isinstance(document.value, dict) else None
    if document is not None and isinstance(options, dict) and options.get("runIn") == "process":
        line, column = document.place(("x-job", "runIn"))
        rule = PROCESS_HANDLER
        message = f'"runIn": "process" {rule.why}'
        yield CodeFinding(spec.path, line, column, rule.verdict, rule.name, message, rule.advice)


def _settled(finding: CodeFinding, upload: Upload) -> CodeFinding:
    """The finding as it is with the configuration of this Worker."""
    since = RULES[finding.rule].since
    is_possible = since is not None and (upload.date is None or upload.date >= since)
    verdict = Verdict.WARN if is_possible else finding.verdict
    advice = finding.advice.format(pyproject=upload.pyproject, wrangler=upload.wrangler)
    return replace(finding, verdict=verdict, advice=advice)
