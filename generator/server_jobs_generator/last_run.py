"""Traces of earlier runs and merges in a project: conflicts, the lock, the manifest, and handlers with old names.

A run starts here: it stops at conflicts, and compares everything else with the lock and the manifest.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from server_jobs.errors import ProjectError
from server_jobs.project import Project

from .contracts.job_history import forget, name_problems, relock, steps_of
from .contracts.lock_file import Lock, entries_in, lock_path, read_lock
from .contracts.lock_merge import lock_of_parents, merge_locks, merged_lock
from .files.cache_folder import CACHE, cache_folder, make_cache_folder, read_cached, write_cached
from .files.generated_file import conflict_line, read_file
from .files.manifest import Manifest, hash_content, manifest_path, read_manifest
from .ir.spec import JobSpec
from .migrations.history import appended_paths, heads, is_intact, is_revision, read_history
from .outputs import sql_forms, user_files
from .problems.problem import SpecProblem
from .problems.rules import HANDLER_NOT_MOVED, MERGE_CONFLICT
from .read.library import SpecFile

_FILE = "locked"
_LENGTH_BITS = 0xFFF
_EXTENSION = 2
_STAGE_SHIFT, _STAGE_BITS = 12, 3
_BROKEN = ""

_SOLVE = "a merge left a conflict here; the file is yours: solve the conflict, then run `server-jobs generate`"
_TAKE = (
    "a merge left a conflict here, although revisions never change; "
    "take the file from the branch whose databases you keep, then run `server-jobs generate`"
)


def merge_conflicts(
    project: Project, specs: Iterable[SpecFile | SpecProblem], problems: Iterable[SpecProblem]
) -> list[SpecProblem]:
    """Return the problems of specs, with one for each file that a user has to merge.

    Other problems of a file with conflicts are dropped until the conflicts are solved.

    Everything else in the output folder is generated from the specs and from the contracts of both branches.
    """
    yours = {file.path: file.data for file in specs if isinstance(file, SpecFile)}
    yours |= dict(_contents(project, user_files(project)))
    revisions = [path for path in appended_paths(project) if is_revision(path.rpartition("/")[2])]
    found = [*_conflicts(yours.items(), _SOLVE), *_conflicts(_contents(project, revisions), _TAKE)]
    unmerged = {problem.path for problem in found}
    return [*found, *(problem for problem in problems if problem.path not in unmerged)]


def _conflicts(files: Iterable[tuple[str, bytes]], message: str) -> Iterator[SpecProblem]:
    for path, content in files:
        line = conflict_line(content)
        if line is not None:
            yield SpecProblem(path, line, 1, "", message, MERGE_CONFLICT.id)


def _contents(project: Project, paths: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    for path in paths:
        with suppress(OSError, ProjectError):
            yield path, read_file(project.root / path) or b""


@dataclass(frozen=True, slots=True)
class LastRun:
    """The lock without dropped versions, and the problems that jobs have with it.

    `recorded` is the manifest of the last run. `manifest` adds the hashes of sealed files.
    """

    lock: Lock
    recorded: Manifest
    manifest: Manifest
    problems: tuple[SpecProblem, ...]


def read_last_run(
    project: Project,
    jobs: Sequence[JobSpec],
    relocked: Sequence[tuple[str, int | None]],
    forgotten: Sequence[tuple[str, int]],
) -> LastRun:
    """Read the lock and the manifest, and drop relocked and forgotten versions from the lock.

    Raises `ProjectError` if the lock is missing or cannot be read, because the specs do not know what was queued before
    them. Raises `InvalidOptionError` for a version that cannot be dropped.
    """
    recorded = read_manifest(project)
    before = _read_lock(project, recorded)
    lock = forget(relock(before, relocked), forgotten)
    problems = (*name_problems(jobs, lock), *_handlers_left_behind(project, jobs, before))
    return LastRun(lock, recorded, _with_seals(project, recorded), problems)


def _read_lock(project: Project, manifest: Manifest) -> Lock:
    path = lock_path(project)
    content = read_file(project.root / path) if os.path.lexists(project.root / path) else None
    if content is not None:
        remember_lock(project)
        return _merged_or_read(project, manifest, content)
    is_first_run = not manifest.hashes or manifest.is_of_first_run
    if not is_first_run or stages_of_lock(project) or _was_here(project):
        # An empty lock would forget released contracts.
        raise ProjectError(_lock_is_gone(project))
    return Lock()


def _merged_or_read(project: Project, manifest: Manifest, content: bytes) -> Lock:
    """Return the lock as it is, or the lock of both branches during a merge and until the run after it."""
    if conflict_line(content) is not None or any(stages_of_lock(project)):
        lock = merged_lock(project, content)
        if lock is not None:
            return lock
    try:
        lock = read_lock(project)
        if not manifest.is_merged and len(heads(read_history(project))) < 2:
            return lock
        # The user may have kept the lock of one branch.
        parents = lock_of_parents(project)
        return lock if parents is None else merge_locks(Lock(), parents, lock)
    except ProjectError:
        lock = lock_of_parents(project)
        if lock is None:
            raise
        return lock


def _lock_is_gone(project: Project) -> str:
    """Return the message for a deleted lock, with commands that restore it or start over."""
    lock = lock_path(project)
    left = [path for path in (manifest_path(project), CACHE) if os.path.lexists(project.root / path)]
    back, start_over = "restore it from version control", f"delete {' and '.join(left)} as well" if left else ""
    if stages_of_lock(project):
        back = f"run `git checkout -- {' '.join(_lost(project))}`"
        start_over = ", ".join(filter(None, (f"run `git rm --cached {lock}`", start_over)))
    return (
        f"{lock} is gone, and nothing else knows the contracts of jobs that may be queued; {back}; "
        f"or, if nothing was ever queued, {start_over}"
    )


def _lost(project: Project) -> list[str]:
    """Return the missing files that cannot be generated again; or all of them if none is missing."""
    if not (project.root / project.output).is_dir():
        return [project.output]
    folders = ["migrations", *(f"{form.folder}/migrations" for form in sql_forms(project).values())]
    paths = [lock_path(project), manifest_path(project), *(f"{project.output}/{folder}" for folder in folders)]
    return [path for path in paths if not os.path.lexists(project.root / path)]


def stages_of_lock(project: Project) -> tuple[int, ...]:
    """Return the stage of each entry of the lock in git's index, above 0 in an unsolved conflict.

    The index names every tracked file, and is read without running git. Return none if git does not track the lock, or
    if the index is compressed or split, which cannot be read.
    """
    with suppress(OSError, ValueError):
        for folder in (project.root, *project.root.parents):
            if (folder / ".git").exists():
                path = (project.root / lock_path(project)).relative_to(folder).as_posix()
                return tuple(_stages(_index(folder / ".git"), path.encode()))
    return ()


def _was_here(project: Project) -> bool:
    """Return whether an earlier run in this folder saw or wrote a lock. False if the cache was deleted since."""
    with suppress(OSError):
        return read_cached(cache_folder(project) / _FILE) == _mark(project)
    return False


def remember_lock(project: Project) -> None:
    """Record that there is a lock. Does nothing if the folder is read-only."""
    with suppress(OSError):
        if not _was_here(project):
            make_cache_folder(project)
            write_cached(cache_folder(project) / _FILE, _mark(project))


def _mark(project: Project) -> bytes:
    """Return a mark with the folder's inode, so that a copied or committed cache says nothing about this folder."""
    found = cache_folder(project).stat()
    return f"{lock_path(project)} {found.st_dev} {found.st_ino}".encode()


def _index(git: Path) -> bytes:
    """Return the index of the repository, or of the work tree whose `.git` file has its path."""
    if git.is_file():
        git = git.parent / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
    index = git / "index"
    return index.read_bytes() if index.is_file() else b""


def _stages(index: bytes, path: bytes) -> Iterator[int]:
    """Yield the stage of each entry of that path, 0 unless there is a conflict.

    The two bytes before the path have the stage and the length of the path. Entries of newer formats have two more
    bytes in between.
    """
    at = index.find(path + b"\0")
    while at >= 0:
        for before in (at, at - _EXTENSION):
            flags = int.from_bytes(index[before - 2 : before])
            if flags & _LENGTH_BITS == min(len(path), _LENGTH_BITS):
                yield flags >> _STAGE_SHIFT & _STAGE_BITS
                break
        at = index.find(path + b"\0", at + 1)


def _with_seals(project: Project, manifest: Manifest) -> Manifest:
    """Return the manifest with the hashes of sealed files added.

    The id of a revision and the checksum of flat SQL are seals: they show whether the file was changed. The manifest
    therefore need not list these files, and branches that append files do not conflict in it. For the same reason it
    has a hash for each job in the lock. If a seal is broken, the hash matches no content.
    """
    recorded, appended = manifest.hashes, dict(manifest.appended)
    for path in appended_paths(project):
        content = read_file(project.root / path) or b""
        if path not in recorded:
            appended[path] = hash_content(content) if is_intact(path, content) else _BROKEN
    return _with_lock(project, replace(manifest, appended=appended))


def recorded_hashes(project: Project, hashes: Mapping[str, str], lock: str) -> dict[str, str]:
    """Return the hashes for a manifest, with one for each job in the text of the lock instead of one for the file."""
    path = lock_path(project)
    others = {one: digest for one, digest in hashes.items() if one != path}
    return others | {f"{path}#{name}": hash_content(entry.encode()) for name, entry in entries_in(lock).items()}


def _with_lock(project: Project, manifest: Manifest) -> Manifest:
    """Return the manifest with a hash for the lock, which it records entry by entry."""
    path = lock_path(project)
    recorded = {one: digests for one, digests in manifest.hashes.items() if one.startswith(f"{path}#")}
    content = read_file(project.root / path)
    is_recorded = recorded or manifest.is_merged or manifest.generator  # a lock without jobs has no hashes
    if content is None or path in manifest.hashes or not is_recorded:
        return manifest
    found = recorded_hashes(project, {}, content.decode("utf-8", "replace"))
    # An interrupted run may have left the entries before or after it.
    is_same = found.keys() >= recorded.keys() - manifest.unfinished.keys() and all(
        digest in recorded.get(one, ()) for one, digest in found.items()
    )
    digest = hash_content(content) if is_same or manifest.is_merged else _BROKEN
    rewritten = {one: each for one, each in manifest.rewritten.items() if one not in recorded}
    unfinished = {one: each for one, each in manifest.unfinished.items() if one not in recorded}
    return replace(manifest, rewritten={**rewritten, path: digest}, unfinished=unfinished)


def _handlers_left_behind(project: Project, jobs: Sequence[JobSpec], lock: Lock) -> Iterator[SpecProblem]:
    """Yield jobs whose handlers or upcasters still have their old names and would no longer be used.

    A job is identified by its title, so it stays the same job if its spec file gets another name. Its handlers belong
    to the user and have to move too.
    """
    for job in jobs:
        moves = [
            (f"{project.handlers}/{old}.py", f"{project.handlers}/{new}.py")
            for old, new in _modules(job, lock)
            if _is_file(project, f"{project.handlers}/{old}.py")
            and not _is_file(project, f"{project.handlers}/{new}.py")
        ]
        if moves:
            yield SpecProblem(job.path, 1, 1, "", _message(job, lock, moves), HANDLER_NOT_MOVED.id)


def _modules(job: JobSpec, lock: Lock) -> Iterator[tuple[str, str]]:
    """Yield the old and the new name of each module of a moved job."""
    locked = lock.jobs.get(job.class_name)
    if locked is not None and locked.spec_name != job.spec_name:
        yield locked.spec_name, job.spec_name
        for step in steps_of(job, lock):
            for version in (step.before, step.after):
                yield f"{locked.spec_name}{version.module.removeprefix(job.spec_name)}", version.module


def _is_file(project: Project, path: str) -> bool:
    return os.path.lexists(project.root / path)


def _message(job: JobSpec, lock: Lock, moves: Sequence[tuple[str, str]]) -> str:
    earlier = lock.jobs[job.class_name].spec_name
    unique: Mapping[str, str] = dict(moves)
    commands = " && ".join(f"git mv {old} {new}" for old, new in unique.items())
    return (
        f"{job.class_name} was {earlier} before, so its handlers have to move: run "
        f"{commands}, or delete {' and '.join(unique)} if you want to start over"
    )
