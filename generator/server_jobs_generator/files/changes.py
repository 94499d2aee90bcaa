"""The difference between the files that should be there and those that are, and the writing that removes it.

A file the generator owns is replaced or removed only while it is as the generator left it, or as git merged it;
whatever a person changed or added is reported and kept.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from server_jobs.errors import ProjectError

from .conflict_marks import conflict_line
from .generated_file import File, KeptFile, Ownership, read_file
from .manifest import Manifest, hash_content

STAGING = ".staging-"


class State(StrEnum):
    """What is the matter with a file: absent, out of date, changed by a person, or unknown in an owned folder."""

    MISSING = "MISSING"
    STALE = "STALE"
    EDITED = "EDITED"
    EXTRA = "EXTRA"


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One file that is not as it should be; `file` is what it should be, None for a file that should not be there.

    `kept` is true for a revision that a person changed: nothing could make it anew, so it stays as it is.
    """

    path: str
    state: State
    file: File | None = None
    kept: bool = False

    def __str__(self) -> str:
        return f"{self.state} {self.path}"


def compare(
    root: Path,
    files: Sequence[File],
    manifest: Manifest,
    owned_folders: Sequence[str],
    right: Iterable[KeptFile] = (),
) -> tuple[Finding, ...]:
    """Every file that is not as it should be, by path; of those that are `right` this is known.

    Raises `ProjectError` if a link leads out of the project.
    """
    wanted = {file.path for file in files} | {file.path for file in right}
    known, is_merged = manifest.hashes, manifest.is_merged
    leftovers = {path: digests for path, digests in known.items() if path not in wanted}
    extras = [path for path in _files_in(root, owned_folders) if path not in wanted and path not in known]
    check_inside(root, {*wanted, *known})
    findings = [
        *_wanted_findings(root, files, known, is_merged=is_merged),
        *_leftover_findings(root, leftovers),
        *(Finding(path, State.EXTRA) for path in extras),
    ]
    return tuple(sorted(findings, key=lambda finding: finding.path))


def publish(root: Path, findings: Iterable[Finding], manifest: File, journal: File) -> None:
    """Write what is missing or stale and remove what is left over: the journal first, the manifest last.

    Everything is staged first, so a full disk or an interrupt leaves the old files. A run that is killed between two
    replacements is completed by the next one, which learns from the journal what was on its way.
    """
    findings = [finding for finding in findings if finding.state is not State.EXTRA and not finding.kept]
    changed = [finding.file for finding in findings if finding.file is not None and finding.file != manifest]
    files = [journal, *changed, manifest]
    for file in files:
        (root / file.path).parent.mkdir(parents=True, exist_ok=True)
    staging = _new_staging((root / manifest.path).parent)
    try:
        for number, file in enumerate(files):
            (staging / str(number)).write_text(file.text, encoding="utf-8", newline="\n")
        for number, file in enumerate(files[:-1]):
            (staging / str(number)).replace(root / file.path)
        for finding in findings:
            if finding.file is None:
                (root / finding.path).unlink(missing_ok=True)
        (staging / str(len(files) - 1)).replace(root / manifest.path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _new_staging(folder: Path) -> Path:
    for left_by_a_killed_run in folder.glob(f"{STAGING}*"):
        shutil.rmtree(left_by_a_killed_run, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=STAGING, dir=folder))


def check_inside(root: Path, paths: Iterable[str]) -> None:
    """Raise `ProjectError` if a link leads one of these paths out of the project."""
    real_root, prefix = root.resolve(), f"{root}/"
    folders = {path.rpartition("/")[0] or "." for path in paths}
    links = {path for path in paths if os.path.islink(prefix + path)}  # noqa: PTH114  many thousand times
    for path in sorted(folders | links):
        target = (root / path).resolve()
        if not target.is_relative_to(real_root):
            raise ProjectError(f"{path} leads out of the project, to {target}; remove the link, nothing was written")


def _wanted_findings(
    root: Path, files: Sequence[File], known: Mapping[str, Sequence[str]], *, is_merged: bool
) -> Iterator[Finding]:
    for file in files:
        if file.ownership is Ownership.ONCE and os.path.lexists(root / file.path):
            continue
        content = read_file(root / file.path)
        digests = known.get(file.path, ())
        if content is None:
            yield Finding(file.path, State.MISSING, file)
        elif content != file.text.encode():
            is_of_git = is_merged or conflict_line(content) is not None
            yield Finding(file.path, State.STALE if is_of_git else _state(content, digests), file)
        elif file.ownership is Ownership.APPENDED and digests and hash_content(content) not in digests:
            # It is wanted as it is, since nothing could make it anew; but a revision must never change.
            yield Finding(file.path, State.EDITED, file, kept=True)


def _leftover_findings(root: Path, leftovers: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    for path, digests in leftovers.items():
        content = read_file(root / path)
        if content is not None:
            yield Finding(path, _state(content, digests))


def _state(content: bytes, digests: Sequence[str]) -> State:
    return State.STALE if hash_content(content) in digests else State.EDITED


def _files_in(root: Path, folders: Sequence[str]) -> Iterator[str]:
    """Everything but folders and what is hidden, in order."""
    for folder in folders:
        path = root / folder
        if path.is_dir() and not path.is_symlink():
            yield from sorted(_files_under(str(path), f"{folder}/"))


def _files_under(folder: str, prefix: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name == "__pycache__":
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _files_under(entry.path, f"{prefix}{entry.name}/")
            else:
                yield f"{prefix}{entry.name}"
