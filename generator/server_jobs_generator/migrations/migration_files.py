"""The migrations of a project: Alembic's environment, its revisions, and the same revisions as flat SQL.

Revisions are appended, never edited. Alembic runs only if the tables, the declared schedules or the views changed since
the last run, because importing it costs more than everything else here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import server_jobs
from server_jobs.contract.row_limits import ROW_LIMITS
from server_jobs.databases.url import DATABASE_URL, DEFAULT_URL
from server_jobs.project import Project

from ..files.generated_file import File, KeptFile, Ownership, read_file
from ..files.manifest import Manifest, hash_content
from ..ir.spec import JobSpec
from ..python.code import Code, header, literal, name, render
from .declared_state import ScheduleRow, objects_hash, postgresql_functions, schedule_rows, wanted_objects
from .history import Revision, appended_paths, heads, read_history, sql_paths, versions_folder

Files = list[File | KeptFile]


def migration_files(project: Project, jobs: Sequence[JobSpec], manifest: Manifest) -> Files:
    """Return the files in `migrations/` and the Worker's copy of the SQL.

    Old revisions stay as they are, new ones are appended. Raises `ProjectError` if the existing revisions cannot be
    run.
    """
    variable = DATABASE_URL if project.databases else project.database_url_env
    environment = render(
        "env.py.jinja",
        header=header(),
        variable=name(project.url_variable),
        url=Code("database_url()" if variable is None else f"database_url(variable={literal(variable)})"),
        otherwise=Code("which must be set" if variable else f"or else {DEFAULT_URL}"),
        schema=Code("None") if project.schema is None else literal(project.schema),
    )
    # Of several databases, each has its own schedules, which its workers store.
    schedules = {} if project.databases else schedule_rows(jobs)
    fingerprint = schema_fingerprint(jobs, schedules)
    unchanged = _unchanged_files(project, manifest, fingerprint)
    revisions = unchanged or _history_files(project, jobs, schedules, manifest, fingerprint)
    return [File(f"{project.output}/migrations/env.py", environment), *revisions]


def schema_fingerprint(jobs: Iterable[JobSpec], schedules: Mapping[str, ScheduleRow]) -> str:
    """Return a hash of the input of revisions: the tables' module, the schedules, the views and the limits of rows."""
    tables = Path(server_jobs.__file__).with_name("schema.py").read_bytes()
    rows = json.dumps(schedules, sort_keys=True)
    views_of = {job.class_name: objects_hash(job) for job in jobs}
    views = json.dumps([views_of, ROW_LIMITS, [one.create for one in postgresql_functions()]], sort_keys=True)
    return hashlib.sha256(b"\0".join((tables, rows.encode(), views.encode()))).hexdigest()


def _unchanged_files(project: Project, manifest: Manifest, fingerprint: str) -> Files:
    """Return the appended files of the last run, if no new revision is due and all of them are unchanged."""
    history = read_history(project)
    tips = heads(history)
    if len(tips) != 1 or fingerprint != tips[0].leads_to:
        return []
    paths = [
        path
        for one in history
        for path in (f"{versions_folder(project)}/{one.file_name}", *sql_paths(project, one).values())
    ]
    if sorted(paths) != appended_paths(project):
        return []
    kept = [KeptFile(path, hash_content(read_file(project.root / path) or b""), Ownership.APPENDED) for path in paths]
    return [*kept] if all(file.hash in manifest.hashes.get(file.path, ()) for file in kept) else []


def _history_files(
    project: Project,
    jobs: Sequence[JobSpec],
    schedules: Mapping[str, ScheduleRow],
    manifest: Manifest,
    fingerprint: str,
) -> Files:
    # Imported only if a new revision may be due.
    from .flat_sql import sql_files
    from .revisions import new_revisions

    history = read_history(project)
    new = new_revisions(history, schedules, wanted_objects(jobs), fingerprint, project.name)
    kept = {file.path: file for file in _unchanged(project, history, manifest)}
    revisions = [
        File(f"{versions_folder(project)}/{revision.file_name}", revision.text, Ownership.APPENDED)
        for revision in (*history, *new)
    ]
    made = [*revisions, *sql_files(project, [*history, *new], kept)]
    return [*kept.values(), *(file for file in made if file.path not in kept)]


def _unchanged(project: Project, history: Sequence[Revision], manifest: Manifest) -> Iterator[KeptFile]:
    """Yield unchanged revisions and flat SQL. After a changed revision, all SQL has to be made again."""
    is_same, hashes = True, manifest.hashes
    for revision in history:
        path = f"{versions_folder(project)}/{revision.file_name}"
        digest = hash_content(revision.text.encode())
        if digest in hashes.get(path, ()):
            yield KeptFile(path, digest, Ownership.APPENDED)
        else:
            is_same = False
        for path in sql_paths(project, revision).values() if is_same else ():
            content = read_file(project.root / path)
            if content is not None and (digest := hash_content(content)) in hashes.get(path, ()):
                yield KeptFile(path, digest, Ownership.APPENDED)
