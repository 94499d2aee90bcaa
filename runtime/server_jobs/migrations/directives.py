"""New revisions of an application whose `version_locations` also list the revisions of server-jobs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from alembic.operations.ops import MigrationScript
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.util.exc import CommandError

BRANCH = "server_jobs"
"""The label of our branch."""


def keep_apart(context: MigrationContext, _revision: object, directives: Iterable[MigrationScript]) -> None:
    """Put new revisions into the application's own branch. For `context.configure(process_revision_directives=...)`.

    `alembic revision --autogenerate` then needs no `--head` and no `--version-path`: a revision follows the newest one
    of the application, or is its first one. An explicit head stays.
    """
    environment = context.environment_context
    if environment is None:
        raise CommandError("keep_apart works inside env.py only, as process_revision_directives of context.configure")
    for directive in directives:
        if directive.head in (None, "head"):
            _place(environment.script, directive)


def _place(scripts: ScriptDirectory, directive: MigrationScript) -> None:
    heads = [script for script in scripts.get_revisions("heads") if script is not None and not _is_ours(script)]
    if len(heads) == 1:
        directive.head = heads[0].revision
    elif not heads:
        directive.head = "base"
        directive.version_path = directive.version_path or _first_folder(scripts)


def _first_folder(scripts: ScriptDirectory) -> str:
    """Return the first folder without a revision of server-jobs."""
    ours = {Path(script.path).resolve().parent for script in scripts.walk_revisions() if _is_ours(script)}
    for location in scripts.version_locations:
        if Path(location).resolve() not in ours:
            return location
    raise CommandError("version_locations has no folder of the application; list it before the one of server-jobs")


def _is_ours(script: Script) -> bool:
    return BRANCH in script.branch_labels
