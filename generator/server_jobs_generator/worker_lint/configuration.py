"""What the files beside the Worker have to say, though they are yours: wrangler.jsonc, pyproject.toml, package.json."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from server_jobs import __version__
from server_jobs.project import Project

from .exclusion_lint import check_exclusions
from .finding import CodeFinding
from .packages import extras_of, is_requirement_of
from .rules import WORKER_PACKAGE, WORKER_PIN, WORKER_WRANGLER, WRANGLER_FILE, Rule
from .settings import Settings, read_settings
from .upload import ENGINE, Upload
from .wrangler_lint import check_wrangler

_READ_FIRST = "wrangler.json"
_OTHER_NAMES = (_READ_FIRST, "wrangler.toml")
_ROUTES = {"http", "serve"}
_DEPENDENCIES = re.compile(r"^\s*dependencies\s*=", re.MULTILINE)


def check_configuration(project: Project, upload: Upload) -> Iterator[CodeFinding]:
    """What the generated Worker needs and these files do not have. A file that is not there says nothing."""
    yield from upload.settings.findings
    if upload.settings.document is not None:
        yield from chain(_read_instead(project, upload), check_wrangler(project, upload), check_exclusions(upload))
    package = read_settings(project, f"{upload.worker}/package.json")
    yield from chain(package.findings, _npm(package), _python(project, upload))


def missing_configuration(project: Project, upload: Upload) -> Iterator[CodeFinding]:
    """That wrangler.jsonc is not there, for a project where everything else has been generated."""
    if not (project.root / upload.wrangler).is_file():
        others = [name for name in _OTHER_NAMES if (project.root / upload.worker / name).exists()]
        said = f"is missing, and {others[0]} in its place has not been looked at" if others else "is missing"
        rule = WRANGLER_FILE
        yield CodeFinding(upload.wrangler, 1, 1, rule.verdict, rule.name, f"{said}: {rule.why}", rule.advice)


def _read_instead(project: Project, upload: Upload) -> Iterator[CodeFinding]:
    """A file that wrangler looks for first."""
    path = f"{upload.worker}/{_READ_FIRST}"
    if (project.root / path).exists():
        rule = WRANGLER_FILE
        said = f"is read by wrangler instead of {upload.wrangler}, and has not been looked at: {rule.why}"
        yield CodeFinding(path, 1, 1, rule.verdict, rule.name, said, rule.advice)


def _npm(package: Settings) -> Iterator[CodeFinding]:
    groups = ("devDependencies", "dependencies")
    if package.document is not None and not any("wrangler" in package.names_at(group) for group in groups):
        yield package.finding(WORKER_WRANGLER, "devDependencies", subject="devDependencies have no wrangler")


def _python(project: Project, upload: Upload) -> Iterator[CodeFinding]:
    if upload.findings or not (project.root / upload.pyproject).is_file():
        return
    listed = [one for one in upload.dependencies or () if is_requirement_of(one, ENGINE)]
    if not any(extras_of(one, ENGINE) & _ROUTES for one in listed):
        yield _of_dependencies(project, upload, WORKER_PACKAGE, f"dependencies have no {ENGINE}[http]")
        return
    has_source = any(is_requirement_of(source, ENGINE) for source in upload.sources)
    if not has_source and not all(map(_is_pinned, listed)):
        yield _of_dependencies(project, upload, WORKER_PIN, f"dependencies do not say which {ENGINE} is meant")


def _is_pinned(requirement: str) -> bool:
    """Return whether a requirement names one package: by where it is, or by the version that is installed here."""
    return "@" in requirement or re.search(rf"==\s*{re.escape(__version__)}\s*(;|$)", requirement) is not None


def _of_dependencies(project: Project, upload: Upload, rule: Rule, subject: str) -> CodeFinding:
    listed = _DEPENDENCIES.search((project.root / upload.pyproject).read_text(encoding="utf-8", errors="replace"))
    line = listed.string.count("\n", 0, listed.end()) + 1 if listed else 1
    return CodeFinding(upload.pyproject, line, 1, rule.verdict, rule.name, f"{subject}: {rule.why}", rule.advice)
