"""Read-only calls of git: they read the files of a revision without a checkout, and the history of a branch."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from shutil import which
from typing import NoReturn

from server_jobs.errors import ProjectError
from server_jobs.project import Project

_SECONDS = 60
_FOLLOWED = ("cat-file", "--follow-symlinks")


class Git:
    """Git on the repository that contains a folder, even inside a git hook of another repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = which("git")
        if program is None:
            raise ProjectError("git is not installed here, and --against needs it")
        self.program = program
        self.environment: Mapping[str, str] = os.environ
        local = self.text("rev-parse", "--local-env-vars").split()
        # Drop the variables that choose a repository, and keep those with settings.
        self.environment = {
            name: value for name, value in os.environ.items() if name not in local or name.startswith("GIT_CONFIG_")
        }

    def commit(self, revision: str) -> str:
        """Return the id of the commit that a revision names."""
        if self.run("rev-parse", "--git-dir").returncode:
            raise ProjectError(f"{self.folder} is not in a repository of git, so there is nothing to compare with")
        done = self.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        if done.returncode:
            raise ProjectError(
                f"git knows no revision {revision!r} here; in CI fetch it first, a shallow clone has one branch only"
            )
        return done.stdout.decode().strip()

    def tree(self, path: str) -> str | None:
        """Return the id of the tree of a folder such as `main:specs`, following links; None if there is no folder."""
        head = self.data(*_FOLLOWED, "--batch-check", given=f"{path}\n".encode("utf-8", "surrogateescape"))
        words = head.split()
        return words[0].decode() if words[1:2] == [b"tree"] and words[-1] != b"missing" else None

    def contents(self, objects: Iterable[str]) -> Iterator[bytes | str]:
        """Yield the content of each file. Follow links that stay inside the tree at the start of the path.

        If there is no file, yield git's word for the reason: "symlink" for a link out of the tree, "dangling" or
        "missing".
        """
        given = "".join(f"{name}\n" for name in objects).encode("utf-8", "surrogateescape")
        rest = self.data(*_FOLLOWED, "--batch", given=given)
        while rest:
            head, _, rest = rest.partition(b"\n")
            words = head.split(b" ")
            if words[-1] == b"missing":
                yield "missing"
                continue
            size = int(words[-1])
            is_file = words[1:2] == [b"blob"]
            yield rest[:size] if is_file else (words[0] if len(words) == 2 else words[1]).decode()
            rest = rest[size + 1 :]

    def text(self, *arguments: str) -> str:
        """Run git, and return its output as text. Raises `ProjectError` if git fails."""
        return self.data(*arguments).decode("utf-8", "replace")

    def data(self, *arguments: str, given: bytes = b"") -> bytes:
        """Run git with `given` as its input, and return its output as bytes. Raises `ProjectError` if git fails."""
        done = self.run(*arguments, given=given)
        if done.returncode:
            self._fail(arguments, done.stderr)
        return done.stdout

    def run(self, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run git, and return the finished process. Raises `ProjectError` after 60 seconds."""
        try:
            return subprocess.run(  # noqa: S603  arguments, no shell
                [self.program, *arguments],
                cwd=self.folder,
                env=self.environment,
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


def is_of_another_branch(project: Project, start: str) -> bool:
    """Return whether the current branch never had a file whose path starts like this. Return False without git."""
    try:
        git = Git(project.root)
        if git.run("rev-parse", "--git-dir").returncode:
            return False
        pattern = f"{start}*"
        is_tracked = git.text("ls-files", "--", pattern)
        return not is_tracked and not git.text("log", "-1", "--format=%H", "HEAD", "--", pattern)
    except ProjectError:
        return False
