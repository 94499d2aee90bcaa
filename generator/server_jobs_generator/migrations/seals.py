"""Revisions and their flat SQL tell by themselves whether somebody changed them: an id or a checksum seals the text.

So the manifest need not list them, and branches that append files do not change the same lines of it. Neither do they
for the lock, of which the manifest has a hash for each job.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import PurePosixPath

from server_jobs.project import Project

from ..contracts.lock.lock_file import lock_path
from ..contracts.lock.lock_text import entries_in, hash_of
from ..files.generated_file import read_file
from ..files.manifest import Manifest, hash_content
from .history import appended_paths, is_revision, revision_of

CHECKSUM = "-- Checksum: "
_BROKEN = ""


def checksum(body: str) -> str:
    """Return what stands in the head of flat SQL for the text below the head."""
    return sha256(body.encode()).hexdigest()[:16]


def is_intact(path: str, content: bytes) -> bool:
    """Whether the seal of a file fits the rest of it."""
    text = content.decode("utf-8", "replace")
    name = PurePosixPath(path).name
    if is_revision(name):
        revision = revision_of(name, text)
        return revision is not None and revision.is_as_written
    stated, _, body = text.partition(CHECKSUM)[2].partition("\n")
    return stated == checksum(body)


def with_seals(project: Project, manifest: Manifest) -> Manifest:
    """Return the manifest with the hashes of files that tell by themselves what they are.

    Where a seal is broken the hash fits no content.
    """
    recorded, appended = manifest.hashes, dict(manifest.appended)
    for path in appended_paths(project):
        content = read_file(project.root / path) or b""
        if path not in recorded:
            appended[path] = hash_content(content) if is_intact(path, content) else _BROKEN
    return _with_lock(project, replace(manifest, appended=appended))


def recorded_hashes(project: Project, hashes: Mapping[str, str], lock: str) -> dict[str, str]:
    """Return the hashes for a manifest: an entry for each job in the text of the lock, instead of one for the file."""
    path = lock_path(project)
    others = {one: digest for one, digest in hashes.items() if one != path}
    return others | {f"{path}#{name}": hash_of(entry) for name, entry in entries_in(lock).items()}


def _with_lock(project: Project, manifest: Manifest) -> Manifest:
    """The manifest with a hash for the lock, which it records entry by entry."""
    path = lock_path(project)
    recorded = {one: digests for one, digests in manifest.hashes.items() if one.startswith(f"{path}#")}
    content = read_file(project.root / path)
    if content is None or not (recorded or manifest.is_merged):
        return manifest
    found = recorded_hashes(project, {}, content.decode("utf-8", "replace"))
    # A run that was cut off may have left the entries before it, or those after it.
    is_same = found.keys() >= recorded.keys() - manifest.unfinished.keys() and all(
        digest in recorded.get(one, ()) for one, digest in found.items()
    )
    digest = hash_content(content) if is_same or manifest.is_merged else _BROKEN
    rewritten = {one: each for one, each in manifest.rewritten.items() if one not in recorded}
    unfinished = {one: each for one, each in manifest.unfinished.items() if one not in recorded}
    return replace(manifest, rewritten={**rewritten, path: digest}, unfinished=unfinished)
