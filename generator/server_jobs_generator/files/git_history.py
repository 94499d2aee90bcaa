"""Whether git ever had a file on the branch that is checked out."""

from __future__ import annotations

from server_jobs.errors import ProjectError
from server_jobs.project import Project


def is_of_another_branch(project: Project, start: str) -> bool:
    """Whether no file with this start of its path was ever on this branch, as far as git is there to tell."""
    from .git import Git  # rarely needed

    try:
        git = Git(project.root)
        if git.run("rev-parse", "--git-dir").returncode:
            return False
        pattern = f"{start}*"
        return not git.text("ls-files", "--", pattern) and not git.text(
            "log", "-1", "--format=%H", "HEAD", "--", pattern
        )
    except ProjectError:
        return False
