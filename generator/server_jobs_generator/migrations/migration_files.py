"""The migrations of a project: Alembic's environment, its revisions, and the same revisions as flat SQL.

Revisions are appended, never edited. Alembic is asked only when the tables, the declared schedules or the views are not
those of the last run: importing it costs more than everything else here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import server_jobs
from server_jobs.databases.url import DEFAULT_URL
from server_jobs.project import Project

from ..files.generated_file import File, KeptFile, Ownership, read_file
from ..files.manifest import Manifest, hash_content
from ..ir.spec import JobSpec
from ..parallel.processes import Processes
from ..python.code import Code, header, literal, name
from ..python.template import render
from .history import Revision, appended_paths, heads, read_history, sql_paths, versions_folder
from .schedule_rows import ScheduleRow, schedule_rows
from .views.objects import Objects, objects_hash, wanted_objects
from .views.postgresql import postgresql_functions

Files = list[File | KeptFile]


def begin_migrations(
    project: Project, jobs: Sequence[JobSpec], manifest: Manifest, fingerprint: str, processes: Processes
) -> Callable[[], Files]:
    """Begin with everything below `migrations/`, and the Worker's copy of the SQL; what is returned waits for it.

    Old revisions stay as they are, new ones are appended. `fingerprint` is that of the schema. Raises `ProjectError`,
    then or now, when the existing revisions cannot be run.
    """
    environment = render(
        "env.py.jinja",
        header=header(),
        variable=name(project.database_url_env),
        default_url=Code(DEFAULT_URL),
        schema=Code("None") if project.schema is None else literal(project.schema),
    )
    files: Files = [File(f"{project.output}/migrations/env.py", environment)]
    if unchanged := _unchanged_files(project, manifest, fingerprint):
        return lambda: [*files, *unchanged]
    wanted, schedules = wanted_objects(jobs), schedule_rows(jobs)
    if not processes.pay_off(len(jobs)):
        return lambda: [*files, *_history_files(project, schedules, wanted, manifest, fingerprint)]
    rest = processes.begin(_history_files, project, schedules, wanted, manifest, fingerprint)
    return lambda: [*files, *rest()]


def view_hashes(jobs: Iterable[JobSpec], known: Mapping[str, str]) -> dict[str, str]:
    """A hash of the views of each job, by the names of their jobs; some may be known already."""
    return {job.class_name: known.get(job.class_name) or objects_hash(job) for job in jobs}


def schema_fingerprint(jobs: Iterable[JobSpec], views_of: Mapping[str, str]) -> str:
    """A hash of all that revisions depend on: the module of the tables, the declared schedules, and the views."""
    tables = Path(server_jobs.__file__).with_name("schema.py").read_bytes()
    schedules = json.dumps(schedule_rows(jobs), sort_keys=True)
    views = json.dumps([dict(views_of), [one.create for one in postgresql_functions()]], sort_keys=True)
    return hashlib.sha256(b"\0".join((tables, schedules.encode(), views.encode()))).hexdigest()


def _unchanged_files(project: Project, manifest: Manifest, fingerprint: str) -> list[KeptFile]:
    """The appended files of the last run, if nothing asks for a new one and all of them are still as they were."""
    history = read_history(project)
    tips = heads(history)
    if len(tips) != 1 or fingerprint != tips[0].leads_to:
        return []
    paths = [
        path for one in history for path in (f"{versions_folder(project)}/{one.file_name}", *sql_paths(project, one))
    ]
    if sorted(paths) != appended_paths(project):
        return []
    kept = [KeptFile(path, hash_content(read_file(project.root / path) or b""), Ownership.APPENDED) for path in paths]
    return kept if all(file.hash in manifest.hashes.get(file.path, ()) for file in kept) else []


def _history_files(
    project: Project, schedules: Mapping[str, ScheduleRow], wanted: Objects, manifest: Manifest, fingerprint: str
) -> Files:
    # Imported only where a new revision may be due.
    from .flat_sql import sql_files
    from .revisions import new_revisions

    history = read_history(project)
    new = new_revisions(history, schedules, wanted, fingerprint, project.name)
    kept = {file.path: file for file in _unchanged(project, history, manifest)}
    revisions = [
        File(f"{versions_folder(project)}/{revision.file_name}", revision.text, Ownership.APPENDED)
        for revision in (*history, *new)
    ]
    made = [*revisions, *sql_files(project, [*history, *new], kept)]
    return [*kept.values(), *(file for file in made if file.path not in kept)]


def _unchanged(project: Project, history: Sequence[Revision], manifest: Manifest) -> Iterator[KeptFile]:
    """Revisions and flat SQL that are as they were written; no SQL from a changed revision on, whose it has to be."""
    is_same, hashes = True, manifest.hashes
    for revision in history:
        path = f"{versions_folder(project)}/{revision.file_name}"
        digest = hash_content(revision.text.encode())
        if digest in hashes.get(path, ()):
            yield KeptFile(path, digest, Ownership.APPENDED)
        else:
            is_same = False
        for path in sql_paths(project, revision) if is_same else ():
            content = read_file(project.root / path)
            if content is not None and (digest := hash_content(content)) in hashes.get(path, ()):
                yield KeptFile(path, digest, Ownership.APPENDED)
