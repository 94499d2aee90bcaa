"""The lock during a merge: every contract that either branch released, from the contracts instead of their text.

A job, a version or a contract leaves the lock only if one branch dropped it and the other did not change it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import TypeVar

from server_jobs.errors import ProjectError
from server_jobs.project import Project

from ..files.generated_file import conflict_line, sides
from ..files.git import Git
from .contract import Contract
from .lock_file import Lock, LockedJob, lock_path, parse_lock

_ADVICE = "put the jobs and versions of both branches into it, or take it from one of them and solve the merge again"

T = TypeVar("T")


def merged_lock(project: Project, content: bytes) -> Lock | None:
    """Return the merged lock; None if `content` already is that, or if git knows of no merge.

    Git's index has both sides until the conflict is marked as solved. The conflict marks in the text have them too.
    Raises `ProjectError` if neither can be read.
    """
    has_conflict = conflict_line(content) is not None
    stages = _stages(project)
    if has_conflict and not {2, 3} <= stages.keys():
        texts = sides(content.decode("utf-8", "replace"))
        return merge_locks(Lock(), *(_parsed(project, text.encode()) for text in texts))
    if not has_conflict and content not in (stages.get(2), stages.get(3)):
        return None
    base, ours, theirs = (_parsed(project, stages.get(stage, b"")) for stage in (1, 2, 3))
    return merge_locks(base, ours, theirs)


def lock_of_parents(project: Project) -> Lock | None:
    """Return the merged lock of the last merge's branches, or of the current merge; None if there is none.

    For a lock that git merged without a conflict but that cannot be read.
    """
    git = _git(project)
    if git is None:
        return None
    parents = _ids(git, "HEAD", "MERGE_HEAD") or _ids(git, "HEAD^@")
    contents = [content for parent in parents if (content := _shown(project, git, parent)) is not None]
    if len(contents) < 2:
        return None
    found = git.run("merge-base", "--octopus", *parents)
    base = _shown(project, git, found.stdout.decode().strip()) if not found.returncode else None
    before = _parsed(project, base or b"")
    return reduce(lambda one, other: merge_locks(before, one, other), [_parsed(project, each) for each in contents])


def _stages(project: Project) -> dict[int, bytes]:
    """Return the lock of the common base (1), of ours (2) and of theirs (3), if git has an unsolved conflict."""
    git = _git(project)
    return {} if git is None else dict(_staged(git, lock_path(project)))


def _staged(git: Git, path: str) -> Iterator[tuple[int, bytes]]:
    done = git.run("ls-files", "--unmerged", "-z", "--", path)
    for entry in done.stdout.split(b"\0")[:-1] if not done.returncode else ():
        _, name, stage = entry.partition(b"\t")[0].split()
        yield int(stage), git.data("cat-file", "blob", name.decode()).replace(b"\r\n", b"\n")


def _ids(git: Git, *revisions: str) -> list[str]:
    done = git.run("rev-parse", "--quiet", *revisions, "--")
    return done.stdout.decode().split()[:-1] if not done.returncode else []


def _shown(project: Project, git: Git, commit: str) -> bytes | None:
    done = git.run("cat-file", "blob", f"{commit}:./{lock_path(project)}")
    return None if done.returncode else done.stdout.replace(b"\r\n", b"\n")


def _parsed(project: Project, content: bytes) -> Lock:
    return parse_lock(lock_path(project), content, advice=_ADVICE) if content else Lock()


def _git(project: Project) -> Git | None:
    try:
        git = Git(project.root)
    except ProjectError:
        return None
    return None if git.run("rev-parse", "--git-dir").returncode else git


def merge_locks(base: Lock, ours: Lock, theirs: Lock) -> Lock:
    """Return everything that both branches released since `base`; an empty base keeps everything."""
    names = {**ours.jobs, **theirs.jobs}
    merged = {name: _job(*(lock.jobs.get(name) for lock in (base, ours, theirs))) for name in names}
    return Lock({name: job for name, job in merged.items() if job is not None})


def _job(base: LockedJob | None, ours: LockedJob | None, theirs: LockedJob | None) -> LockedJob | None:
    if ours is None or theirs is None:
        left = ours or theirs
        return None if left == base else left
    known = base or LockedJob(spec_name=ours.spec_name, status=ours.status, versions={})
    versions = {
        version: _contracts(*(job.versions.get(version, ()) for job in (known, ours, theirs)))
        for version in sorted({*ours.versions, *theirs.versions})
    }
    return LockedJob(
        spec_name=_changed(known.spec_name, ours.spec_name, theirs.spec_name),
        status=_changed(known.status, ours.status, theirs.status),
        versions={version: contracts for version, contracts in versions.items() if contracts},
        redact=_joined(known.redact, ours.redact, theirs.redact),
    )


def _contracts(base: Sequence[Contract], ours: Sequence[Contract], theirs: Sequence[Contract]) -> tuple[Contract, ...]:
    """Merge the contracts of both sides, `ours` last. Equal schemas appear once, because rows ignore options."""
    keys = [[contract.schemas for contract in side] for side in (base, ours, theirs)]
    by_key: Mapping[str, Contract] = {contract.schemas: contract for contract in (*theirs, *ours)}
    return tuple(by_key[key] for key in _joined(*keys))


def _changed(base: T, ours: T, theirs: T) -> T:
    return theirs if ours == base else ours


def _joined(base: Sequence[str], ours: Sequence[str], theirs: Sequence[str]) -> tuple[str, ...]:
    """Merge both lists without items that one side dropped, starting with the base and ending with `ours`."""
    both = dict.fromkeys((*base, *theirs, *ours))
    return tuple(one for one in both if (one in ours and one in theirs) or one not in base)
