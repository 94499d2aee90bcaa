"""Read and check wrangler.jsonc and pyproject.toml of the Worker, which are generated once and are then the user's."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from pydantic import JsonValue
from server_jobs import __version__
from server_jobs.project import Project
from server_jobs.security.variables import PREVIOUS_TOKEN_VARIABLE, TOKEN_VARIABLE
from server_jobs_cloudflare.binding_names import (
    ALARM_BINDING,
    ALARM_CLASS,
    D1_BINDING,
    DIRECTORY_BINDING,
    TENANTS_BINDING,
)
from server_jobs_cloudflare.command_line.settings import has_tenants
from server_jobs_generator.problems.code_finding import CodeFinding
from server_jobs_generator.problems.problem import shown
from server_jobs_generator.read.document import Document, read_document
from server_jobs_turso.url import TURSO_TOKEN, TURSO_URL

from ..templating import plain_template
from . import rules
from .rules import EXCLUDED_ENGINE, EXCLUDED_PART, MISSING_PACKAGE, NOT_INSTALLED, UNREADABLE, Rule

ENGINE = "server-jobs"
_OF_WORKERS = (
    "server_jobs",
    "server_jobs_cloudflare",
    "server_jobs_http",
    "server_jobs_integrations",
    "server_jobs_turso",
)
"""The packages of the engine that a Worker uploads."""
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?")
_owners = cache(packages_distributions)
_EXTRA = re.compile(r"""\bextra\s*==\s*["']([^"']+)""")

_BUNDLE = re.compile(r"\bbundle\.py\b([^;&|]*)")

_EXCLUDE = ("python_modules", "exclude")
_PIECES = re.compile(r"(?P<folders>(?:^|(?<=/))(?:\*\*+/)+)|(?P<rest>(?:^|(?<=/))\*\*+$)|(?P<part>\*+)|[^*]+")
_MEANT = {"folders": "(?:.*/)?", "rest": ".*", "part": "[^/]*"}
_NOT_HERE = (
    *("asgi.py", "tzdata/__init__.py", "tzdata/zoneinfo/UTC", "workers/__init__.py", "workers/entrypoints.py"),
    *("workers/fetch.py", "workers/request.py", "workers/response.py", "workers/utils.py"),
    "pydantic_core/_pydantic_core.cpython-314-wasm32-emscripten.so",
)
"""Files of the Worker that need not be installed on this machine."""
_DATE = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])")
_FIRST_DATE, _DATE_FLAG = "2026-09-08", "python_workers_314"
_SECRETS = (TOKEN_VARIABLE, PREVIOUS_TOKEN_VARIABLE, TURSO_TOKEN)
_PINNED = re.compile(rf"@|==\s*{re.escape(__version__)}\s*(;|$)")


def rule_of_absence(module: str, dependencies: Sequence[str] | None) -> Rule | None:
    """Return the rule that an import breaks; None if a dependency includes the package."""
    owners = _owners().get(module)
    if (dependencies is None or owners is None) and is_installed(module):
        return None  # the dependencies, or the content of that package, are unknown
    if dependencies is None:
        return NOT_INSTALLED
    brought = _with_requirements(dependencies)
    if not brought.isdisjoint(map(_plain, owners or ())):
        return None
    is_known = all(_requirements(parsed(one)[0]) is not None for one in dependencies)
    return MISSING_PACKAGE if is_known and _plain(module) not in brought else NOT_INSTALLED


def is_installed(module: str) -> bool:
    """Return whether this machine has a top-level module of that name. Imports nothing."""
    return module in _owners() or PathFinder.find_spec(module) is not None


@cache
def _needed_modules(dependency: str) -> Sequence[str]:
    """Return the modules at the top of all packages that a dependency needs, without its own."""
    needed = _with_requirements([dependency]) - {parsed(dependency)[0]}
    return sorted(module for module, owners in _owners().items() if not needed.isdisjoint(map(_plain, owners)))


def parsed(requirement: str) -> tuple[str, frozenset[str]]:
    """Return the name of the required package, and its extras."""
    match = _REQUIREMENT.match(requirement)
    if match is None:
        return "", frozenset()
    return _plain(match[1]), frozenset(_plain(extra.strip()) for extra in (match[2] or "").split(","))


def _with_requirements(requirements: Iterable[str]) -> frozenset[str]:
    """Return the names of these packages and of all that they need."""
    waiting = list(map(parsed, requirements))
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, extras = one = waiting.pop()
        if one not in seen:
            seen.add(one)
            for other in _requirements(name) or ():
                belongs_to = {_plain(extra) for extra in _EXTRA.findall(other)}
                waiting += [parsed(other)] if not belongs_to or belongs_to & extras else []
    return frozenset(name for name, _ in seen)


@cache
def _requirements(name: str) -> Sequence[str] | None:
    """Return the requirements of a package; None if it is not installed here. Each is read once: that is slow."""
    try:
        return requires(name) or []
    except (PackageNotFoundError, ValueError):
        return None


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True, slots=True)
class Settings:
    """Both files in the folder `worker`; one that is missing or cannot be read has no values.

    `dependencies` are None if they are unknown; `sources` are the packages with an explicit source.
    """

    worker: PurePosixPath
    wrangler: Document | None = None
    dependencies: Sequence[str] | None = None
    sources: Sequence[str] = ()
    findings: Sequence[CodeFinding] = ()
    has_tenants: bool = False
    """Whether the project has one store per tenant."""

    def at(self, *keys: str) -> JsonValue:
        """Return the value there in wrangler.jsonc, None if there is none."""
        return value_at(self.wrangler.value if self.wrangler else None, *keys)

    @property
    def excluded(self) -> list[str]:
        """Return the patterns of files that are not uploaded; an invalid value becomes a pattern without a match."""
        listed = self.at("python_modules", "exclude")
        return [one if isinstance(one, str) else "" for one in listed] if isinstance(listed, list) else []

    def finding(self, rule: Rule, keys: tuple[str | int, ...], subject: str) -> CodeFinding:
        """Return the finding at a value, or at the nearest value around the place where it is missing."""
        line, column = self.wrangler.place(keys) if self.wrangler else (1, 1)
        return rule.found(f"{self.worker}/wrangler.jsonc", f"{subject}: {rule.why}", line, column)


def read_settings(project: Project) -> Settings:
    """Read both files."""
    worker = PurePosixPath(project.output, "worker")
    wrangler, pyproject = f"{worker}/wrangler.jsonc", f"{worker}/pyproject.toml"
    document, dependencies, sources, findings = None, None, list[str](), list[CodeFinding]()
    if (project.root / wrangler).is_file():
        reading = read_document(wrangler, (project.root / wrangler).read_bytes())
        findings += (UNREADABLE.found(wrangler, one.message, one.line, one.column) for one in reading.problems)
        document = None if reading.problems else reading.document
    if (project.root / pyproject).is_file():
        try:
            content = tomllib.loads((project.root / pyproject).read_bytes().decode("utf-8", "replace"))
        except tomllib.TOMLDecodeError as error:
            findings.append(UNREADABLE.found(pyproject, f"is not valid TOML: {error}"))
        else:
            dependencies = names_in(value_at(content, "project", "dependencies"))
            sources = names_in(value_at(content, "tool", "uv", "sources"))
    return Settings(worker, document, dependencies, sources, findings, has_tenants(project))


def is_uploaded(path: str, project: Project, settings: Settings) -> bool:
    """Return whether bundle.py collects a file of the project; True if that is unknown."""
    bundled = _BUNDLE.search(str(settings.at("build", "command")))
    file, output = PurePosixPath(path), settings.worker.parent
    left_out = (output / "migrations", output / "testing")
    if bundled is None or settings.worker in file.parent.parents or any(map(file.is_relative_to, left_out)):
        return bundled is None
    source = "src" if project.output.startswith("src/") else ""
    folders = (project.output.removeprefix("src/"), project.handlers.removeprefix("src/"), *bundled[1].split())
    return any(file.is_relative_to(PurePosixPath(source, folder)) for folder in folders)


def value_at(value: JsonValue, *keys: str) -> JsonValue:
    """Return the value under these keys, None if there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def names_in(value: JsonValue) -> list[str]:
    """Return the texts in a list, or the keys of an object."""
    return [each for each in value if isinstance(each, str)] if isinstance(value, list | dict) else []


def _check_exclusions(settings: Settings) -> Iterator[CodeFinding]:
    """Find the patterns that leave out part of a dependency of the user's, or of the Worker itself."""
    patterns = settings.excluded
    for dependency in settings.dependencies or ():
        for module in _needed_modules(dependency) if parsed(dependency)[0] != ENGINE else ():
            if within := patterns_within(module, patterns):
                said = f"{_and_more(list(map(shown, within)))} left out, and {dependency} needs {module}"
                yield settings.finding(EXCLUDED_PART, (*_EXCLUDE, patterns.index(within[0])), said)
    for number, pattern in enumerate(patterns):
        taken = [] if pattern in generated_patterns() else list(filter(_expression(pattern).fullmatch, _engine_files()))
        if taken:
            said = f"{shown(pattern)} leaves out {_and_more(taken)}"
            yield settings.finding(EXCLUDED_ENGINE, (*_EXCLUDE, number), said)


def patterns_within(package: str, patterns: Iterable[str]) -> Sequence[str]:
    """Return the patterns for the code of one package."""
    return [one for one in patterns if one.startswith((f"{package}/", f"{package}.py"))]


def patterns_taking(files: Sequence[str], patterns: Iterable[str]) -> Sequence[str]:
    """Return the patterns that leave out one of these files, such as `starlette/routing.py`."""
    return [one for one in patterns if any(map(_expression(one).fullmatch, files))]


@cache
def generated_patterns() -> Sequence[str]:
    """Return the patterns of a new project: the Worker is known to do without these files."""
    text = plain_template("wrangler.jsonc")
    document = read_document("wrangler.jsonc", text.encode()).document
    return Settings(PurePosixPath(), document).excluded


@cache
def _engine_files() -> Sequence[str]:
    """Return the files that the Worker itself needs, sorted; the search goes through all installed packages."""
    found = {*_NOT_HERE}
    for module in (*_OF_WORKERS, *_needed_modules(f"{ENGINE}[dashboard]")):
        spec = find_spec(module)
        folders = [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]
        found |= {f"{module}/{file.relative_to(one).as_posix()}" for one in folders for file in one.rglob("*.py")}
        found |= {Path(spec.origin).name} if spec and spec.origin and not folders else set()
    return sorted(file for file in found if not patterns_taking([file], generated_patterns()))


def _and_more(names: Sequence[str]) -> str:
    return f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else names[0]


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    """Read a pattern as wrangler does: `**` for a whole step stands for any folders, `*` for a part of one name."""
    return re.compile("".join(_MEANT.get(str(one.lastgroup)) or re.escape(one[0]) for one in _PIECES.finditer(pattern)))


def check_configuration(settings: Settings) -> Iterator[CodeFinding]:
    """Find every setting that the generated Worker needs and these files lack. A missing file gives no finding."""
    yield from settings.findings
    if settings.wrangler is not None:
        yield from (*_options(settings), *_secrets(settings), *_check_exclusions(settings))
    if settings.dependencies is not None:
        yield from _packages(settings, [one for one in settings.dependencies if parsed(one)[0] == ENGINE])


def jobs_database(settings: Settings) -> Mapping[str, JsonValue] | None:
    """Return the D1 database of the jobs in wrangler.jsonc; None if there is none."""
    listed = settings.at("d1_databases")
    databases = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return next((one for one in databases if one.get("binding") == D1_BINDING), None)


def is_on_turso(settings: Settings) -> bool:
    """Return whether wrangler.jsonc says that the jobs are in a Turso database."""
    url = settings.at("vars", TURSO_URL)
    return (isinstance(url, str) and bool(url.strip())) or TURSO_URL in names_in(settings.at("secrets", "required"))


def _packages(settings: Settings, listed: Sequence[str]) -> Iterator[CodeFinding]:
    """Check the requirements of the engine."""
    path, package, pin = f"{settings.worker}/pyproject.toml", rules.WORKER_PACKAGE, rules.WORKER_PIN
    if not any(parsed(one)[1] & {"http", "dashboard", "serve"} for one in listed):
        yield package.found(path, f"dependencies have no {ENGINE}[dashboard]: {package.why}")
    elif not (all(map(_PINNED.search, listed)) or any(parsed(one)[0] == ENGINE for one in settings.sources)):
        yield pin.found(path, f"dependencies do not say which {ENGINE} is meant: {pin.why}")


def _options(settings: Settings) -> Iterator[CodeFinding]:
    flags, date = names_in(settings.at("compatibility_flags")), str(settings.at("compatibility_date"))
    is_recent = bool(_DATE.fullmatch(date)) and (date >= _FIRST_DATE or _DATE_FLAG in flags)
    needs: Sequence[tuple[rules.Rule, tuple[str, ...], bool]] = (
        (rules.WRANGLER_MAIN, ("main",), bool(re.fullmatch(r"(\./)?build/.+\.py", str(settings.at("main"))))),
        (rules.WRANGLER_BUILD, ("build", "command"), "bundle.py" in str(settings.at("build", "command"))),
        (rules.WRANGLER_DATE, ("compatibility_date",), is_recent),
        (rules.WRANGLER_FLAG, ("compatibility_flags",), "python_workers" in flags),
        (rules.WRANGLER_CRON, ("triggers", "crons"), settings.at("triggers", "crons") == ["* * * * *"]),
        _store_need(settings),
        (rules.WRANGLER_ALARM, ("durable_objects", "bindings"), settings.has_tenants or _has_alarm(settings)),
    )
    for rule, keys, is_met in needs:
        if not is_met:
            value = settings.at(*keys)
            yield settings.finding(rule, keys, f"{'.'.join(keys)} is {'missing' if value is None else shown(value)}")


def _store_need(settings: Settings) -> tuple[Rule, tuple[str, ...], bool]:
    if not settings.has_tenants:
        has_database = jobs_database(settings) is not None or is_on_turso(settings)
        return rules.WRANGLER_DATABASE, ("d1_databases",), has_database
    listed = settings.at("durable_objects", "bindings")
    bound = (
        {str(one.get("name")) for one in listed if isinstance(one, dict)} if isinstance(listed, list) else set[str]()
    )
    rule = replace(
        rules.WRANGLER_DATABASE,
        why="each tenant has an object",
        advice="delete wrangler.jsonc and run `server-jobs generate`",
    )
    return rule, ("durable_objects", "bindings"), bound >= {TENANTS_BINDING, DIRECTORY_BINDING}


def _has_alarm(settings: Settings) -> bool:
    """Return whether the object of the alarm is bound, and its class is made by a migration."""
    bindings, migrations = settings.at("durable_objects", "bindings"), settings.at("migrations")
    classes = [
        name
        for one in (migrations if isinstance(migrations, list) else [])
        for name in names_in(value_at(one, "new_sqlite_classes"))
    ]
    return ALARM_CLASS in classes and any(
        value_at(one, "name") == ALARM_BINDING and value_at(one, "class_name") == ALARM_CLASS
        for one in (bindings if isinstance(bindings, list) else [])
    )


def _secrets(settings: Settings) -> Iterator[CodeFinding]:
    for keys in (("vars",), *(("env", name, "vars") for name in names_in(settings.at("env")))):
        for name in names_in(settings.at(*keys)):
            has_token = name == TURSO_URL and "authtoken=" in str(settings.at(*keys, name)).lower()
            if name in _SECRETS or has_token:
                said = f"{name} {'has a token in it' if has_token else 'is a secret'}"
                yield settings.finding(rules.WRANGLER_SECRET, (*keys, name), said)
