"""The lock while a merge is under way: put together from what each branch released, not from its text."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce

from server_jobs.errors import ProjectError
from server_jobs.project import Project

from ...files.conflict_marks import conflict_line, sides
from ...files.git import Git
from .lock_file import Lock, lock_path, parse_lock
from .lock_merge import merge_locks

_ADVICE = "put the jobs and versions of both branches into it, or take it from one of them and solve the merge again"


def merged_lock(project: Project, content: bytes) -> Lock | None:
    """Return the lock of both sides; None if `content` is that already, or git knows nothing of a merge.

    Git's index has both sides until the conflict counts as solved, and the marks in the text have them as well.
    Raises `ProjectError` when neither can be read.
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
    """Return the lock of the branches of the last merge, or of the one under way; None if there is none to read.

    For a lock that git merged without a conflict, and that cannot be read.
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
    """The lock of the common base (1), of ours (2) and of theirs (3), as far as git has an unsolved conflict."""
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
