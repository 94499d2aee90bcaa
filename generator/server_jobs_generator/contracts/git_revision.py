"""The specs and the lock of a revision of git. Nothing is checked out, and nothing is written."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from server_jobs.errors import ProjectError
from server_jobs.project import Project

from ..files.git import Git
from ..problems.problem import SpecProblem
from ..problems.spec_rules import FILE_UNREADABLE, LINK_OUTSIDE
from ..read.document import MAX_FILE_BYTES
from ..read.spec_files import ACCEPTED, SHARED, SpecFile, named_file
from .lock.lock_file import LOCK

_LINK = "120000"
_FILE_MODES = ("100644", "100755", _LINK)


@dataclass(frozen=True, slots=True)
class Revision:
    """What a revision has of a project, in the folders where it was then: the specs in the order of their names.

    `folder` is relative to the top of the repository, the paths of the specs and of the lock to the project's root. A
    link among the specs counts as the one which it leads to, as it does on disk; else it is a problem. `lock` is None
    where there was none.
    """

    folder: str
    specs: tuple[SpecFile | SpecProblem, ...]
    lock_path: str
    lock: bytes | None


def read_revision(project: Project, revision: str) -> Revision:
    """What there is at a revision; no specs at one of before the project had any.

    Raises `ProjectError` when there is no git, no such revision, or something else in the place of the specs.
    """
    git = Git(project.root)
    commit = git.commit(revision)
    root = git.text("rev-parse", "--show-prefix").strip()
    then = _folders(git, f"{commit}:{root}", project)
    path = f"{root}{then.specs}"
    tree = git.tree(f"{commit}:{path}")
    if tree is None and git.data("ls-tree", "-z", "--full-tree", commit, "--", path):
        raise ProjectError(f"{path} is no folder of this repository at {revision}, so nothing can be compared")
    specs = () if tree is None else tuple(_files(git, tree, then.specs))
    locked = f"{then.output}/{LOCK}"
    lock = next(git.contents([f"{commit}:{root}{locked}"]), None)
    return Revision(path, specs, locked, lock if isinstance(lock, bytes) else None)


@dataclass(frozen=True, slots=True)
class _Folders:
    specs: str
    output: str


def _folders(git: Git, top: str, project: Project) -> _Folders:
    """Where the project kept them then, as its pyproject.toml says; where it does now if that cannot be told."""
    today = _Folders(project.specs, project.output)
    done = git.run("cat-file", "blob", f"{top}pyproject.toml")
    try:
        tools = tomllib.loads(done.stdout.decode()).get("tool")
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        return today
    settings = tools.get("server-jobs") if isinstance(tools, dict) else None
    if not isinstance(settings, dict):
        return today
    unsaid = Project(root=project.root)
    specs, output = settings.get("specs", unsaid.specs), settings.get("output", unsaid.output)
    is_readable = isinstance(specs, str) and isinstance(output, str)
    return _Folders(specs.strip("/"), output.strip("/")) if is_readable else today


def _files(git: Git, tree: str, folder: str) -> Iterator[SpecFile | SpecProblem]:
    """The specs in the tree of a folder, in order."""
    objects = dict(sorted(_objects(git, tree)))
    for name, content in zip(objects, git.contents(objects.values()), strict=True):
        path = f"{folder}/{name}"
        match content:
            case bytes():
                yield named_file(name, path, content[: MAX_FILE_BYTES + 1])
            case "symlink":
                yield SpecProblem(path, 1, 1, "", "is a link that leads out of the folder of specs", LINK_OUTSIDE.id)
            case _:
                yield SpecProblem(
                    path, 1, 1, "", f"cannot be read: git finds no file there ({content})", FILE_UNREADABLE.id
                )


def _objects(git: Git, tree: str) -> Iterator[tuple[str, str]]:
    """The name of each spec, and what git knows it by."""
    listed = git.data("ls-tree", "-r", "-z", "--full-tree", tree)
    for entry in filter(None, listed.decode("utf-8", "surrogateescape").split("\0")):
        about, _, name = entry.partition("\t")
        mode, _, blob = about.split(" ")
        if mode in _FILE_MODES and _is_spec(name):
            # Only by its path can git follow a link, and only a path of one line can be asked for.
            yield name, f"{tree}:{name}" if mode == _LINK and "\n" not in name else blob


def _is_spec(name: str) -> bool:
    path = PurePosixPath(name)
    is_hidden = any(part.startswith(".") for part in path.parts)
    is_placed = len(path.parts) == 1 or path.parts[0] == SHARED
    return path.suffix == ".json" and is_placed and not is_hidden and path.name != ACCEPTED
