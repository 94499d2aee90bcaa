"""The settings of a project: `[tool.server-jobs]` in pyproject.toml."""

from __future__ import annotations

import keyword
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path, PurePosixPath
from typing import Any, cast

from ..errors import ProjectError, ProjectNotFoundError
from .databases import databases_settings
from .unknown_key import suggestion

_OUTPUT_FOLDERS = ("contracts", "jobs", "migrations", "models", "schemas", "testing")

ALLOWABLE = (
    *("DEFAULT_DOES_NOT_FIT", "EXAMPLE_DOES_NOT_FIT", "EXTRA_NOT_STATED", "ITEMS_MISSING", "KEYWORD_IGNORED"),
    *("REQUIRED_UNKNOWN", "TYPE_MISSING", "UNKNOWN_FORMAT", "VALUE_DOES_NOT_FIT"),
)
"""Rules whose warnings a project may switch off: JSON Schema allows it, but it is a mistake more often than a wish."""

_NOT_SET = ("root", "name", "plug_in_tables")
"""Fields of `Project` that are not settings."""

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")

_OF_WORDS = {"outputs": "words such as 'testing'", "allow": ", ".join(ALLOWABLE)}
"""The items of lists, for messages. The generator knows the words of `outputs`, because plug-ins bring them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """The settings of one project. Folders are relative to `root`, written with `/`."""

    root: Path
    """Folder of pyproject.toml."""
    name: str = ""
    """The name under `[project]`, or empty."""
    specs: str = "specs"
    """Folder of the specs."""
    output: str = "generated"
    """Folder of the generated code, an importable package. A leading `src/` is not part of its import name."""
    handlers: str = "handlers"
    """Folder of the handlers, an importable package. It may lie inside of `output`."""
    database_url_env: str | None = None
    """Name of the environment variable with the URL of the database. Commands and `connect` fail if it is not set.
    Without this setting, the variable is `SERVER_JOBS_DATABASE_URL`, and its default a SQLite file."""
    databases: Mapping[str, str] = field(default_factory=dict)
    """The environment variable with the URL of each of several databases, by name. The first one has the jobs without
    `shardBy`."""
    database_of: str | None = None
    """Import path of a function such as `shop.databases:database_of`. It returns the name of the database for the value
    at `shardBy`. Without it, a hash of the value and the names chooses."""
    schema: str | None = None
    """PostgreSQL schema of the tables. Without it, the first schema of the connection's search path."""
    setup: str | None = None
    """Import path of a function such as `app.jobs_setup:setup`. It adds middleware and lifespans to the registry."""
    outputs: tuple[str, ...] = ()
    """Optional outputs of the generator."""
    allow: tuple[str, ...] = ()
    """Rules whose warnings are switched off, from `ALLOWABLE`."""
    types: tuple[tuple[str, str], ...] = ()
    """The class of each custom format, such as `decimal = "decimal:Decimal"`."""
    plug_in_tables: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """The tables of plug-ins by name, as they are in the file. `SettingsTable.of` reads one."""

    def __post_init__(self) -> None:
        _check_folder("specs", self.specs)
        _check_package("output", self.output)
        _check_package("handlers", self.handlers)
        _check_apart(self)
        _check_allowed(self.allow)
        _check_schema(self.schema)
        _check_import_path("setup", self.setup)
        _check_import_path("database-of", self.database_of)
        for name, place in self.types:
            _check_import_path(f"types.{name}", place)
        if self.database_url_env is not None and not self.database_url_env.isidentifier():
            raise ProjectError(
                f"[tool.server-jobs] database-url-env must name an environment variable, not {self.database_url_env!r}"
            )
        _check_databases(self)

    @property
    def url_variable(self) -> str:
        """The name of the environment variable with the URL of the database."""
        return self.database_url_env or "SERVER_JOBS_DATABASE_URL"

    @property
    def output_package(self) -> str:
        """The import name of the generated package, such as `generated` or `shop.generated`."""
        return _import_name(self.output)

    @property
    def formats(self) -> frozenset[str]:
        """The formats with a class of `types`."""
        return frozenset(name for name, _ in self.types)

    @property
    def handlers_package(self) -> str:
        """The import name of the package that holds the handlers."""
        return _import_name(self.handlers)


def find_project(start: Path) -> Project:
    """Return the project around `start`: the nearest folder upwards whose pyproject.toml has `[tool.server-jobs]`.

    Raises `ProjectNotFoundError` if there is none, and `ProjectError` for invalid settings.
    """
    for folder in (start.absolute(), *start.absolute().parents):
        if (folder / "pyproject.toml").is_file():
            document = _read(folder / "pyproject.toml")
            settings = _settings(folder / "pyproject.toml", document)
            if settings is not None:
                return Project(root=folder, name=_name(document), **_checked(settings))
    raise ProjectNotFoundError(
        f"no pyproject.toml with a table [tool.server-jobs] in {start.absolute()} or above; "
        "change to your project, add the line [tool.server-jobs] to its pyproject.toml (every key has a default), "
        "or start a project with `server-jobs init`"
    )


def _read(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ProjectError(f"{path} cannot be read: {error}") from error


def _name(document: Mapping[str, Any]) -> str:
    """Return the name of the project, or an empty text if no package can have it."""
    project = document.get("project")
    name = project.get("name") if isinstance(project, dict) else None
    return name if isinstance(name, str) and _NAME.fullmatch(name) else ""


def _settings(path: Path, document: Mapping[str, Any]) -> Mapping[str, object] | None:
    settings: object = document.get("tool", {}).get("server-jobs")
    if settings is not None and not isinstance(settings, dict):
        raise ProjectError(f"{path}: tool.server-jobs must be a table, not {settings!r}")
    return cast("Mapping[str, object] | None", settings)


def _checked(settings: Mapping[str, object]) -> dict[str, Any]:
    known = [field.name.replace("_", "-") for field in fields(Project) if field.name not in _NOT_SET]
    checked: dict[str, object] = {}
    tables: dict[str, Mapping[str, object]] = {}
    for key, value in settings.items():
        if key in known:
            checked[key.replace("-", "_")] = _READERS.get(key, _text)(key, value)
        else:
            from .plug_in_search import plug_in_table  # most projects have no such table

            tables[key] = plug_in_table(key, value, known)
    return {**checked, "plug_in_tables": tables}


def _text(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise ProjectError(f"[tool.server-jobs] {key} must be a string, not {value!r}")
    return value


def _words(key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise ProjectError(f"[tool.server-jobs] {key} must be a list of {_OF_WORDS[key]}, not {value!r}")
    return tuple(cast("list[str]", value))


def _table(key: str, value: object) -> tuple[tuple[str, str], ...]:
    entries = cast("dict[str, object]", value).items() if isinstance(value, dict) else ()
    if not isinstance(value, dict) or not all(isinstance(place, str) for _, place in entries):
        raise ProjectError(
            f"[tool.server-jobs] {key} must be a table such as {{decimal = 'decimal:Decimal'}}, not {value!r}"
        )
    return tuple(sorted((name, str(place)) for name, place in entries))


_READERS: Mapping[str, Callable[[str, object], object]] = {
    "outputs": _words,
    "allow": _words,
    "types": _table,
    "databases": lambda _, value: databases_settings(value),
}


def _check_allowed(rules: Sequence[str]) -> None:
    for rule in rules:
        if rule not in ALLOWABLE:
            raise ProjectError(f"[tool.server-jobs] allow has no word {rule!r}; {suggestion(rule, ALLOWABLE)}")


def _check_databases(project: Project) -> None:
    """Raise `ProjectError` for settings that exclude several databases, and for `database-of` without them."""
    if project.database_of is not None and not project.databases:
        raise ProjectError("[tool.server-jobs] database-of needs the table [tool.server-jobs.databases]")
    if project.databases and project.database_url_env is not None:
        raise ProjectError(
            "[tool.server-jobs] database-url-env names the only database, and [tool.server-jobs.databases] names "
            "several; remove one of them"
        )


def _check_schema(name: str | None) -> None:
    if name is not None and (not _SCHEMA.fullmatch(name) or name.startswith("pg_")):
        raise ProjectError(
            "[tool.server-jobs] schema must be a name of 1 to 63 characters of a-z, 0-9 and _, which starts with "
            f"neither a digit nor pg_, such as 'jobs', not {name!r}"
        )


def _check_import_path(key: str, value: str | None) -> None:
    if value is None:
        return
    module, _, name = value.partition(":")
    if not all(part.isidentifier() and not keyword.iskeyword(part) for part in (*module.split("."), name)):
        raise ProjectError(
            f"[tool.server-jobs] {key} must name a module and a name in it, such as 'app.jobs_setup:setup', "
            f"not {value!r}"
        )


def _check_folder(key: str, value: str) -> None:
    path = PurePosixPath(value)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\\" in value or str(path) != value:
        raise ProjectError(
            f"[tool.server-jobs] {key} must be a folder below the project, such as {key!r}, not {value!r}"
        )


def _check_package(key: str, value: str) -> None:
    _check_folder(key, value)
    for part in PurePosixPath(value).parts:
        if not part.isidentifier() or keyword.iskeyword(part):
            raise ProjectError(
                f"[tool.server-jobs] {key} = {value!r} cannot be imported: {part!r} is not a Python identifier"
            )


def _check_apart(project: Project) -> None:
    """Raise `ProjectError` if one folder contains another. Handlers may lie inside of the output folder."""
    specs, output, handlers = (PurePosixPath(path) for path in (project.specs, project.output, project.handlers))
    taken = {output, *(output / folder for folder in _OUTPUT_FOLDERS)}
    if handlers in taken or any(folder in taken for folder in handlers.parents if folder != output):
        raise ProjectError(f"[tool.server-jobs] handlers = {project.handlers!r} is a folder the generator writes")
    for key, folder in (("output", output), ("handlers", handlers)):
        if folder == specs or specs in folder.parents or folder in specs.parents:
            raise ProjectError(f"[tool.server-jobs] {key} and specs must not contain each other: {folder}, {specs}")


def _import_name(folder: str) -> str:
    return folder.removeprefix("src/").replace("/", ".")
