"""The spec files of a revision of git. Nothing is checked out, and nothing is written."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import PurePosixPath

from server_jobs.errors import ProjectError
from server_jobs.project import Project

from ..document import MAX_FILE_BYTES
from ..spec_files import ACCEPTED, SHARED, SpecFile
from .git import Git

_FILE_MODES = ("100644", "100755")


def read_revision(project: Project, revision: str) -> list[SpecFile]:
    """The specs at a revision, in the order of their names, in the folder where they were then.

    Raises `ProjectError` when there is no git, no such revision, or no specs in it.
    """
    git = Git(project.root)
    commit = git.commit(revision)
    root = git.text("rev-parse", "--show-prefix").strip()
    folder = _specs_folder(git, commit, root) or project.specs
    files = list(_files(git, commit, root, folder))
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


def _files(git: Git, commit: str, root: str, folder: str) -> Iterator[SpecFile]:
    listed = git.data("ls-tree", "-r", "-z", "--full-tree", commit, "--", f"{root}{folder}/")
    blobs: dict[str, str] = {}
    for entry in filter(None, listed.decode("utf-8", "surrogateescape").split("\0")):
        about, _, path = entry.partition("\t")
        mode, _, blob = about.split(" ")
        if mode in _FILE_MODES and _is_spec(path.removeprefix(f"{root}{folder}/")):
            blobs[path] = blob
    rest = git.data("cat-file", "--batch", given="".join(f"{blob}\n" for blob in blobs.values()).encode())
    for path in blobs:
        head, _, rest = rest.partition(b"\n")
        size = int(head.split(b" ")[-1])
        yield SpecFile(
            path.removeprefix(f"{root}{folder}/"), path.removeprefix(root), rest[:size][: MAX_FILE_BYTES + 1]
        )
        rest = rest[size + 1 :]


def _is_spec(name: str) -> bool:
    path = PurePosixPath(name)
    is_hidden = any(part.startswith(".") for part in path.parts)
    is_placed = len(path.parts) == 1 or path.parts[0] == SHARED
    return path.suffix == ".json" and is_placed and not is_hidden and path.name != ACCEPTED
