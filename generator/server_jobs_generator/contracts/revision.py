"""The spec files of a revision of git. Nothing is checked out, and nothing is written."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import PurePosixPath

from server_jobs.errors import ProjectError
from server_jobs.project import Project

from ..document import MAX_FILE_BYTES
from ..problems import SpecProblem
from ..spec_files import ACCEPTED, SHARED, SpecFile
from ..spec_rules import FILE_UNREADABLE, LINK_OUTSIDE
from .git import Git

_LINK = "120000"
_FILE_MODES = ("100644", "100755", _LINK)


def read_revision(project: Project, revision: str) -> list[SpecFile | SpecProblem]:
    """The specs at a revision, in the order of their names, in the folder where they were then.

    A link counts as the file in that folder which it leads to, as it does on disk; else it is a problem. Raises
    `ProjectError` when there is no git, no such revision, or no specs in it.
    """
    git = Git(project.root)
    commit = git.commit(revision)
    root = git.text("rev-parse", "--show-prefix").strip()
    folder = _specs_folder(git, commit, root) or project.specs
    tree = git.tree(f"{commit}:{root}{folder}")
    files = [] if tree is None else list(_files(git, tree, folder))
    if not files:
        raise ProjectError(f"there are no specs in {root}{folder} at {revision}; name a revision that has some")
    return files


def _specs_folder(git: Git, commit: str, root: str) -> str | None:
    """Where the project kept its specs then, as its pyproject.toml says; None if that cannot be told."""
    done = git.run("cat-file", "blob", f"{commit}:{root}pyproject.toml")
    try:
        settings = tomllib.loads(done.stdout.decode()).get("tool", {}).get("server-jobs", {})
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        return None
    folder = settings.get("specs") if isinstance(settings, dict) else None
    return folder.strip("/") if isinstance(folder, str) else None


def _files(git: Git, tree: str, folder: str) -> Iterator[SpecFile | SpecProblem]:
    """The specs in the tree of a folder, in order."""
    objects = dict(sorted(_objects(git, tree)))
    for name, content in zip(objects, git.contents(objects.values()), strict=True):
        path = f"{folder}/{name}"
        match content:
            case bytes():
                yield SpecFile(name, path, content[: MAX_FILE_BYTES + 1])
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
