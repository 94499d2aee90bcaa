"""The manifest: the generator's record of its files, `manifest.json` in the output folder, under version control.

Later runs on any machine use it to tell generated files from user files, and stale files from edited ones. Git merges
it line by line: the files of each job form a group, so branches that change different jobs change different lines.
After a merge, a file may have two hashes, or the manifest may be invalid JSON. Each line can be
read on its own, so the hashes are still found.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import cast

from server_jobs.errors import ProjectError
from server_jobs.project import Project

from .generated_file import read_file

_NOTE = "Kept by `server-jobs generate`; not for editing."
_FORMAT = 2
_HASH_LINE = re.compile(r'^\s*"([^"\\]+)": "([0-9a-f]{64})",?$', re.MULTILINE)
_ONCE_LINE = re.compile(r'^\s*"([^"\\]+)",?$', re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The hashes of the generated files, by path relative to the project's root.

    `once` lists the files that the user owns. `unfinished` has all possible hashes of files that a killed run may have
    written, or that several branches wrote. `is_merged` is true if git merged the manifest and no run has followed: the
    files may be merged text as well.
    """

    generator: str = ""
    rewritten: Mapping[str, str] = field(default_factory=dict[str, str])
    appended: Mapping[str, str] = field(default_factory=dict[str, str])
    once: tuple[str, ...] = ()
    unfinished: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    is_merged: bool = False

    @property
    def hashes(self) -> dict[str, tuple[str, ...]]:
        """All files that the generator may have written, with their possible hashes."""
        written = {path: (digest,) for path, digest in {**self.rewritten, **self.appended}.items()}
        return written | {path: (*written.get(path, ()), *digests) for path, digests in self.unfinished.items()}

    @property
    def is_of_first_run(self) -> bool:
        """Whether somebody killed the first run of the project, so that the lock may be missing."""
        return not self.generator and not self.is_merged and bool(self.unfinished)

    def begin(self, new: Manifest) -> Manifest:
        """Return the journal of a change from this manifest to `new`. It has the hashes of both."""
        before, after = self.hashes, new.hashes
        changed = sorted(path for path in before | after if before.get(path) != after.get(path))
        hashes = {path: (*before.get(path, ()), *after.get(path, ())) for path in changed}
        unfinished = {path: tuple(sorted(set(digests))) for path, digests in hashes.items()}
        return replace(self, once=tuple(sorted({*self.once, *new.once})), unfinished=unfinished)

    def dump(self) -> str:
        """Return the text of the manifest, with one file a line. Equal manifests have equal texts."""
        document: dict[str, object] = {
            "note": _NOTE,
            "format": _FORMAT,
            "generator": self.generator,
            "rewritten": _grouped(self.rewritten),
            "appended": self.appended,
            "once": self.once,
        }
        if self.unfinished:
            document["unfinished"] = self.unfinished
        return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def manifest_path(project: Project) -> str:
    """Return the path of the manifest, relative to the project's root."""
    return f"{project.output}/manifest.json"


def read_manifest(project: Project) -> Manifest:
    """Return the manifest of the last run, or an empty one before the first. Raises `ProjectError` if it is broken."""
    path = project.root / manifest_path(project)
    try:
        content = read_file(path)
        if content is None:
            return Manifest()
        text = content.decode()
        manifest = _of_lines(text, project) or _parse(json.loads(text, object_pairs_hook=_without_repetition), project)
    except (OSError, ValueError, TypeError) as error:
        raise ProjectError(
            f"{path} cannot be read ({error}); restore it from version control, or delete it: "
            "files that are not as the generator would write them then count as edited"
        ) from error
    return manifest


def hash_content(content: bytes) -> str:
    """Return the hash of a file for the manifest."""
    return hashlib.sha256(content).hexdigest()


def _parse(document: object, project: Project) -> Manifest:
    if not isinstance(document, dict):
        raise TypeError("not a JSON object")
    values = cast("dict[str, object]", document)
    return Manifest(
        generator=str(values.get("generator", "")),
        rewritten=_flat(values, "rewritten", project),
        appended=_texts(values, "appended", project),
        once=tuple(str(path) for path in cast("list[object]", values.get("once", []))),
        unfinished=_unfinished(values, project),
    )


def _grouped(files: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Group the files by module name. The files of a job share one, so git merges the changes of each job apart."""
    groups: dict[str, dict[str, str]] = {}
    for path, digest in files.items():
        groups.setdefault(path.partition("#")[2] or PurePosixPath(path).stem, {})[path] = digest
    return groups


def _flat(values: Mapping[str, object], key: str, project: Project) -> dict[str, str]:
    files: dict[str, str] = {}
    for name, value in _object(values, key, None).items():
        files |= {name: value} if isinstance(value, str) else _texts({name: value}, name)
    return {path: digest for path, digest in files.items() if _may_be_ours(path, project)}


def _of_lines(text: str, project: Project) -> Manifest | None:
    """Return the manifest of a text that git merged, and ignore unknown lines. Return None for the text of a run."""
    with suppress(ValueError, TypeError):
        document = json.loads(text, object_pairs_hook=_without_repetition)
        if not isinstance(document, dict) or "format" not in document or _parse(document, project).dump() == text:
            return None
    digests: dict[str, set[str]] = {}
    for path, digest in _HASH_LINE.findall(text):
        if _may_be_ours(path, project):
            digests.setdefault(path, set()).add(digest)
    if not digests:
        return None
    unfinished = {path: tuple(sorted(found)) for path, found in digests.items()}
    return Manifest(once=tuple(sorted({*_ONCE_LINE.findall(text)})), unfinished=unfinished, is_merged=True)


def _without_repetition(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a key is used twice in one object")
    return members


def _texts(values: Mapping[str, object], key: str, project: Project | None = None) -> dict[str, str]:
    return {path: str(value) for path, value in _object(values, key, project).items()}


def _unfinished(values: Mapping[str, object], project: Project) -> dict[str, tuple[str, ...]]:
    files = _object(values, "unfinished", project)
    return {path: tuple(map(str, cast("list[object]", digests))) for path, digests in files.items()}


def _object(values: Mapping[str, object], key: str, project: Project | None) -> dict[str, object]:
    mapping = values.get(key, {})
    if not isinstance(mapping, dict):
        raise TypeError(f"{key} is not an object")
    members = cast("dict[str, object]", mapping)
    return {path: value for path, value in members.items() if project is None or _may_be_ours(path, project)}


def _may_be_ours(path: str, project: Project) -> bool:
    """Return whether the generator can own this path: inside the output folder, and not a handler.

    The comparison with the handlers folder ignores case, because some file systems do.
    """
    is_plain = "\\" not in path and not {"", ".", ".."} & set(path.split("/"))
    is_handler = f"{path.casefold()}/".startswith(f"{project.handlers.casefold()}/")
    return is_plain and path.startswith(f"{project.output}/") and not is_handler
