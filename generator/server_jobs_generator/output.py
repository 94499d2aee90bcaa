"""The difference between the files that should be there and those that are, and the writing that removes it.

A file the generator owns is replaced or removed only while it is as the generator left it; whatever a person changed
or added is reported and kept.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

from server_jobs.errors import ProjectError

from .files import File, Ownership
from .manifest import Manifest, hash_content


class State(StrEnum):
    """What is the matter with a file: absent, out of date, changed by a person, or unknown in an owned folder."""

    MISSING = "MISSING"
    STALE = "STALE"
    EDITED = "EDITED"
    EXTRA = "EXTRA"


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One file that is not as it should be; `file` is what it should be, None for a file that should not be there."""

    path: str
    state: State
    file: File | None = None

    def __str__(self) -> str:
        return f"{self.state} {self.path}"


def compare(root: Path, files: Sequence[File], manifest: Manifest, owned_folders: Sequence[str]) -> tuple[Finding, ...]:
    """Every file that is not as it should be, by path. Raises `ProjectError` if a link leads out of the project."""
    wanted = {file.path: file for file in files}
    known = {**manifest.rewritten, **manifest.appended}
    leftovers = {path: digest for path, digest in known.items() if path not in wanted}
    extras = [path for path in _files_in(root, owned_folders) if path not in wanted and path not in known]
    check_inside(root, {*wanted, *known})
    findings = [
        *_wanted_findings(root, files, known),
        *_leftover_findings(root, leftovers),
        *(Finding(path, State.EXTRA) for path in extras),
    ]
    return tuple(sorted(findings, key=lambda finding: finding.path))


def publish(root: Path, findings: Iterable[Finding], manifest: File) -> None:
    """Write what is missing or stale and remove what is left over, the manifest last.

    Everything is staged first, so a full disk or an interrupt leaves the old files; a run that is killed between two
    replacements is completed by the next one.
    """
    findings = [finding for finding in findings if finding.state is not State.EXTRA]
    files = [finding.file for finding in findings if finding.file is not None] + [manifest]
    for file in files:
        (root / file.path).parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=(root / manifest.path).parent))
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


def check_inside(root: Path, paths: Iterable[str]) -> None:
    """Raise `ProjectError` if a link leads one of these paths out of the project."""
    real_root = root.resolve()
    folders = {str(PurePosixPath(path).parent) for path in paths}
    links = {path for path in paths if (root / path).is_symlink()}
    for path in sorted(folders | links):
        target = (root / path).resolve()
        if not target.is_relative_to(real_root):
            raise ProjectError(f"{path} leads out of the project, to {target}; remove the link, nothing was written")


def read_file(path: Path) -> bytes | None:
    """What is in a file, None if there is none. Line endings do not count: version control may change them."""
    try:
        return path.read_bytes().replace(b"\r\n", b"\n")
    except FileNotFoundError:
        return None
    except (IsADirectoryError, NotADirectoryError) as error:
        raise ProjectError(f"{path} is in the way: a file has to be written there") from error


def _wanted_findings(root: Path, files: Sequence[File], known: Mapping[str, str]) -> Iterator[Finding]:
    for file in files:
        if file.ownership is Ownership.ONCE and os.path.lexists(root / file.path):
            continue
        content = read_file(root / file.path)
        digest = known.get(file.path)
        if content is None:
            yield Finding(file.path, State.MISSING, file)
        elif content != file.text.encode():
            yield Finding(file.path, _state(content, digest), file)
        elif file.ownership is Ownership.APPENDED and digest not in (None, hash_content(content)):
            # It is wanted as it is, since nothing could make it anew; but a revision must never change.
            yield Finding(file.path, State.EDITED, file)


def _leftover_findings(root: Path, leftovers: Mapping[str, str]) -> Iterator[Finding]:
    for path, digest in leftovers.items():
        content = read_file(root / path)
        if content is not None:
            yield Finding(path, _state(content, digest))


def _state(content: bytes, digest: str | None) -> State:
    return State.STALE if hash_content(content) == digest else State.EDITED


def _files_in(root: Path, folders: Sequence[str]) -> Iterator[str]:
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            relative = path.relative_to(root)
            hidden = any(part.startswith(".") or part == "__pycache__" for part in relative.parts)
            if not hidden and (path.is_file() or path.is_symlink()):
                yield relative.as_posix()
