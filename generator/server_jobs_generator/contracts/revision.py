"""The spec files of a revision of git. Nothing is checked out, and nothing is written."""

from __future__ import annotations

import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from shutil import which
from typing import NoReturn

from server_jobs.errors import ProjectError
from server_jobs.project import Project

from ..document import MAX_FILE_BYTES
from ..spec_files import ACCEPTED, SHARED, SpecFile

_FILE_MODES = ("100644", "100755")
_SECONDS = 60


def read_revision(project: Project, revision: str) -> list[SpecFile]:
    """The specs at a revision, in the order of their names, in the folder where they were then.

    Raises `ProjectError` when there is no git, no such revision, or no specs in it.
    """
    git = _Git(project.root)
    commit = git.commit(revision)
    root = git.text("rev-parse", "--show-prefix").strip()
    folder = _specs_folder(git, commit, root) or project.specs
    files = list(_files(git, commit, root, folder))
    if not files:
        raise ProjectError(f"there are no specs in {root}{folder} at {revision}; name a revision that has some")
    return files


class _Git:
    """Runs git in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = which("git")
        if program is None:
            raise ProjectError("git is not installed here, and --against needs it")
        self.program = program

    def commit(self, revision: str) -> str:
        """The id of the commit that a revision means."""
        if self.run("rev-parse", "--git-dir").returncode:
            raise ProjectError(f"{self.folder} is not in a repository of git, so there is nothing to compare with")
        done = self.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        if done.returncode:
            raise ProjectError(
                f"git knows no revision {revision!r} here; in CI fetch it first, a shallow clone has one branch only"
            )
        return done.stdout.decode().strip()

    def text(self, *arguments: str) -> str:
        """What git prints. Raises `ProjectError` when it fails."""
        return self.data(*arguments).decode("utf-8", "replace")

    def data(self, *arguments: str, given: bytes = b"") -> bytes:
        """The same as bytes."""
        done = self.run(*arguments, given=given)
        if done.returncode:
            self._fail(arguments, done.stderr)
        return done.stdout

    def run(self, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run git to its end."""
        try:
            return subprocess.run(  # noqa: S603  arguments, no shell
                [self.program, *arguments],
                cwd=self.folder,
                input=given,
                capture_output=True,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ProjectError(f"git {arguments[0]} took more than {_SECONDS} s and was stopped") from None

    def _fail(self, arguments: tuple[str, ...], message: bytes) -> NoReturn:
        text = message.decode("utf-8", "replace").strip()
        raise ProjectError(f"git {arguments[0]} failed: {text}")


def _specs_folder(git: _Git, commit: str, root: str) -> str | None:
    """Where the project kept its specs then, as its pyproject.toml says; None if that cannot be told."""
    done = git.run("cat-file", "blob", f"{commit}:{root}pyproject.toml")
    try:
        settings = tomllib.loads(done.stdout.decode()).get("tool", {}).get("server-jobs", {})
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        return None
    folder = settings.get("specs") if isinstance(settings, dict) else None
    return folder.strip("/") if isinstance(folder, str) else None


def _files(git: _Git, commit: str, root: str, folder: str) -> Iterator[SpecFile]:
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
