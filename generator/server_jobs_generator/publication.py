"""The writing of a run's files, with a journal, so that the next run completes a killed run.

The journal is the old manifest plus the hashes of the new files. A run writes it first, then each file, then the new
manifest. In between, `check` reports the manifest and each unfinished file as stale. The next run recognizes the files
of both states as the generator's own.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from errno import EMLINK, ENOSYS, ENOTSUP, EOPNOTSUPP, EPERM, EXDEV
from pathlib import Path

from server_jobs.errors import ProjectError
from server_jobs.project import Project

from .files.generated_file import Ownership, read_file
from .files.manifest import hash_content
from .plan import Finding, Plan, State

_STAGING = ".staging-"
_WITHOUT_LINKS = frozenset({EMLINK, ENOSYS, ENOTSUP, EOPNOTSUPP, EPERM, EXDEV})
"""The errors of `link` on file systems without hard links, and from one file system to another."""


def publish(project: Project, plan: Plan) -> None:
    """Write missing and stale files of a plan, remove leftover ones, and overwrite edited ones.

    Call this only if the user agreed. Write all texts to a staging folder first, so that a full disk leaves every file
    unchanged. Raises `ProjectError` for a file that somebody changed since the comparison. The next run then reports it
    as edited.
    """
    # Imported late, because every run imports this module for `remove_staging` before it sets up garbage collection.
    from .last_run import remember_lock

    if plan.manifest is None or plan.journal is None:
        return
    root, manifest, journal = project.root, plan.manifest, plan.journal
    changed = [
        finding
        for finding in plan.findings
        if finding.state is not State.EXTRA and not finding.kept and finding.path != manifest.path
    ]
    files = [journal, *(finding.file for finding in changed if finding.file is not None), manifest]
    for file in files:
        (root / file.path).parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=root / project.output))
    try:
        staged = [staging / str(number) for number in range(len(files))]
        for file, path in zip(files, staged, strict=True):
            path.write_text(file.text, encoding="utf-8", newline="\n")
        first, *rest, last = staged
        first.replace(root / journal.path)
        for finding in changed:
            _carry_out(root, finding, None if finding.file is None else rest.pop(0))
        last.replace(root / manifest.path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    remember_lock(project)


def remove_staging(project: Project) -> None:
    """Remove the staging folders of killed runs. Call this only while no other run is active."""
    for staging in (project.root / project.output).glob(f"{_STAGING}*"):
        shutil.rmtree(staging, ignore_errors=True)


def _carry_out(root: Path, finding: Finding, staged: Path | None) -> None:
    path = root / finding.path
    if staged is not None and path.suffix == ".py":
        _outdate_bytecode(path, staged)
    if finding.file is not None and finding.file.ownership is Ownership.ONCE:
        _hand_over(staged, path)
        return
    content = read_file(path)
    if (None if content is None else hash_content(content)) != finding.found:
        raise ProjectError(f"{finding.path} was changed during this run and is left as it is; run it again")
    if staged is None:
        path.unlink(missing_ok=True)
    else:
        staged.replace(path)


def _outdate_bytecode(path: Path, staged: Path) -> None:
    """Make Python compile the new text. It compares only the second and the size of a source with its bytecode.

    Give the text a later second than the one before. Then bytecode is outdated in every cache, and also if another
    process has read the old text and writes its bytecode later.
    """
    try:
        before = int(path.stat().st_mtime)
    except FileNotFoundError:
        for left in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):  # of a file that was removed
            left.unlink(missing_ok=True)
        return
    if int(staged.stat().st_mtime) <= before:
        os.utime(staged, (before + 1, before + 1))


def _hand_over(staged: Path | None, path: Path) -> None:
    """Create a file that the user owns from now on. If somebody created it during the run, leave it unchanged."""
    if staged is None:
        return
    try:
        os.link(staged, path)
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno not in _WITHOUT_LINKS:
            raise
        with suppress(FileExistsError), path.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(staged.read_text(encoding="utf-8"))
