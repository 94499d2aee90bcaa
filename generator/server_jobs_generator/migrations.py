"""The migrations of a project: Alembic's environment, its revisions, and the same revisions as flat SQL.

Revisions are appended, never edited. Alembic is asked only when the tables, the declared schedules or the views are not
those of the last run: importing it costs more than everything else here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import server_jobs
from server_jobs.databases.url import DEFAULT_URL
from server_jobs.project import Project

from .files import File, KeptFile, Ownership, read_file
from .history import Revision, read_history, versions_folder
from .layout import Code, header, name
from .manifest import Manifest, hash_content
from .render import render
from .schedule_rows import schedule_rows
from .spec import JobSpec
from .sql_views.objects import objects_hash, wanted_objects
from .sql_views.postgresql import postgresql_functions


def migration_files(
    project: Project, jobs: Sequence[JobSpec], manifest: Manifest, fingerprint: str
) -> list[File | KeptFile]:
    """Everything below `migrations/`, and the Worker's copy of the SQL: old revisions as they are, new ones appended.

    `fingerprint` is that of the schema. Raises `ProjectError` when the existing revisions cannot be run.
    """
    environment = render(
        "env.py.jinja",
        header=header(),
        variable=name(project.database_url_env),
        default_url=Code(DEFAULT_URL),
    )
    return [
        File(f"{project.output}/migrations/env.py", environment),
        *(_unchanged_files(project, manifest, fingerprint) or _history_files(project, jobs, manifest)),
    ]


def view_hashes(jobs: Iterable[JobSpec], known: Mapping[str, str]) -> dict[str, str]:
    """A hash of the views of each job, by the names of their jobs; some may be known already."""
    return {job.class_name: known.get(job.class_name) or objects_hash(job) for job in jobs}


def schema_fingerprint(jobs: Iterable[JobSpec], views_of: Mapping[str, str]) -> str:
    """A hash of all that revisions depend on: the module of the tables, the declared schedules, and the views."""
    tables = Path(server_jobs.__file__).with_name("schema.py").read_bytes()
    schedules = json.dumps(schedule_rows(jobs), sort_keys=True)
    views = json.dumps([dict(views_of), [one.create for one in postgresql_functions()]], sort_keys=True)
    return hashlib.sha256(b"\0".join((tables, schedules.encode(), views.encode()))).hexdigest()


def appended_paths(project: Project) -> list[str]:
    """The revisions of the generator that lie in the project, and their flat SQL, as found on disk."""
    output = project.root / project.output
    found: list[Path] = [*(output / "migrations/versions").glob("server_jobs_[0-9][0-9][0-9][0-9]*.py")]
    for folder in ("migrations/sql/sqlite", "migrations/sql/postgresql", "worker/migrations"):
        found += (output / folder).glob("[0-9][0-9][0-9][0-9]_*.sql")
    return sorted(path.relative_to(project.root).as_posix() for path in found)


def _unchanged_files(project: Project, manifest: Manifest, fingerprint: str) -> list[KeptFile]:
    """The appended files of the last run, if nothing asks for a new one and all of them are still as they were."""
    paths = appended_paths(project)
    if manifest.schema != fingerprint or paths != sorted(manifest.appended):
        return []
    kept = [KeptFile(path, hash_content(read_file(project.root / path) or b""), Ownership.APPENDED) for path in paths]
    return kept if all(file.hash == manifest.appended[file.path] for file in kept) else []


def _history_files(project: Project, jobs: Sequence[JobSpec], manifest: Manifest) -> list[File]:
    # Imported only where a new revision may be due.
    from .flat_sql import sql_files, sql_paths
    from .revisions import new_revisions

    history = read_history(project)
    new = new_revisions(history, schedule_rows(jobs), wanted_objects(jobs))
    revisions = [
        File(f"{versions_folder(project)}/{revision.file_name}", revision.text, Ownership.APPENDED)
        for revision in (*history, *new)
    ]
    kept = {file.path: file for file in _unchanged_sql(project, history, manifest)}
    if not new and kept.keys() >= {path for revision in history for path in sql_paths(project, revision)}:
        return [*revisions, *kept.values()]
    return [*revisions, *(kept.get(file.path, file) for file in sql_files(project, [*history, *new]))]


def _unchanged_sql(project: Project, history: Sequence[Revision], manifest: Manifest) -> Iterator[File]:
    """The flat SQL that is as it was written; none from a changed revision on, since it has to say the same."""
    from .flat_sql import sql_paths

    hashes = manifest.hashes
    for revision in history:
        path = f"{versions_folder(project)}/{revision.file_name}"
        if hash_content(revision.text.encode()) not in hashes.get(path, ()):
            return
        for path in sql_paths(project, revision):
            content = read_file(project.root / path)
            if content is not None and hash_content(content) in hashes.get(path, ()):
                yield File(path, content.decode(), Ownership.APPENDED)
