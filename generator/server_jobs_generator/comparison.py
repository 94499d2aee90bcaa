"""The comparison of the generated files with the files in the project, and the plan of files to write.

The generator replaces or removes its own file only if the file is as the generator left it, or as git merged it. It
reports and keeps files that a person changed or added.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from server_jobs import __version__
from server_jobs.project import Project

from .contracts.lock_file import lock_path
from .contracts.review import Compared
from .files.generated_file import File, KeptFile, Ownership, check_inside, conflict_line, read_file
from .files.manifest import Manifest, hash_content, manifest_path
from .last_run import LastRun, recorded_hashes
from .migrations.history import is_intact
from .outputs import file_findings, owned_folders, plug_in_parts
from .plan import Finding, Plan, State

_OWNED_FOLDERS = ("contracts", "jobs", "models", "schemas", "testing")


def compare_files(
    project: Project, generated: Sequence[File | KeptFile], last: LastRun, contracts: Compared, specs: str
) -> Plan:
    """Return the plan that brings the project up to date. `specs` is a hash of the specs behind the generated files.

    Raises `ProjectError` if a link leads out of the project.
    """
    files = [*generated, contracts.lock]
    new = _manifest(project, files, last.recorded)
    manifest = File(manifest_path(project), new.dump())
    paths = {file.path for file in files}
    return Plan(
        contracts=contracts.findings,
        remarks=contracts.remarks,
        findings=_findings(project, files, last.manifest) + _manifest_finding(project, manifest),
        unused=tuple(path for path in new.once if path not in paths),
        configuration=tuple(file_findings(project)),
        manifest=manifest,
        journal=File(manifest.path, last.recorded.begin(new).dump()),
        specs=specs,
        parts=plug_in_parts(project),
    )


def _manifest(project: Project, files: Sequence[File | KeptFile], recorded: Manifest) -> Manifest:
    rewritten = {file.path: file.hash for file in files if file.ownership is Ownership.REWRITTEN}
    appended = [file for file in files if file.ownership is Ownership.APPENDED]
    lock = next((file.text for file in files if isinstance(file, File) and file.path == lock_path(project)), "")
    once = {file.path for file in files if file.ownership is Ownership.ONCE}
    forgotten = {path for path in recorded.once if path not in once and (project.root / path).exists()}
    return Manifest(
        generator=__version__,
        rewritten=recorded_hashes(project, rewritten, lock),
        appended={file.path: file.hash for file in appended if not _is_sealed(file, recorded)},
        once=tuple(sorted(once | forgotten)),
    )


def _is_sealed(file: File | KeptFile, recorded: Manifest) -> bool:
    """Return whether an appended file carries its own valid seal and so needs no entry in the manifest."""
    if isinstance(file, KeptFile):
        return file.path not in recorded.hashes
    return is_intact(file.path, file.text.encode())


def _manifest_finding(project: Project, manifest: File) -> tuple[Finding, ...]:
    content = read_file(project.root / manifest.path)
    if content is None:
        return (Finding(manifest.path, State.MISSING, manifest),)
    return () if content == manifest.text.encode() else (Finding(manifest.path, State.STALE, manifest),)


def _findings(project: Project, files: Sequence[File | KeptFile], manifest: Manifest) -> tuple[Finding, ...]:
    """Return every file that differs, sorted by path. A `KeptFile` is up to date, so it is not compared."""
    root, paths = project.root, {file.path for file in files}
    known, is_merged = manifest.hashes, manifest.is_merged
    leftovers = {path: digests for path, digests in known.items() if path not in paths}
    folders = [*(f"{project.output}/{folder}" for folder in _OWNED_FOLDERS), *owned_folders(project)]
    extras = [path for path in _files_in(root, folders) if path not in paths and path not in known]
    check_inside(root, {*paths, *known})
    wanted = [file for file in files if isinstance(file, File)]
    findings = [
        *_wanted_findings(root, wanted, known, is_merged=is_merged),
        *_leftover_findings(root, leftovers, is_merged=is_merged),
        *(Finding(path, State.EXTRA) for path in extras),
    ]
    return tuple(sorted(findings, key=lambda finding: finding.path))


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
            state, found = _state(content, digests, is_merged=is_merged)
            yield Finding(file.path, state, file, found=found)
        elif file.ownership is Ownership.APPENDED and digests and hash_content(content) not in digests:
            # The generator cannot recreate a revision, so the edited text is also the expected text. Report the edit,
            # because a revision must never change.
            yield Finding(file.path, State.EDITED, file, kept=True)


def _leftover_findings(root: Path, leftovers: Mapping[str, Sequence[str]], *, is_merged: bool) -> Iterator[Finding]:
    for path, digests in leftovers.items():
        content = read_file(root / path)
        if content is not None:
            state, found = _state(content, digests, is_merged=is_merged)
            yield Finding(path, state, found=found)


def _state(content: bytes, digests: Sequence[str], *, is_merged: bool) -> tuple[State, str]:
    """Return the state of a file that differs, with its hash. What git made of it in a merge is no edit."""
    is_of_git = is_merged or conflict_line(content) is not None
    found = hash_content(content)
    return (State.STALE if is_of_git or found in digests else State.EDITED), found


def _files_in(root: Path, folders: Sequence[str]) -> Iterator[str]:
    """Yield the paths of all visible files in these folders, sorted in each folder."""
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
